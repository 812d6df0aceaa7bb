/*-------------------------------------------------------------------------
 *
 * cache_sql.c
 *	  The functions of SQL that get, set, delete and invalidate.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_put.h"
#include "cache/cache_xact.h"
#include "core/clock.h"
#include "core/errors.h"
#include "core/glob.h"
#include "core/shmem.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* Bytes of a pattern: enough for a key in which each byte is quoted. */
#define MAX_PATTERN (2 * APIBASE_CACHE_MAX_KEY)

PG_FUNCTION_INFO_V1(apibase_cache_sql_get);
PG_FUNCTION_INFO_V1(apibase_cache_sql_get_many);
PG_FUNCTION_INFO_V1(apibase_cache_sql_exists);
PG_FUNCTION_INFO_V1(apibase_cache_sql_ttl);
PG_FUNCTION_INFO_V1(apibase_cache_sql_set);
PG_FUNCTION_INFO_V1(apibase_cache_sql_add);
PG_FUNCTION_INFO_V1(apibase_cache_sql_touch);
PG_FUNCTION_INFO_V1(apibase_cache_sql_increment);
PG_FUNCTION_INFO_V1(apibase_cache_sql_delete);
PG_FUNCTION_INFO_V1(apibase_cache_sql_clear);
PG_FUNCTION_INFO_V1(apibase_cache_sql_invalidate);

/* ---- arguments ---- */

/* A key; the text must outlive it. */
static void
key_of(ApibaseCacheKey *key, const text *name)
{
	apibase_cache_key(key, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
}

/* The same for a key to be put. */
static void
put_key_of(ApibaseCacheKey *key, const text *name)
{
	cache_key_by_hand(key, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
}

/* A time to live as ApibaseCachePut has it; NULL is that of the namespace. */
static int64
ttl_of(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return 0;
	return apibase_duration(PG_GETARG_INTERVAL_P(arg), "the time to live");
}

/* ---- get ---- */

/* The value as a jsonb, NULL if it is none. */
static Jsonb *
jsonb_of(ApibaseCacheOutcome outcome, const ApibaseCacheValue *value)
{
	if (outcome != APIBASE_CACHE_HIT || value->kind != APIBASE_CACHE_JSONB)
		return NULL;
	return (Jsonb *) value->data;
}

/* apibase.cache_get(key) */
Datum
apibase_cache_sql_get(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	ApibaseCacheKey key;
	ApibaseCacheValue value;
	Jsonb	   *json;

	key_of(&key, name);
	json = jsonb_of(apibase_cache_get(&key, false, &value), &value);
	if (json == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(json);
}

/* apibase.cache_get_many(keys): those that are there */
Datum
apibase_cache_sql_get_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			m = 0;
	ApibaseCacheKey *keys;
	ApibaseCacheOutcome *outcomes;
	ApibaseCacheValue *values;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	keys = palloc(Max(n, 1) * sizeof(ApibaseCacheKey));
	outcomes = palloc(Max(n, 1) * sizeof(ApibaseCacheOutcome));
	values = palloc(Max(n, 1) * sizeof(ApibaseCacheValue));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			continue;
		names[m] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(names[i]));
		key_of(&keys[m], (text *) DatumGetPointer(names[m]));
		m++;
	}
	apibase_cache_get_many(keys, m, outcomes, values);
	for (int i = 0; i < m; i++)
	{
		Jsonb	   *json = jsonb_of(outcomes[i], &values[i]);
		Datum		row[2] = {names[i], PointerGetDatum(json)};
		bool		row_nulls[2] = {false, false};

		if (json != NULL)
			tuplestore_putvalues(result->setResult, result->setDesc, row, row_nulls);
	}
	return (Datum) 0;
}

/* What this transaction or level 1 has of a key, without counting as a use; false if nothing valid. */
static bool
look(const ApibaseCacheKey *key, TimestampTz *expires)
{
	const CacheItem *mine;
	CacheHit	hit;

	if (!apibase_cache_usable(true))
		return false;
	if (cache_xact_get(key, &mine))
	{
		*expires = mine ? mine->expires : 0;
		return apibase_clock_now() < *expires;
	}
	if (cache_xact_bypasses_key(key) ||
		cache_store_get(MyDatabaseId, key, apibase_clock_now(), CACHE_GET_NO_VALUE | CACHE_GET_PEEK,
						cache_xact_pending() ? cache_xact_not_bypassed : NULL, &hit) != CACHE_FOUND)
		return false;
	*expires = hit.expires;
	return true;
}

/* apibase.cache_exists(key) */
Datum
apibase_cache_sql_exists(PG_FUNCTION_ARGS)
{
	ApibaseCacheKey key;
	TimestampTz expires;

	key_of(&key, PG_GETARG_TEXT_PP(0));
	PG_RETURN_BOOL(look(&key, &expires));
}

/* apibase.cache_ttl(key): what is left */
Datum
apibase_cache_sql_ttl(PG_FUNCTION_ARGS)
{
	ApibaseCacheKey key;
	TimestampTz expires;
	Interval   *left;

	key_of(&key, PG_GETARG_TEXT_PP(0));
	if (!look(&key, &expires) || expires == DT_NOEND)
		PG_RETURN_NULL();
	left = palloc0(sizeof(Interval));
	left->time = Max(expires - apibase_clock_now(), 0);
	PG_RETURN_INTERVAL_P(left);
}

/* ---- set ---- */

/* apibase.cache_set(key, value, ttl, tags) */
Datum
apibase_cache_sql_set(PG_FUNCTION_ARGS)
{
	ApibaseCachePut put = {.kind = APIBASE_CACHE_JSONB, .jitter = -1};
	ApibaseCacheKey key;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	put_key_of(&key, PG_GETARG_TEXT_PP(0));
	put.data = (struct varlena *) PG_GETARG_JSONB_P(1);
	put.ttl = ttl_of(fcinfo, 2);
	if (!PG_ARGISNULL(3))
		put.tags = cache_strings_of(PG_GETARG_ARRAYTYPE_P(3), &put.ntags);
	PG_RETURN_BOOL(apibase_cache_put(&key, &put) == APIBASE_CACHE_STORED);
}

/* apibase.cache_add(key, value, ttl) */
Datum
apibase_cache_sql_add(PG_FUNCTION_ARGS)
{
	ApibaseCachePut put = {.kind = APIBASE_CACHE_JSONB, .jitter = 0, .only_if_absent = true};
	ApibaseCacheKey key;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	put_key_of(&key, PG_GETARG_TEXT_PP(0));
	put.data = (struct varlena *) PG_GETARG_JSONB_P(1);
	put.ttl = ttl_of(fcinfo, 2);
	PG_RETURN_BOOL(apibase_cache_put(&key, &put) == APIBASE_CACHE_STORED);
}

/* apibase.cache_touch(key, ttl): a new time to live */
Datum
apibase_cache_sql_touch(PG_FUNCTION_ARGS)
{
	ApibaseCacheKey key;
	CacheNamespaceConfig config;
	CacheItem	item = {0};
	bool		touched;
	int64		ttl;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	key_of(&key, PG_GETARG_TEXT_PP(0));
	ttl = ttl_of(fcinfo, 1);
	if (!apibase_cache_usable(true))
		PG_RETURN_BOOL(false);
	cache_namespace_config(cache_namespace_of(&key), &config);
	cache_set_times(&item, ttl, 0, 0, &config);
	if (cache_xact_touch(&key, item.expires, item.dies, &touched))
		PG_RETURN_BOOL(touched);
	if (cache_xact_bypasses_key(&key))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(cache_store_touch(MyDatabaseId, &key, item.expires, item.dies, item.created));
}

/* The integer in a jsonb. */
static int64
integer_of(const ApibaseCacheKey *key, Jsonb *json)
{
	JsonbValue	scalar;

	if (JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &scalar) && scalar.type == jbvNumeric)
	{
		Datum		number = NumericGetDatum(scalar.val.numeric);

		if (DatumGetBool(DirectFunctionCall2(numeric_eq, number, DirectFunctionCall1(numeric_floor, number))))
			return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	}
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_CACHE_VALUE_NOT_INTEGER),
			 errmsg("the cached value of \"%.*s\" is not an integer", key->len, key->name)));
}

/* A jsonb of an integer. */
static struct varlena *
jsonb_of_integer(int64 number)
{
	JsonbValue	scalar = {.type = jbvNumeric};

	scalar.val.numeric = int64_to_numeric(number);
	return (struct varlena *) JsonbValueToJsonb(&scalar);
}

/* A new value of an entry keeps its tags, and with them its lease, and its time. */
static void
keep(CacheItem *item, const CacheHit *hit, CacheTagList *tags)
{
	const char *names[APIBASE_CACHE_MAX_TAGS];
	int			n = 0;

	item->expires = item->dies = hit->expires;
	if (hit->tags_len == 0)
		return;
	for (const char *name = hit->tags; name < hit->tags + hit->tags_len; name += strlen(name) + 1)
		names[n++] = name;
	cache_tag_list(tags, names, n);
	item->slots = tags->slots;
	item->nslots = tags->nslots;
	item->tags = tags->names;
	item->tags_len = tags->names_len;
	item->sequence = hit->sequence;
}

/*
 * Get the counter, add, and store if it is still the one that was read.  A
 * new one gets a time to live, an existing one keeps its own.  False if there
 * is no room for it.
 */
static bool
increment(const ApibaseCacheKey *key, int64 by, int64 ttl, int64 *sum)
{
	CacheItem	item = {.database = MyDatabaseId, .key = *key, .kind = APIBASE_CACHE_JSONB, .nspace = cache_namespace_of(key)};
	CacheNamespaceConfig config;
	CacheTagList tags;
	CacheStored stored;
	int64		number;

	cache_namespace_config(item.nspace, &config);
	do
	{
		CacheHit	hit = {0};
		bool		there;
		struct varlena *data;

		CHECK_FOR_INTERRUPTS();
		there = cache_store_get(MyDatabaseId, key, apibase_clock_now(), CACHE_GET_TAGS | CACHE_GET_PEEK, NULL,
								&hit) == CACHE_FOUND;
		number = there && hit.kind == APIBASE_CACHE_JSONB ? integer_of(key, (Jsonb *) hit.data) : 0;
		if (pg_add_s64_overflow(number, by, &number))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("bigint out of range")));
		data = jsonb_of_integer(number);
		item.value = VARDATA(data);
		item.value_len = VARSIZE(data) - VARHDRSZ;
		item.sequence = cache_tags_sequence();
		cache_set_times(&item, ttl, 0, 0, &config);
		if (there)
			keep(&item, &hit, &tags);
		stored = cache_put_level1(&item, there ? hit.version : CACHE_NONE, &config, NULL);
	} while (stored == CACHE_CONFLICT);
	cache_count(item.nspace, CACHE_LEVEL1, stored == CACHE_NO_ROOM ? CACHE_ERRORS : CACHE_SETS, 1);
	*sum = number;
	return stored != CACHE_NO_ROOM;
}

/*
 * apibase.cache_increment(key, by, ttl): at once and atomic in this server,
 * not transactional.
 */
Datum
apibase_cache_sql_increment(PG_FUNCTION_ARGS)
{
	ApibaseCacheKey key;
	int64		by;
	int64		ttl;
	int64		sum;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	put_key_of(&key, PG_GETARG_TEXT_PP(0));
	by = PG_GETARG_INT64(1);
	ttl = ttl_of(fcinfo, 2);
	if (!apibase_cache_usable(true) || !increment(&key, by, ttl, &sum))
		PG_RETURN_NULL();
	PG_RETURN_INT64(sum);
}

/* ---- at commit ---- */

/* apibase.cache_delete(key) */
Datum
apibase_cache_sql_delete(PG_FUNCTION_ARGS)
{
	ApibaseCacheKey key;

	key_of(&key, PG_GETARG_TEXT_PP(0));
	PG_RETURN_BOOL(apibase_cache_delete(&key));
}

/* What a scan counts. */
typedef struct Counting
{
	const char *pattern;
	int			pattern_len;
	TimestampTz now;
	int64		count;
} Counting;

/* A valid entry of this database that matches the pattern. */
static bool
count_entry(const CacheEntryInfo *entry, void *arg)
{
	Counting   *counting = arg;

	if (entry->database == MyDatabaseId && cache_entry_is_valid(entry, counting->now))
		counting->count += apibase_glob_matches(counting->pattern, counting->pattern_len, entry->key.name, entry->key.len);
	return true;
}

/* apibase.cache_clear(pattern) */
Datum
apibase_cache_sql_clear(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(0);
	Counting	counting = {.pattern = VARDATA_ANY(pattern), .pattern_len = VARSIZE_ANY_EXHDR(pattern)};

	if (counting.pattern_len > MAX_PATTERN)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_KEY),
				 errmsg("a pattern of %d bytes is too long", counting.pattern_len),
				 errdetail("Patterns have at most %d bytes.", MAX_PATTERN)));
	if (!apibase_shmem_available())
		PG_RETURN_INT64(0);
	counting.now = apibase_clock_now();
	cache_store_scan(count_entry, &counting);
	cache_xact_clear(counting.pattern, counting.pattern_len);
	PG_RETURN_INT64(counting.count);
}

/* apibase.cache_invalidate(variadic tags) */
Datum
apibase_cache_sql_invalidate(PG_FUNCTION_ARGS)
{
	const char **tags;
	int64		count = 0;
	int			n;

	tags = cache_strings_of(PG_GETARG_ARRAYTYPE_P(0), &n);
	for (int i = 0; i < n; i++)
		(void) cache_tag_length(tags[i]);
	if (!apibase_shmem_available())
		PG_RETURN_INT64(0);
	for (int i = 0; i < n; i++)
	{
		CacheSlot	slot = cache_slot_of_tag(MyDatabaseId, tags[i], strlen(tags[i]));

		/* What this transaction has invalidated already is not there for it. */
		if (!cache_xact_pending() || cache_xact_not_bypassed(&slot, 1))
			count += cache_tag_entries(slot);
		apibase_cache_invalidate(tags[i]);
	}
	PG_RETURN_INT64(count);
}
