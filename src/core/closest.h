/*-------------------------------------------------------------------------
 *
 * closest.h
 *	  Hints for misspelled names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CLOSEST_H
#define APIBASE_CLOSEST_H

/* Of n names the one that was probably meant by a name that is none of them, or NULL. */
extern const char *apibase_closest(const char *name, const char *const *names, int n);

#endif							/* APIBASE_CLOSEST_H */
