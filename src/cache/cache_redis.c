/*-------------------------------------------------------------------------
 *
 * cache_redis.c
 *	  Level 2: get and put.  (See cache_redis.h for the idea.)
 *
 * A get asks for the values and the versions of their keys, then for the
 * versions of the tags that the values name, and looks at the lease last, so
 * that an invalidation that ended meanwhile counts.  A put asks for the
 * versions, looks at the lease, and sends the value.  The queue is looked at
 * before a version is asked for: what had been sent then is in the answer,
 * and what comes later is seen by the lease.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_value.h"
#include "core/clock.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* ---- versions ---- */

/* Whether what Redis has for a slot can be right: nothing is being committed, nothing waits to be sent. */
static bool
slot_is_sent(CacheSlot slot)
{
	return !cache_tag_marked(slot) && cache_tag_queued(slot) <= cache_redis_sent();
}

static bool
dependencies_are_sent(const CacheRedisDependencies *on)
{
	for (int i = 0; i < on->n; i++)
	{
		if (!slot_is_sent(on->items[i].slot))
			return false;
	}
	return true;
}

static char *
dependency_name(uint64 epoch, Oid database, const CacheRedisDependency *item)
{
	if (item->kind == CACHE_REDIS_ON_KEY)
		return cache_redis_key_name(epoch, database, item->name, strlen(item->name));
	return cache_redis_tag_name(epoch, database, item->name, strlen(item->name));
}

/* ---- get ---- */

typedef struct Lookup
{
	bool		asked;			/* in this round */
	bool		alive;			/* may still be a hit */
	int			first;			/* its first answer */
	CacheRedisDependencies on;
} Lookup;

/* The first round: values, and versions of keys. */
static bool
ask_values(uint64 epoch, const ApibaseCacheKey *keys, int n, const CacheNamespaceConfig *configs, Lookup *lookups,
		   CacheRedisValue *values)
{
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;
	bool		answered = true;

	for (int i = 0; i < n; i++)
	{
		if (!configs[i].level2 || !slot_is_sent(cache_slot_of_key(keys[i].hash)))
			continue;
		lookups[i].asked = true;
		lookups[i].first = batch.n;
		cache_redis_batch_get(&batch, cache_redis_value_name(epoch, MyDatabaseId, configs[i].key_prefix,
															 strlen(configs[i].key_prefix), keys[i].name, keys[i].len));
		cache_redis_batch_get(&batch, cache_redis_key_name(epoch, MyDatabaseId, keys[i].name, keys[i].len));
	}
	answers = cache_redis_batch_run(&batch);
	for (int i = 0; i < n; i++)
	{
		CacheRedisAnswer *value = &answers[lookups[i].first];
		CacheRedisAnswer *version = value + 1;
		CacheRedisDependencies *on = &lookups[i].on;

		if (!lookups[i].asked)
			continue;
		if (value->kind == CACHE_REDIS_NO_ANSWER || version->kind == CACHE_REDIS_NO_ANSWER)
		{
			cache_count(cache_namespace_of(&keys[i]), CACHE_LEVEL2, CACHE_ERRORS, 1);
			answered = false;
		}
		else if (value->kind == CACHE_REDIS_TEXT && version->kind == CACHE_REDIS_TEXT)
		{
			if (cache_redis_decode(value->text, value->len, MyDatabaseId, &keys[i], &values[i], on))
				lookups[i].alive = strcmp(version->text, on->items[0].version) == 0 &&
					values[i].expires > apibase_clock_now() && dependencies_are_sent(on);
			else
				cache_count(cache_namespace_of(&keys[i]), CACHE_LEVEL2, CACHE_ERRORS, 1);
		}
	}
	return answered;
}

/* The second round: versions of tags. */
static bool
ask_tags(uint64 epoch, int n, Lookup *lookups)
{
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;
	bool		answered = true;

	for (int i = 0; i < n; i++)
	{
		lookups[i].first = batch.n - 1;
		for (int j = 1; lookups[i].alive && j < lookups[i].on.n; j++)
			cache_redis_batch_get(&batch, dependency_name(epoch, MyDatabaseId, &lookups[i].on.items[j]));
	}
	answers = cache_redis_batch_run(&batch);
	for (int i = 0; i < n; i++)
	{
		for (int j = 1; lookups[i].alive && j < lookups[i].on.n; j++)
		{
			CacheRedisAnswer *answer = &answers[lookups[i].first + j];

			if (answer->kind == CACHE_REDIS_NO_ANSWER)
				answered = false;
			if (answer->kind != CACHE_REDIS_TEXT || strcmp(answer->text, lookups[i].on.items[j].version) != 0)
				lookups[i].alive = false;
		}
	}
	return answered;
}

static bool
lease_allows(const ApibaseCacheLease *lease, const CacheRedisDependencies *on)
{
	if (!cache_lease_allows(lease, cache_slot_of_database(MyDatabaseId)))
		return false;
	for (int i = 0; i < on->n; i++)
	{
		if (!cache_lease_allows(lease, on->items[i].slot))
			return false;
	}
	return true;
}

bool
cache_redis_get(const ApibaseCacheKey *keys, int n, const CacheNamespaceConfig *configs, ApibaseCacheLease *lease,
				CacheRedisValue *values)
{
	uint64		epoch = cache_redis_epoch();
	Lookup	   *lookups;
	bool		answered;

	for (int i = 0; i < n; i++)
		values[i].found = false;
	if (epoch == 0 || !slot_is_sent(cache_slot_of_database(MyDatabaseId)) || !cache_redis_available())
		return false;
	lookups = palloc0(n * sizeof(Lookup));
	answered = ask_values(epoch, keys, n, configs, lookups, values);
	answered = ask_tags(epoch, n, lookups) && answered;

	/* Last: had anything been invalidated since, its lease or the epoch would tell. */
	for (int i = 0; i < n; i++)
		values[i].found = lookups[i].alive && lease_allows(lease, &lookups[i].on) && cache_redis_epoch() == epoch;
	pfree(lookups);
	return answered;
}

/* ---- put ---- */

/* Whether the value is still right; without a lease, as far as the number of the item's tells. */
static bool
still_allowed(const CacheItem *item, const ApibaseCacheLease *lease, const CacheRedisDependencies *on)
{
	if (lease != NULL)
		return lease_allows(lease, on);
	if (!cache_tag_valid(cache_slot_of_database(item->database), item->sequence))
		return false;
	for (int i = 0; i < on->n; i++)
	{
		if (!cache_tag_valid(on->items[i].slot, item->sequence))
			return false;
	}
	return true;
}

/* What an item depends on, with the versions that Redis has; those that are missing are made. */
static bool
read_versions(uint64 epoch, Oid database, CacheRedisDependencies *on)
{
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;

	for (int i = 0; i < on->n; i++)
	{
		char	   *name = dependency_name(epoch, database, &on->items[i]);
		char	   *version = palloc(CACHE_REDIS_VERSION_LEN + 1);

		cache_redis_new_version(version);
		cache_redis_batch_set(&batch, name, version, CACHE_REDIS_VERSION_LEN, cache_redis_version_ttl(), true);
		cache_redis_batch_get(&batch, name);
	}
	answers = cache_redis_batch_run(&batch);
	for (int i = 0; i < on->n; i++)
	{
		CacheRedisAnswer *answer = &answers[2 * i + 1];

		if (answer->kind != CACHE_REDIS_TEXT || answer->len != CACHE_REDIS_VERSION_LEN)
			return false;
		memcpy(on->items[i].version, answer->text, CACHE_REDIS_VERSION_LEN + 1);
	}
	return true;
}

bool
cache_redis_put_item(const CacheItem *item, const char *prefix, const ApibaseCacheLease *lease)
{
	uint64		epoch = cache_redis_epoch();
	CacheRedisDependencies *on = palloc(sizeof(CacheRedisDependencies));
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;
	StringInfoData text;
	char	   *name;
	int64		ttl = cache_redis_value_ttl(item->expires);

	on->n = 0;
	cache_redis_depend(on, CACHE_REDIS_ON_KEY, item->database, pnstrdup(item->key.name, item->key.len));
	for (const char *tag = item->tags; tag < item->tags + item->tags_len; tag += strlen(tag) + 1)
		cache_redis_depend_on_tag(on, item->database, tag);
	if (epoch == 0 || RecoveryInProgress() || ttl <= 0 || !cache_redis_available())
		return false;

	/* The worker's item is itself what its key waits for; what came after it has a higher number. */
	if (lease != NULL && !dependencies_are_sent(on))
		return false;
	if (!read_versions(epoch, item->database, on))
	{
		cache_count(item->nspace, CACHE_LEVEL2, CACHE_ERRORS, 1);
		return false;
	}
	if (!still_allowed(item, lease, on))
		return false;
	if (!cache_redis_encode(&text, item, on))
		return false;
	name = cache_redis_value_name(epoch, item->database, prefix, strlen(prefix), item->key.name, item->key.len);
	cache_redis_batch_set(&batch, name, text.data, text.len, ttl, false);
	answers = cache_redis_batch_run(&batch);
	if (answers[0].kind != CACHE_REDIS_DONE)
		cache_count(item->nspace, CACHE_LEVEL2, CACHE_ERRORS, 1);
	return answers[0].kind == CACHE_REDIS_DONE;
}

/* Whether somebody else has put the key meanwhile: which value came last may differ between the levels. */
static bool
level1_has_another(const CacheItem *item)
{
	CacheHit	hit;

	return cache_store_get(item->database, &item->key, apibase_clock_now(), CACHE_GET_PEEK | CACHE_GET_NO_VALUE, NULL,
						   &hit) == CACHE_FOUND && hit.created != item->created;
}

bool
cache_redis_put(const ApibaseCacheKey *key, const CacheNamespaceConfig *config, const CacheItem *item,
				ApibaseCacheLease *lease)
{
	MemoryContext context;
	MemoryContext old;
	volatile bool put = false;

	if (RecoveryInProgress())
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "apibase cache level 2", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	/* An error can only be an interrupt: then it is not known whether Redis has the value, as after a failure. */
	PG_TRY();
	{
		put = cache_redis_put_item(item, config->key_prefix, lease) && !level1_has_another(item);
	}
	PG_FINALLY();
	{
		if (!put)
			cache_tag_set_queued(cache_slot_of_key(key->hash), cache_redis_queue_key(key, config->key_prefix));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return put;
}
