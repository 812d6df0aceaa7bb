/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  Get and put, over what the transaction has put, level 1 and level 2.
 *
 * The fast path is a hit of level 1: it looks at the switch, at whether this
 * transaction has done anything, at one word of the database's slot, and
 * into the store.  Namespaces and their configuration are only looked at
 * after a miss.
 *
 * A tag "a:b" is one part of "a": an entry that depends on it depends on
 * "a:*" as well, so that all parts can be invalidated at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_config.h"
#include "cache/cache_flight.h"
#include "cache/cache_namespace.h"
#include "cache/cache_put.h"
#include "cache/cache_redis.h"
#include "cache/cache_redis_conn.h"
#include "cache/cache_store.h"
#include "cache/cache_tags.h"
#include "cache/cache_xact.h"
#include "core/clock.h"
#include "core/errors.h"
#include "core/shmem.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/memutils.h"

/* ---- shared memory: the parts, one after the other ---- */

typedef struct Part
{
	Size		(*size) (void);
	void		(*init) (void *area, LWLockPadded *locks, bool found);
} Part;

static void
init_tags(void *area, LWLockPadded *locks, bool found)
{
	cache_tags_init(area, found);
}

static void
init_redis_conn(void *area, LWLockPadded *locks, bool found)
{
	cache_redis_conn_init(area, found);
}

static void
init_redis(void *area, LWLockPadded *locks, bool found)
{
	cache_redis_init(area, &locks[APIBASE_CACHE_LOCK_QUEUE].lock, found);
}

static void
init_flight(void *area, LWLockPadded *locks, bool found)
{
	cache_flight_init(area, &locks[APIBASE_CACHE_LOCK_FLIGHTS].lock, found);
}

static const Part parts[] = {
	{cache_tags_size, init_tags},
	{cache_store_size, cache_store_init},
	{cache_namespace_size, cache_namespace_init},
	{cache_redis_conn_size, init_redis_conn},
	{cache_redis_size, init_redis},
	{cache_flight_size, init_flight},
};

Size
apibase_cache_shmem_size(void)
{
	Size		size = 0;

	for (size_t i = 0; i < lengthof(parts); i++)
		size = add_size(size, CACHELINEALIGN(parts[i].size()));
	return size;
}

void
apibase_cache_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	char	   *next = area;

	for (size_t i = 0; i < lengthof(parts); i++)
	{
		parts[i].init(next, locks, found);
		next += CACHELINEALIGN(parts[i].size());
	}
}

void
apibase_cache_register_workers(void)
{
	cache_redis_register_worker();
}

/* ---- whether there is a cache ---- */

/* Say once in a session why there is no cache. */
static pg_noinline void
notice_once(void)
{
	static bool noticed = false;

	if (noticed)
		return;
	noticed = true;
	ereport(NOTICE,
			(errmsg("apibase is not preloaded: the cache keeps nothing"),
			 errhint("Add apibase to shared_preload_libraries and restart the server.")));
}

static inline bool
usable(bool notice)
{
	if (likely(apibase_shmem_available()))
		return apibase_cache_enabled && !IsParallelWorker();
	if (notice)
		notice_once();
	return false;
}

bool
apibase_cache_usable(bool notice)
{
	return usable(notice);
}

/* ---- get ---- */

void		(*apibase_cache_tags_read) (const char *tags, Size len) = NULL;

/* A value that this transaction has put. */
static pg_noinline ApibaseCacheOutcome
get_private(const CacheItem *item, ApibaseCacheValue *value)
{
	if (apibase_clock_now() >= item->expires)
		return APIBASE_CACHE_MISS;
	value->kind = item->kind;
	value->data = NULL;
	if (item->kind != APIBASE_CACHE_NOTHING)
	{
		value->data = palloc(VARHDRSZ + item->value_len);
		SET_VARSIZE(value->data, VARHDRSZ + item->value_len);
		memcpy(VARDATA(value->data), item->value, item->value_len);
	}
	value->created = item->created;
	value->expires = item->expires;
	value->cost = item->cost;
	cache_count(item->nspace, CACHE_LEVEL1, CACHE_HITS, 1);
	if (apibase_cache_tags_read)
		apibase_cache_tags_read(item->tags, item->tags_len);
	return APIBASE_CACHE_HIT;
}

/* The slot of the database of this process. */
static inline CacheSlot
my_database_slot(void)
{
	static Oid	database = InvalidOid;
	static CacheSlot slot;

	if (unlikely(database != MyDatabaseId))
	{
		database = MyDatabaseId;
		slot = cache_slot_of_database(database);
	}
	return slot;
}

static inline CacheFound
get_level1(const ApibaseCacheKey *key, int flags, CacheSlotFilter filter, CacheHit *hit)
{
	cache_store_expect_entry(key);
	if (unlikely(cache_tag_marked(my_database_slot())))
		return CACHE_UNDECIDED;
	return cache_store_get(MyDatabaseId, key, apibase_clock_now_coarse(), flags, filter, hit);
}

/* Level 1 had it, and has counted that. */
static inline void
take_hit(const CacheHit *hit, ApibaseCacheValue *value)
{
	value->kind = hit->kind;
	value->data = hit->data;
	value->created = hit->created;
	value->expires = hit->expires;
	value->cost = hit->cost;
	if (unlikely(apibase_cache_tags_read != NULL))
		apibase_cache_tags_read(hit->tags, hit->tags_len);
}

/* Level 2 had it: fill level 1. */
static void
take_level2(const ApibaseCacheKey *key, int nspace, const CacheNamespaceConfig *config, const CacheRedisValue *found,
			ApibaseCacheLease *lease, ApibaseCacheValue *value)
{
	CacheTagList tags;

	value->kind = found->kind;
	value->data = found->data;
	value->created = found->created;
	value->expires = found->expires;
	value->cost = found->cost;
	cache_count(nspace, CACHE_LEVEL2, CACHE_HITS, 1);
	cache_tag_list(&tags, found->tags, found->ntags);
	cache_put_from_level2(key, nspace, config, found, &tags, lease);
	if (apibase_cache_tags_read)
		apibase_cache_tags_read(tags.names, tags.names_len);
}

/* Neither private nor in level 1: ask level 2, for n keys at once.  What is not found leaves a lease. */
static void
get_level2(const ApibaseCacheKey *keys, int n, ApibaseCacheOutcome *outcomes, ApibaseCacheValue *values)
{
	ApibaseCacheLease *lease = cache_lease_take();
	CacheNamespaceConfig *configs = palloc(n * sizeof(CacheNamespaceConfig));
	int		   *nspaces = palloc(n * sizeof(int));
	CacheRedisValue *found = palloc0(n * sizeof(CacheRedisValue));
	bool		ask = false;

	for (int i = 0; i < n; i++)
	{
		nspaces[i] = cache_namespace_of(&keys[i]);
		cache_namespace_config(nspaces[i], &configs[i]);
		cache_count(nspaces[i], CACHE_LEVEL1, CACHE_MISSES, 1);
		ask = ask || configs[i].level2;
	}
	if (ask && cache_redis_configured() && !cache_xact_is_private() && cache_redis_available())
		cache_redis_get(keys, n, configs, lease, found);
	else
		ask = false;
	for (int i = 0; i < n; i++)
	{
		outcomes[i] = found[i].found ? APIBASE_CACHE_HIT : APIBASE_CACHE_MISS;
		if (found[i].found)
			take_level2(&keys[i], nspaces[i], &configs[i], &found[i], lease, &values[i]);
		else
		{
			if (ask && configs[i].level2)
				cache_count(nspaces[i], CACHE_LEVEL2, CACHE_MISSES, 1);
			cache_lease_remember(&keys[i], lease);
		}
	}
	pfree(configs);
	pfree(nspaces);
	pfree(found);
}

/*
 * For a transaction that keeps its snapshot (REPEATABLE READ, SERIALIZABLE):
 * an entry with a tag that was invalidated by a transaction which the snapshot
 * may not see can be newer than the snapshot, and is not for it.
 */
static FullTransactionId snapshot_xmin;

static bool
suits_snapshot(const CacheSlot *slots, int nslots)
{
	for (int i = 0; i < nslots; i++)
	{
		if (!FullTransactionIdPrecedes(cache_tag_xid(slots[i]), snapshot_xmin))
			return false;
	}
	return !cache_xact_pending() || cache_xact_not_bypassed(slots, nslots);
}

/* What this transaction or level 1 has; *ask tells whether level 2 may be asked for it. */
static pg_attribute_always_inline ApibaseCacheOutcome
get_here(const ApibaseCacheKey *key, bool stale, ApibaseCacheValue *value, bool *ask)
{
	int			flags = (stale ? CACHE_GET_STALE : 0) | (apibase_cache_tags_read ? CACHE_GET_TAGS : 0);
	CacheSlotFilter filter = NULL;
	const CacheItem *mine;
	CacheHit	hit;

	*ask = false;
	if (unlikely(cache_xact_get(key, &mine)))
		return mine ? get_private(mine, value) : APIBASE_CACHE_MISS;
	if (unlikely(cache_xact_pending()))
	{
		if (cache_xact_bypasses_key(key))
			return APIBASE_CACHE_MISS;
		filter = cache_xact_not_bypassed;
	}
	if (unlikely(IsolationUsesXactSnapshot()) && ActiveSnapshotSet())
	{
		snapshot_xmin = cache_snapshot_xmin();
		filter = suits_snapshot;
	}
	switch (get_level1(key, flags, filter, &hit))
	{
		case CACHE_FOUND:
			take_hit(&hit, value);
			return APIBASE_CACHE_HIT;
		case CACHE_STALE:
			take_hit(&hit, value);
			return APIBASE_CACHE_STALE;
		case CACHE_ABSENT:
		case CACHE_EXPIRED:
		case CACHE_INVALID:
			*ask = true;
			break;
		case CACHE_UNDECIDED:
			break;
	}
	return APIBASE_CACHE_MISS;
}

/* A miss that level 2 is not asked about. */
static void
miss(const ApibaseCacheKey *key)
{
	cache_count(cache_namespace_of(key), CACHE_LEVEL1, CACHE_MISSES, 1);
	cache_lease_remember(key, cache_lease_take());
}

ApibaseCacheOutcome
apibase_cache_get(const ApibaseCacheKey *key, bool stale, ApibaseCacheValue *value)
{
	ApibaseCacheOutcome outcome;
	bool		ask;

	if (unlikely(!usable(true)))
		return APIBASE_CACHE_MISS;
	outcome = get_here(key, stale, value, &ask);
	if (outcome == APIBASE_CACHE_MISS)
	{
		if (ask)
			get_level2(key, 1, &outcome, value);
		else
			miss(key);
	}
	return outcome;
}

void
apibase_cache_get_many(const ApibaseCacheKey *keys, int n, ApibaseCacheOutcome *outcomes, ApibaseCacheValue *values)
{
	ApibaseCacheKey *asked = palloc(Max(n, 1) * sizeof(ApibaseCacheKey));
	int		   *number = palloc(Max(n, 1) * sizeof(int));
	ApibaseCacheOutcome *there;
	ApibaseCacheValue *found;
	bool		usable = apibase_cache_usable(true);
	int			nasked = 0;
	bool		ask;

	for (int i = 0; usable && i < n; i++)
		cache_store_expect_key(&keys[i]);
	for (int i = 0; i < n; i++)
	{
		outcomes[i] = usable ? get_here(&keys[i], false, &values[i], &ask) : APIBASE_CACHE_MISS;
		if (!usable || outcomes[i] != APIBASE_CACHE_MISS)
			continue;
		if (!ask)
			miss(&keys[i]);
		else
		{
			number[nasked] = i;
			asked[nasked++] = keys[i];
		}
	}
	if (nasked == 0)
		return;
	there = palloc(nasked * sizeof(ApibaseCacheOutcome));
	found = palloc(nasked * sizeof(ApibaseCacheValue));
	get_level2(asked, nasked, there, found);
	for (int i = 0; i < nasked; i++)
	{
		outcomes[number[i]] = there[i];
		values[number[i]] = found[i];
	}
}
