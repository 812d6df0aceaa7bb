/*-------------------------------------------------------------------------
 *
 * glob.h
 *	  Patterns of names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_GLOB_H
#define APIBASE_GLOB_H

#include "postgres.h"

/*
 * Whether a pattern matches all of a text: '*' any characters, '?' one, '\' quotes the next.
 * Both are in the database's encoding.  Cannot fail.
 */
extern bool apibase_glob_matches(const char *pattern, int pattern_len, const char *text, int len);

#endif							/* APIBASE_GLOB_H */
