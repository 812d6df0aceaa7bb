/*-------------------------------------------------------------------------
 *
 * spec_uses.h
 *	  What the files of spec_uses() share; see spec_uses.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_USES_H
#define APIBASE_SPEC_USES_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/elog.h"

/* Where the rows go, and whose rights are used to look closer. */
typedef struct ApibaseSpecUses
{
	ReturnSetInfo *result;
	Oid			author;			/* owner of the object that is looked at */
	Oid			spec_type;
} ApibaseSpecUses;

/* Start a function with the arguments (thing to look at, author); false: the caller may not know. */
extern bool apibase_spec_uses_begin(FunctionCallInfo fcinfo, ApibaseSpecUses *uses);

/* A row; relid InvalidOid, text or problem NULL: not known, none. */
extern void apibase_spec_uses_put(ApibaseSpecUses *uses, Oid relid, const char *text, const char *problem);

#endif							/* APIBASE_SPEC_USES_H */
