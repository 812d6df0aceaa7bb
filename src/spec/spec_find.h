/*-------------------------------------------------------------------------
 *
 * spec_find.h
 *	  What the files of find() share; see spec_find.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_FIND_H
#define APIBASE_SPEC_FIND_H

#include "spec/spec.h"

#include "executor/spi.h"

/* The arguments of one call, checked. */
typedef struct ApibaseFindRequest
{
	Oid			type;			/* declared type of the rows; a domain perhaps */
	Oid			rowtype;		/* the relation's own row type */
	Oid			relid;
	bool		count;			/* find_count: one row with the number of rows */
	int			natts;			/* columns that the caller knows: the first ones */
	ApibaseSpec *spec;			/* NULL: every row */
	text	   *order_by;		/* NULL: none */
	bool		has_limit;
	int64		limit;
	bool		has_offset;
	int64		offset;
	Jsonb	   *after;			/* NULL: from the start */
} ApibaseFindRequest;

/* A sort key. */
typedef struct ApibaseFindKey
{
	List	   *path;
	Expr	   *expr;			/* over a row of the relation (varno 1) */
	char	   *text;			/* the same as SQL, of the alias t */
	Oid			type;			/* base type: of the value in "after" as well */
	Oid			collation;
	bool		composite;		/* IS NULL would look into the value */
	bool		notnull;
	bool		json;			/* within a jsonb value */
	bool		descending;
	bool		nulls_first;
	Oid			opfamily;		/* btree, with the type that it compares */
	Oid			opcintype;
} ApibaseFindKey;

/* The values of the keys in "after". */
typedef struct ApibaseFindCursor
{
	Datum	   *values;
	bool	   *nulls;
} ApibaseFindCursor;

/*
 * A statement ready to run.  Its parameters: the values of the cursor's keys
 * that are not NULL, in order, then the offset.
 */
typedef struct ApibaseFindPlan
{
	SPIPlanPtr	plan;
	List	   *keys;			/* of ApibaseFindKey, when there is "after" */
	bool	   *nulls;			/* for each key: whether the statement is for a NULL */
	int			pins;			/* executions that use it */
} ApibaseFindPlan;

/* ---------- spec_find_sql.c ---------- */

extern List *apibase_find_keys(const ApibaseFindRequest *request);
extern char *apibase_find_text(const ApibaseFindRequest *request, List *keys, const bool *nulls);

/* ---------- spec_find_cursor.c ---------- */

extern ApibaseFindCursor *apibase_find_cursor(const ApibaseFindRequest *request, List *keys);

/* ---------- spec_find_cache.c ---------- */

/*
 * The plan for a request, from the cache or new, and pinned; *cursor is set when there is "after".
 * Called within SPI.  The caller unpins, also when there is an error.
 */
extern ApibaseFindPlan *apibase_find_plan(const ApibaseFindRequest *request, ApibaseFindCursor **cursor);
extern void apibase_find_unpin(ApibaseFindPlan *plan);

#endif							/* APIBASE_SPEC_FIND_H */
