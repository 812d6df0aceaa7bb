/*-------------------------------------------------------------------------
 *
 * decorate_sqlstate.h
 *	  Which errors a decorator is for: lists of SQLSTATEs in options.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_DECORATE_SQLSTATE_H
#define APIBASE_DECORATE_SQLSTATE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* The codes that the member names; those in missing, comma separated, where there is none.  Lives in the current context. */
extern List *apibase_option_sqlstates(Jsonb *options, const char *name, const char *missing);

/* Whether a code is among them, by itself or with its class. */
extern bool apibase_sqlstate_is_in(const List *sqlstates, int sqlstate);

#endif							/* APIBASE_DECORATE_SQLSTATE_H */
