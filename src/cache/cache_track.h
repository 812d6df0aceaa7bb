/*-------------------------------------------------------------------------
 *
 * cache_track.h
 *	  What a computation reads: relations, and values of the cache.
 *
 * Between begin and end, every plan that the executor starts in this process
 * adds the relations it depends on (those behind views and in subqueries
 * too), found in the plan, and every value that the cache gives adds its
 * tags.  Trackings nest: what an inner one reads, the outer one has read as
 * well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_TRACK_H
#define APIBASE_CACHE_TRACK_H

#include "postgres.h"

#include "nodes/pg_list.h"

typedef struct CacheTracking
{
	struct CacheTracking *outer;
	MemoryContext context;		/* that was current at begin; what follows is in it */
	List	   *relations;		/* of OIDs */
	List	   *tags;			/* of char *, each once: what a value that was computed from this depends on */
	bool		temporary;		/* a temporary table was read: the value is this session's */
	bool		row_security;	/* a table with policies was read, though they may not concern this role */
} CacheTracking;

/* The tag of values that were computed from tables with policies: so that who computes from such a value knows. */
#define CACHE_ROW_SECURITY_TAG	"apibase:row_security"

extern void cache_track_install(void);	/* the executor's hook; when the library is loaded */
extern void cache_track_begin(CacheTracking *tracking);
extern void cache_track_end(CacheTracking *tracking);	/* also after an error: end it in a PG_FINALLY */

/*
 * The tags of a relation.  The first is for people: schema.name, quoted as
 * needed.  The second is what values get that were computed from it.
 */
extern char *cache_tag_of_relation(Oid relation);	/* palloc'd */
extern char *cache_oid_tag(Oid relation);	/* palloc'd */

/* All that a relation inherits from or is a partition of, itself first. */
extern List *cache_ancestors(Oid relation);

#endif							/* APIBASE_CACHE_TRACK_H */
