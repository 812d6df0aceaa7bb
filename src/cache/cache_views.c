/*-------------------------------------------------------------------------
 *
 * cache_views.c
 *	  What the cache shows of itself: functions behind views, and the checker.
 *
 * The views show the current database, and none has rows on a server that has
 * not preloaded the library.  Who sees entries sees the keys of everybody, so
 * the functions are not for PUBLIC.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_namespace.h"
#include "cache/cache_put.h"
#include "cache/cache_store.h"
#include "core/clock.h"
#include "core/shmem.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_cache_entries);
PG_FUNCTION_INFO_V1(apibase_cache_stats);
PG_FUNCTION_INFO_V1(apibase_cache_memory);
PG_FUNCTION_INFO_V1(apibase_cache_reset_stats);
PG_FUNCTION_INFO_V1(apibase_cache_verify);

/* ---- entries ---- */

typedef struct EntriesScan
{
	ReturnSetInfo *result;
	MemoryContext context;		/* of one row */
	TimestampTz now;
} EntriesScan;

static const char *
kind_name(ApibaseCacheKind kind)
{
	switch (kind)
	{
		case APIBASE_CACHE_JSONB:
			return "jsonb";
		case APIBASE_CACHE_DATUM:
			return "binary";
		case APIBASE_CACHE_NOTHING:
			return "nothing";
	}
	return "unknown";
}

/* Terminated strings, one after the other, as text[]. */
static Datum
tags_array(const char *tags, Size len)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	for (const char *tag = tags; tag < tags + len; tag += strlen(tag) + 1)
		accumArrayResult(state, CStringGetTextDatum(tag), false, TEXTOID, CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

bool
cache_entry_is_valid(const CacheEntryInfo *entry, TimestampTz now)
{
	if (now >= entry->expires ||
		cache_tag_marked(cache_slot_of_database(entry->database)))
		return false;
	for (int i = 0; i < entry->nslots; i++)
	{
		if (!cache_tag_valid(entry->slots[i], entry->sequence))
			return false;
	}
	return true;
}

/* The namespace of a key, as a text; NULL for nobody's own. */
static Datum
namespace_name(int nspace, bool *null)
{
	Oid			database;
	const char *name;

	*null = nspace == CACHE_NAMESPACE_OTHERS;
	if (*null)
		return (Datum) 0;
	cache_namespace_identity(nspace, &database, &name);
	return CStringGetTextDatum(name);
}

static Datum
time_or_null(TimestampTz time, bool null, bool *isnull)
{
	*isnull = null;
	return TimestampTzGetDatum(time);
}

/* One entry: a row, if it is of this database. */
static bool
add_entry(const CacheEntryInfo *entry, void *arg)
{
	EntriesScan *scan = arg;
	Datum		values[12];
	bool		nulls[12] = {0};
	MemoryContext old;
	int			i = 0;

	if (entry->database != MyDatabaseId)
		return true;
	old = MemoryContextSwitchTo(scan->context);
	values[i++] = PointerGetDatum(cstring_to_text_with_len(entry->key.name, entry->key.len));
	values[i] = namespace_name(entry->nspace, &nulls[i]);
	i++;
	values[i++] = CStringGetTextDatum(kind_name(entry->kind));
	values[i++] = Int64GetDatum((int64) entry->bytes);
	values[i++] = Int64GetDatum((int64) entry->value_len);
	values[i++] = tags_array(entry->tags, entry->tags_len);
	values[i++] = TimestampTzGetDatum(entry->created);
	values[i] = time_or_null(entry->expires, entry->expires == DT_NOEND, &nulls[i]);
	i++;
	values[i] = time_or_null(entry->dies, entry->dies == entry->expires, &nulls[i]);
	i++;
	values[i++] = Int64GetDatum((int64) entry->hits);
	values[i++] = BoolGetDatum(cache_entry_is_valid(entry, scan->now));
	values[i++] = Int64GetDatum((int64) entry->stamp);
	tuplestore_putvalues(scan->result->setResult, scan->result->setDesc, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->context);
	return true;
}

/* apibase_internal.cache_entries(): the entries of this database. */
Datum
apibase_cache_entries(PG_FUNCTION_ARGS)
{
	EntriesScan scan;

	InitMaterializedSRF(fcinfo, 0);
	if (!apibase_shmem_available())
		return (Datum) 0;
	scan.result = (ReturnSetInfo *) fcinfo->resultinfo;
	scan.context = AllocSetContextCreate(CurrentMemoryContext, "apibase cache entries", ALLOCSET_DEFAULT_SIZES);
	scan.now = apibase_clock_now();
	cache_store_scan(add_entry, &scan);
	MemoryContextDelete(scan.context);
	return (Datum) 0;
}

/* ---- counters ---- */

/* One row of the view cache_stats. */
static void
add_stats(ReturnSetInfo *result, int nspace, CacheLevel level)
{
	uint64		counters[CACHE_NCOUNTERS];
	uint64		entries;
	uint64		bytes;
	Datum		values[CACHE_NCOUNTERS + 4];
	bool		nulls[CACHE_NCOUNTERS + 4] = {0};
	int			i = 0;

	cache_namespace_counters(nspace, level, counters);
	if (level == CACHE_LEVEL1)
		counters[CACHE_HITS] += cache_store_hits(nspace);
	values[i] = namespace_name(nspace, &nulls[i]);
	i++;
	values[i++] = CStringGetTextDatum(level == CACHE_LEVEL1 ? "l1" : "l2");
	for (int counter = 0; counter < CACHE_NCOUNTERS; counter++)
		values[i++] = Int64GetDatum((int64) counters[counter]);
	cache_store_namespace_size(nspace, &entries, &bytes);
	nulls[i] = nulls[i + 1] = level != CACHE_LEVEL1;
	values[i++] = Int64GetDatum((int64) entries);
	values[i++] = Int64GetDatum((int64) bytes);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Whether the counters of a namespace are this database's to see and to reset. */
static bool
is_ours(int nspace)
{
	Oid			database;
	const char *name;

	cache_namespace_identity(nspace, &database, &name);
	return nspace == CACHE_NAMESPACE_OTHERS || database == MyDatabaseId;
}

/* apibase_internal.cache_stats(): the counters of the namespaces of this database, by level. */
Datum
apibase_cache_stats(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	if (!apibase_shmem_available())
		return (Datum) 0;
	for (int nspace = 0; nspace < cache_namespaces_used(); nspace++)
	{
		if (!is_ours(nspace))
			continue;
		for (int level = 0; level < CACHE_LEVELS; level++)
			add_stats((ReturnSetInfo *) fcinfo->resultinfo, nspace, (CacheLevel) level);
	}
	return (Datum) 0;
}

/* apibase.cache_reset_stats(): those to zero. */
Datum
apibase_cache_reset_stats(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("the counters of the cache cannot be reset");
	for (int nspace = 0; nspace < cache_namespaces_used(); nspace++)
	{
		if (!is_ours(nspace))
			continue;
		cache_namespace_reset_counters(nspace);
		cache_store_reset_hits(nspace);
	}
	PG_RETURN_VOID();
}

/* apibase_internal.cache_memory(): what of the shared memory is in use, by all databases. */
Datum
apibase_cache_memory(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[6];
	bool		nulls[6] = {0};
	uint64		total;
	uint64		chunks;
	int			i = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (!apibase_shmem_available())
		return (Datum) 0;
	total = (uint64) apibase_cache_size * 1024 * 1024;
	chunks = cache_store_chunks();
	values[i++] = Int64GetDatum((int64) cache_store_entries());
	values[i++] = Int64GetDatum(apibase_cache_max_entries);
	values[i++] = Int64GetDatum((int64) ((chunks - cache_store_chunks_free()) * (total / chunks)));
	values[i++] = Int64GetDatum((int64) total);
	values[i++] = Int32GetDatum(cache_namespaces_used() - 1);
	values[i++] = Int32GetDatum(apibase_cache_max_namespaces - 1);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* ---- the checker ---- */

/* apibase_internal.cache_verify(): the faults of the structures in shared memory, one a row. */
Datum
apibase_cache_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StringInfoData faults;
	char	   *line;
	char	   *rest;

	apibase_shmem_require("the cache cannot be verified");
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	initStringInfo(&faults);
	cache_store_verify(&faults);
	rest = faults.data;
	while ((line = strsep(&rest, "\n")) != NULL)
	{
		Datum		value = CStringGetTextDatum(line);
		bool		null = false;

		if (line[0] != '\0')
			tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
	}
	return (Datum) 0;
}
