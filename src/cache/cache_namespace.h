/*-------------------------------------------------------------------------
 *
 * cache_namespace.h
 *	  Namespaces: their configuration, and the counters of the cache.
 *
 * A key belongs to the namespace that is its part before the first colon,
 * and to '' without one.  Namespaces get a number in shared memory when they
 * are first met or declared (cache_configure); numbers are never taken back.
 * Keys of namespaces for which no number is left (apibase.cache_max_namespaces;
 * the last quarter is for declared ones), or whose name is longer than
 * CACHE_MAX_NAMESPACE, count to number 0, which is nobody's own.
 *
 * The configuration is the table apibase.cache_namespaces of each database.
 * Shared memory has a copy, which is read again, by whoever uses the cache
 * next, after a transaction that changed the table has committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_NAMESPACE_H
#define APIBASE_CACHE_NAMESPACE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "cache/cache_key.h"
#include "core/module.h"

/* Bytes of a name, and of a prefix. */
#define CACHE_MAX_NAMESPACE	63

/* Nobody's own namespace. */
#define CACHE_NAMESPACE_OTHERS	0

/* The configuration of one namespace; 0 where it has none. */
typedef struct CacheNamespaceConfig
{
	int64		ttl;			/* microseconds; 0: apibase.cache_default_ttl; APIBASE_DURATION_MAX: for ever */
	uint64		max_entries;	/* 0: no bound of its own */
	uint64		max_bytes;
	double		jitter;			/* 0 to 1 */
	bool		level1;
	bool		level2;
	char		key_prefix[CACHE_MAX_NAMESPACE + 1];	/* of keys in level 2, after apibase.redis_key_prefix */
} CacheNamespaceConfig;

typedef enum CacheLevel
{
	CACHE_LEVEL1,
	CACHE_LEVEL2,
} CacheLevel;
#define CACHE_LEVELS 2

typedef enum CacheCounter
{
	CACHE_HITS,					/* in level 1 those that the store has not counted: cache_store_hits() */
	CACHE_MISSES,
	CACHE_SETS,
	CACHE_DELETES,				/* by key */
	CACHE_INVALIDATIONS,		/* entries found invalid, and fills that were refused */
	CACHE_EVICTIONS,
	CACHE_EXPIRATIONS,
	CACHE_ERRORS,
	CACHE_WAITS,				/* for another's computation */
	CACHE_NCOUNTERS
} CacheCounter;

extern Size cache_namespace_size(void);
extern void cache_namespace_init(void *area, LWLockPadded *locks, bool found);

/* The number of the namespace of a key of this database. */
extern int	cache_namespace_of(const ApibaseCacheKey *key);

/*
 * Its configuration.  Reads the table first if it has changed and can be read
 * now: not outside a transaction, and not in one that has locked the table to
 * write it.  Raises no error because of what is in the table; it may be
 * cancelled.
 */
extern void cache_namespace_config(int nspace, CacheNamespaceConfig *config);

/* After the commit of a transaction that changed the table of this database; cannot fail. */
extern void cache_namespace_changed(void);

/* Count; cannot fail. */
extern void cache_count(int nspace, CacheLevel level, CacheCounter counter, uint64 by);

/* For the views: how many numbers there are (0 included), whose a number is, its counters. */
extern int	cache_namespaces_used(void);
extern void cache_namespace_identity(int nspace, Oid *database, const char **name);
extern void cache_namespace_counters(int nspace, CacheLevel level, uint64 counters[CACHE_NCOUNTERS]);
extern void cache_namespace_reset_counters(int nspace);

#endif							/* APIBASE_CACHE_NAMESPACE_H */
