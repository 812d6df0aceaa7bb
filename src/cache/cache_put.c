/*-------------------------------------------------------------------------
 *
 * cache_put.c
 *	  Put: what an entry is made of, and where it goes.
 *
 * A tag "a:b" is one part of "a": an entry that depends on it depends on
 * "a:*" as well, so that all parts can be invalidated at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_config.h"
#include "cache/cache_put.h"
#include "cache/cache_redis_conn.h"
#include "cache/cache_xact.h"
#include "core/clock.h"
#include "core/errors.h"
#include "core/shmem.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/builtins.h"

int
cache_tag_length(const char *tag)
{
	size_t		len = strlen(tag);

	if (len == 0)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
				 errmsg("a cache tag must not be empty")));
	if (len > APIBASE_CACHE_MAX_TAG)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
				 errmsg("a cache tag of %zu bytes is too long", len),
				 errdetail("Tags have at most %d bytes.", APIBASE_CACHE_MAX_TAG)));
	return (int) len;
}

const char **
cache_strings_of(ArrayType *array, int *n)
{
	Datum	   *elements;
	bool	   *nulls;
	const char **strings;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	strings = palloc(Max(*n, 1) * sizeof(char *));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a cache tag must not be null")));
		strings[i] = TextDatumGetCString(elements[i]);
	}
	return strings;
}

void
cache_tag_list(CacheTagList *list, const char *const *tags, int ntags)
{
	Size		size = 1;
	char	   *next;

	if (ntags > APIBASE_CACHE_MAX_TAGS)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
				 errmsg("%d cache tags are too many", ntags),
				 errdetail("An entry has at most %d tags.", APIBASE_CACHE_MAX_TAGS)));
	for (int i = 0; i < ntags; i++)
		size += cache_tag_length(tags[i]) + 1;
	list->names = next = palloc(size);
	list->nslots = 0;
	for (int i = 0; i < ntags; i++)
	{
		int			len = strlen(tags[i]);
		char		parts[APIBASE_CACHE_MAX_TAG + 2];
		int			parts_len;

		memcpy(next, tags[i], len + 1);
		next += len + 1;
		list->slots[list->nslots++] = cache_slot_of_tag(MyDatabaseId, tags[i], len);
		parts_len = cache_tag_of_parts(tags[i], len, parts);
		if (parts_len > 0)
			list->slots[list->nslots++] = cache_slot_of_tag(MyDatabaseId, parts, parts_len);
	}
	list->names_len = next - list->names;
}

void
cache_set_times(CacheItem *item, int64 ttl, int64 grace, double jitter, const CacheNamespaceConfig *config)
{
	if (ttl == 0)
		ttl = config->ttl;
	if (ttl == 0)
		ttl = apibase_cache_default_ttl > 0 ? apibase_cache_default_ttl * USECS_PER_SEC : -1;
	if (RecoveryInProgress())
	{
		int64		most = apibase_cache_standby_ttl * USECS_PER_SEC;

		ttl = ttl < 0 ? most : Min(ttl, most);
		grace = 0;
	}
	if (jitter < 0)
		jitter = config->jitter;
	if (ttl > 0 && jitter > 0)
		ttl -= (int64) (ttl * Min(jitter, 1.0) * pg_prng_double(&pg_global_prng_state));
	item->created = apibase_clock_now();
	item->expires = item->dies = DT_NOEND;
	if (ttl >= 0 && ttl < APIBASE_DURATION_MAX)
	{
		item->expires = item->created + ttl;
		item->dies = item->expires + Min(Max(grace, 0), APIBASE_DURATION_MAX);
	}
}

/* ---- level 1 ---- */

CacheStored
cache_put_level1(const CacheItem *item, uint64 expected, const CacheNamespaceConfig *config,
				 const ApibaseCacheLease *lease)
{
	if (item->expires <= item->created)
		return CACHE_NO_ROOM;
	if (lease == NULL)
		return cache_store_set(item, expected, config->max_entries, config->max_bytes, NULL, NULL, item->created);
	for (int i = 0; i < item->nslots; i++)
	{
		if (!cache_lease_allows(lease, item->slots[i]))
			return CACHE_REFUSED;
	}
	if (!cache_lease_allows(lease, cache_slot_of_key(item->key.hash)) ||
		!cache_lease_allows(lease, cache_slot_of_database(item->database)))
		return CACHE_REFUSED;
	return cache_lease_store(item, expected, config, item->created);
}

void
cache_put_from_level2(const ApibaseCacheKey *key, int nspace, const CacheNamespaceConfig *config,
					  const CacheRedisValue *found, const CacheTagList *tags, const ApibaseCacheLease *lease)
{
	CacheItem	item = {.database = MyDatabaseId, .key = *key, .nspace = nspace, .kind = found->kind};
	TimestampTz now = apibase_clock_now();
	int64		ttl = found->expires == DT_NOEND ? -1 : Max(found->expires - now, 1);

	if (!config->level1)
		return;
	if (found->data)
	{
		item.value = VARDATA(found->data);
		item.value_len = VARSIZE(found->data) - VARHDRSZ;
	}
	item.slots = tags->slots;
	item.nslots = tags->nslots;
	item.tags = tags->names;
	item.tags_len = tags->names_len;
	item.sequence = cache_lease_sequence(lease);
	cache_set_times(&item, ttl, 0, 0, config);
	item.expires = Min(item.expires, found->expires);
	item.dies = Max(item.dies, item.expires);
	item.created = found->created;
	item.cost = found->cost;
	(void) cache_put_level1(&item, CACHE_NONE, config, lease);
}

/* ---- put ---- */

/* What a store says, as a result of put, counted. */
static ApibaseCachePutResult
put_result(CacheStored stored, int nspace, CacheLevel level)
{
	switch (stored)
	{
		case CACHE_STORED:
		case CACHE_REPLACED:
			cache_count(nspace, level, CACHE_SETS, 1);
			return APIBASE_CACHE_STORED;
		case CACHE_REFUSED:
			cache_count(nspace, level, CACHE_INVALIDATIONS, 1);
			return APIBASE_CACHE_REFUSED;
		case CACHE_CONFLICT:
			return APIBASE_CACHE_EXISTS;
		case CACHE_NO_ROOM:
			break;
	}
	cache_count(nspace, level, CACHE_ERRORS, 1);
	return APIBASE_CACHE_TOO_LARGE;
}

/* What could not be kept has still replaced what was there. */
static void
drop_old(const CacheItem *item, const CacheNamespaceConfig *config)
{
	cache_store_delete(item->database, &item->key);
	if (config->level2)
		cache_tag_set_queued(cache_slot_of_key(item->key.hash), cache_redis_queue_key(&item->key, config->key_prefix));
}

/* Both levels, now. */
static ApibaseCachePutResult
put_now(const CacheItem *item, bool only_if_absent, const CacheNamespaceConfig *config, ApibaseCacheLease *lease)
{
	ApibaseCachePutResult result = APIBASE_CACHE_OFF;
	bool		level2 = config->level2 && cache_redis_configured() && !RecoveryInProgress();

	if (config->level1)
		result = put_result(cache_put_level1(item, only_if_absent ? CACHE_NONE : CACHE_ANY, config,
											 only_if_absent && item->nslots == 0 ? NULL : lease),
							item->nspace, CACHE_LEVEL1);
	else
		cache_store_delete(item->database, &item->key);
	if (level2 && result != APIBASE_CACHE_REFUSED && result != APIBASE_CACHE_EXISTS &&
		cache_redis_put(&item->key, config, item, lease))
	{
		cache_count(item->nspace, CACHE_LEVEL2, CACHE_SETS, 1);
		result = APIBASE_CACHE_STORED;
	}
	if ((result == APIBASE_CACHE_TOO_LARGE || result == APIBASE_CACHE_OFF) && !only_if_absent)
		drop_old(item, config);
	return result;
}

ApibaseCachePutResult
apibase_cache_put(const ApibaseCacheKey *key, const ApibaseCachePut *put)
{
	CacheItem	item = {.database = MyDatabaseId, .key = *key, .kind = put->kind, .cost = put->cost};
	CacheNamespaceConfig config;
	ApibaseCacheLease *lease = put->lease;
	CacheTagList tags;
	const CacheItem *mine;
	ApibaseCachePutResult result = APIBASE_CACHE_STORED;

	if (!apibase_cache_usable(true))
		return APIBASE_CACHE_OFF;
	cache_store_expect_key(key);
	cache_tag_expect(cache_slot_of_key(key->hash));
	cache_tag_list(&tags, put->tags, put->ntags);
	item.nspace = cache_namespace_of(key);
	cache_namespace_config(item.nspace, &config);
	if (put->only_if_absent && cache_xact_get(key, &mine) && mine != NULL && apibase_clock_now() < mine->expires)
		return APIBASE_CACHE_EXISTS;
	if (put->data)
	{
		item.value = VARDATA_ANY(put->data);
		item.value_len = VARSIZE_ANY_EXHDR(put->data);
	}
	item.slots = tags.slots;
	item.nslots = tags.nslots;
	item.tags = tags.names;
	item.tags_len = tags.names_len;
	if (lease == NULL)
		lease = cache_lease_of(key);
	if (lease == NULL)
		lease = cache_lease_take();
	item.sequence = cache_lease_sequence(lease);
	cache_set_times(&item, put->ttl, put->grace, put->jitter, &config);

	/* Who puts only if nothing is there wants to be the one who did: that cannot wait for the commit. */
	if (cache_xact_is_private() && (!put->only_if_absent || item.nslots > 0 || cache_xact_bypasses_key(key)))
	{
		if (!cache_xact_put(&item, lease, put->only_if_absent, put->lease == NULL, &config))
			result = APIBASE_CACHE_TOO_LARGE;
	}
	else
		result = put_now(&item, put->only_if_absent, &config, lease);
	if (result == APIBASE_CACHE_REFUSED && put->lease == NULL)
		cache_lease_refused(key, lease);
	else
		cache_lease_forget(key);
	pfree(tags.names);
	return result;
}

/* ---- delete, invalidate ---- */

bool
apibase_cache_delete(const ApibaseCacheKey *key)
{
	const CacheItem *mine;
	CacheHit	hit;
	bool		there = false;

	if (!apibase_shmem_available())
		return false;
	if (cache_xact_get(key, &mine))
		there = mine != NULL;
	else if (!cache_xact_bypasses_key(key))
		there = cache_store_get(MyDatabaseId, key, apibase_clock_now(), CACHE_GET_NO_VALUE | CACHE_GET_PEEK, NULL, &hit) == CACHE_FOUND;
	cache_count(cache_namespace_of(key), CACHE_LEVEL1, CACHE_DELETES, 1);
	cache_xact_delete(key);
	return there;
}

void
apibase_cache_invalidate(const char *tag)
{
	int			len = cache_tag_length(tag);

	if (apibase_shmem_available())
		cache_xact_invalidate(tag, len);
}
