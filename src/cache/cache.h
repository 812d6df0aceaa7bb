/*-------------------------------------------------------------------------
 *
 * cache.h
 *	  The cache: what other modules may use, and the ideas behind it.
 *
 * Level 1 is shared memory, level 2 is Redis.  Level 1 decides everything;
 * level 2 only saves a computation when level 1 has nothing.
 *
 * The parts, lower ones first.  A part uses only those above it in this list:
 *
 *	cache_key		keys, and what all parts share
 *	cache_config	settings
 *	cache_tags		when each tag was last invalidated: one word a tag
 *	cache_store		the arena: entries, exact LRU, expiry, memory bound
 *	cache_namespace	what is known about each namespace, and counters
 *	cache_redis		level 2: connection, breaker, values, the worker
 *	cache_xact		what a transaction has invalidated and set; leases
 *	cache			get and put over all of these
 *	cache_flight	of those that miss a key together, one computes
 *	cache_track		which relations a computation reads
 *	cache_through	get, or compute and put
 *	cache_sql, cache_views, cache_watch		SQL
 *
 * Why a hit is never stale
 *
 * An entry depends on tags.  The key itself, the database, and everything
 * that a caller names are tags; a tag is a word in shared memory, found by
 * hashing (tags that collide are invalidated together, which is harmless).
 * The word has two parts: the number of the last invalidation, from one
 * server-wide sequence, and how many transactions are just committing one.
 *
 *	- A transaction collects its invalidations.  Just before its commit can
 *	  be seen by anybody it marks its tags as being committed, and when the
 *	  commit is done it gives them a new number and takes the mark away.
 *	  Aborted, it leaves nothing.
 *	- A miss takes a lease: the number of the sequence, and the snapshot.
 *	  What is computed then was read with that snapshot or a later one.
 *	- A put is refused if one of its tags is marked, has a number above the
 *	  lease's, or was invalidated by a transaction that the lease's snapshot
 *	  does not see.  An entry keeps the number of its lease.
 *	- A get takes an entry only if no tag of it is marked or has a number
 *	  above the entry's.  So a put that passed its test just before a commit
 *	  is harmless: no get will take the entry.
 *
 * A transaction that has invalidated something sees none of it in the cache
 * until it ends, and what it puts is its own until it commits, as long as it
 * has written anything.  So nobody ever reads what was not committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_H
#define APIBASE_CACHE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "cache/cache_key.h"
#include "core/module.h"

/* A value found. */
typedef struct ApibaseCacheValue
{
	ApibaseCacheKind kind;
	struct varlena *data;		/* palloc'd in the caller's context; NULL for NOTHING */
	TimestampTz created;
	TimestampTz expires;		/* DT_NOEND: never */
	uint32		cost;			/* microseconds that it took to compute; 0 if unknown */
} ApibaseCacheValue;

typedef enum ApibaseCacheOutcome
{
	APIBASE_CACHE_MISS,
	APIBASE_CACHE_HIT,
	APIBASE_CACHE_STALE,		/* expired, within its grace; only to who asks for stale values */
} ApibaseCacheOutcome;

/* Something to put. */
typedef struct ApibaseCachePut
{
	ApibaseCacheKind kind;
	const struct varlena *data; /* not toasted; NULL for NOTHING */
	int64		ttl;			/* microseconds; 0: that of the namespace, else apibase.cache_default_ttl; -1: for
								 * ever */
	int64		grace;			/* microseconds for which it may be served stale after that */
	double		jitter;			/* shorten the time to live by a random share of at most this; < 0: the namespace's */
	uint32		cost;
	const char *const *tags;	/* terminated strings */
	int			ntags;
	ApibaseCacheLease *lease;	/* NULL: what the last miss of this key left, else the present */
	bool		only_if_absent;
} ApibaseCachePut;

typedef enum ApibaseCachePutResult
{
	APIBASE_CACHE_STORED,		/* or will be at commit */
	APIBASE_CACHE_REFUSED,		/* the lease is void: something was invalidated */
	APIBASE_CACHE_EXISTS,		/* only_if_absent, and it is there */
	APIBASE_CACHE_TOO_LARGE,
	APIBASE_CACHE_OFF,			/* not preloaded, or switched off */
} ApibaseCachePutResult;

/* A computation behind a cache: see apibase_cache_through(). */
typedef struct ApibaseCacheCompute
{
	/* Computes the value in the current context.  It may raise any error. */
	void		(*compute) (void *arg, ApibaseCacheKind *kind, struct varlena **data);
	void	   *arg;
	int64		ttl;			/* as in ApibaseCachePut */
	int64		negative_ttl;	/* the same for NOTHING; 0: as ttl; < 0: do not keep it */
	int64		stale_while_revalidate; /* microseconds: one recomputes, the others take the expired value */
	int64		stale_on_error; /* microseconds: when the computation fails, take the expired value */
	double		early;			/* 0 to 1: one recomputes when less than this share of the time to live is left */
	double		jitter;			/* as in ApibaseCachePut */
	int			wait_limit;		/* milliseconds to wait for another's computation; < 0: apibase.cache_wait_limit; 0:
								 * do not wait */
	bool		track;			/* add the tags of the relations that the computation reads */
	bool		any_role;		/* the key carries the role, or it was declared that roles may share the value */
	const char *const *tags;
	int			ntags;
} ApibaseCacheCompute;

/* ---- cache.c: get and put, both levels ---- */

/* Whether there is a cache to ask in this session now; says once why not, where notice is set. */
extern bool apibase_cache_usable(bool notice);

/* Get.  A miss leaves a lease for the put of the same key.  Never raises an error because of the cache. */
extern ApibaseCacheOutcome apibase_cache_get(const ApibaseCacheKey *key, bool stale, ApibaseCacheValue *value);

/* The same for several keys, in one round trip to level 2. */
extern void apibase_cache_get_many(const ApibaseCacheKey *keys, int n, ApibaseCacheOutcome *outcomes, ApibaseCacheValue *values);

extern ApibaseCachePutResult apibase_cache_put(const ApibaseCacheKey *key, const ApibaseCachePut *put);

/* At commit.  Delete tells whether it is there now. */
extern bool apibase_cache_delete(const ApibaseCacheKey *key);
extern void apibase_cache_invalidate(const char *tag);

/*
 * Called, where not NULL, with the tags of each value that a get returns
 * (terminated strings, one after the other): who computes a value from it
 * depends on them too.
 */
extern void (*apibase_cache_tags_read) (const char *tags, Size len);

/* ---- cache_through.c ---- */

/* Get, or compute and put: single flight, stale values, early refresh.  What compute raises is raised. */
extern void apibase_cache_through(const ApibaseCacheKey *key, const ApibaseCacheCompute *compute, ApibaseCacheValue *value);

/* ---- for the module table ---- */
extern void apibase_cache_define_gucs(void);
extern Size apibase_cache_shmem_size(void);
extern void apibase_cache_shmem_init(void *area, LWLockPadded *locks, bool found);
extern void apibase_cache_register_workers(void);

#endif							/* APIBASE_CACHE_H */
