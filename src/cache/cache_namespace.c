/*-------------------------------------------------------------------------
 *
 * cache_namespace.c
 *	  Namespaces: their configuration, and the counters of the cache.
 *
 * Shared memory has four arrays here:
 *
 *	databases	whose table has been read, and which generation of it
 *	namespaces	by number: database, name, a copy of the configuration
 *	buckets		a hash table of numbers, never more than half full
 *	counters	one set a stripe, namespace and level
 *
 * Namespaces and databases are only ever added, under one lock, and are
 * complete before they can be found, so looking one up takes no lock.  A
 * configuration is written under the same lock, and read without it: a
 * version, odd while it is being written, tells the reader to read again.
 *
 * The table apibase.cache_namespaces is read without SPI and without the
 * user's privileges, by table access with SnapshotSelf: no snapshot is taken,
 * so that this works in any transaction, on a standby, and without predicate
 * locks in a serializable one.  Such a scan may see half of a transaction
 * that commits meanwhile; but that transaction raises the wanted generation
 * afterwards, so the table is read again.  Uncommitted changes of the reader's
 * own must not get into shared memory: who holds a lock for writing the table
 * does not read it.
 *
 * Nothing raises the generation on a standby, where the table changes by
 * replay; there it is read again every few seconds.
 *
 * A backend counts in the stripe that its process id says, so a counter is
 * seldom written by two at once.  All stripes together are the exact number.
 * Hits of entries in level 1 are not among them: the store counts these.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_namespace.h"
#include "core/clock.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define MAX_DATABASES	64
#define STRIPES			16		/* a power of 2 */

/* On a standby, how long what was read of the table counts. */
#define STANDBY_INTERVAL	(INT64CONST(5) * USECS_PER_SEC)

typedef struct DatabaseSlot
{
	pg_atomic_uint32 database;	/* InvalidOid: free, and so are all after it */
	pg_atomic_uint64 wanted;	/* generation of the table that is committed */
	pg_atomic_uint64 loaded;	/* the one that the namespaces have */
	pg_atomic_uint64 until;		/* a TimestampTz: for how long it counts; DT_NOEND unless read in recovery */
	char		padding[PG_CACHE_LINE_SIZE - 4 * sizeof(pg_atomic_uint64)];
} DatabaseSlot;

typedef struct Namespace
{
	Oid			database;
	uint32		hash;			/* of database and name */
	int			len;
	char		name[CACHE_MAX_NAMESPACE + 1];
	pg_atomic_uint32 version;	/* of config; odd while it is being written */
	CacheNamespaceConfig config;
} Namespace;

typedef pg_atomic_uint64 Counters[CACHE_LEVELS][CACHE_NCOUNTERS];

typedef struct Registry
{
	DatabaseSlot databases[MAX_DATABASES];
	pg_atomic_uint32 used;		/* numbers that are taken; the first is nobody's own */
} Registry;

/* A row of the table. */
typedef struct ConfigRow
{
	char		name[CACHE_MAX_NAMESPACE + 1];
	CacheNamespaceConfig config;
} ConfigRow;

/* Columns of the table. */
enum
{
	COLUMN_NAMESPACE,
	COLUMN_TTL,
	COLUMN_MAX_ENTRIES,
	COLUMN_MAX_BYTES,
	COLUMN_LEVELS,
	COLUMN_KEY_PREFIX,
	COLUMN_JITTER,
	NCOLUMNS
};

static const struct
{
	const char *name;
	Oid			type;
}			columns[NCOLUMNS] = {
	{"namespace", TEXTOID},
	{"ttl", INTERVALOID},
	{"max_entries", INT8OID},
	{"max_bytes", INT8OID},
	{"levels", INT4ARRAYOID},
	{"key_prefix", TEXTOID},
	{"jitter", FLOAT8OID},
};

static const CacheNamespaceConfig default_config = {.level1 = true,.level2 = true};

static Registry *registry;
static Namespace *namespaces;
static pg_atomic_uint32 *buckets;
static Counters *counters;
static LWLock *lock;

/* ---- shared memory ---- */

static uint32
bucket_count(void)
{
	return pg_nextpower2_32(2 * (uint32) apibase_cache_max_namespaces);
}

Size
cache_namespace_size(void)
{
	Size		size = 4 * PG_CACHE_LINE_SIZE;	/* for alignment */

	size = add_size(size, sizeof(Registry));
	size = add_size(size, mul_size(apibase_cache_max_namespaces, sizeof(Namespace)));
	size = add_size(size, mul_size(bucket_count(), sizeof(pg_atomic_uint32)));
	return add_size(size, mul_size(STRIPES, mul_size(apibase_cache_max_namespaces, sizeof(Counters))));
}

void
cache_namespace_init(void *area, LWLockPadded *locks, bool found)
{
	lock = &locks[APIBASE_CACHE_LOCK_NAMESPACES].lock;
	registry = (Registry *) CACHELINEALIGN(area);
	namespaces = (Namespace *) CACHELINEALIGN(registry + 1);
	buckets = (pg_atomic_uint32 *) CACHELINEALIGN(namespaces + apibase_cache_max_namespaces);
	counters = (Counters *) CACHELINEALIGN(buckets + bucket_count());
	if (found)
		return;

	for (int i = 0; i < MAX_DATABASES; i++)
	{
		pg_atomic_init_u32(&registry->databases[i].database, InvalidOid);
		pg_atomic_init_u64(&registry->databases[i].wanted, 1);
		pg_atomic_init_u64(&registry->databases[i].loaded, 0);
		pg_atomic_init_u64(&registry->databases[i].until, 0);
	}
	pg_atomic_init_u32(&registry->used, CACHE_NAMESPACE_OTHERS + 1);
	for (int i = 0; i < apibase_cache_max_namespaces; i++)
	{
		memset(&namespaces[i], 0, sizeof(Namespace));
		namespaces[i].config = default_config;
		pg_atomic_init_u32(&namespaces[i].version, 0);
	}
	for (uint32 i = 0; i < bucket_count(); i++)
		pg_atomic_init_u32(&buckets[i], CACHE_NAMESPACE_OTHERS);
	for (int i = 0; i < STRIPES * apibase_cache_max_namespaces; i++)
	{
		for (int level = 0; level < CACHE_LEVELS; level++)
		{
			for (int counter = 0; counter < CACHE_NCOUNTERS; counter++)
				pg_atomic_init_u64(&counters[i][level][counter], 0);
		}
	}
}

/* ---- numbers ---- */

static uint32
hash_of(const char *name, int len)
{
	return hash_combine(hash_bytes((const unsigned char *) name, len), murmurhash32(MyDatabaseId));
}

/* The number of a namespace of this database, or 0; and the bucket where it is or would be. */
static int
look_up(const char *name, int len, uint32 hash, uint32 *bucket)
{
	uint32		mask = bucket_count() - 1;

	for (*bucket = hash & mask;; *bucket = (*bucket + 1) & mask)
	{
		int			number = (int) pg_atomic_read_u32(&buckets[*bucket]);
		const Namespace *nspace = &namespaces[number];

		if (number == CACHE_NAMESPACE_OTHERS)
			return CACHE_NAMESPACE_OTHERS;
		pg_read_barrier();		/* as in add() */
		if (nspace->hash == hash && nspace->database == MyDatabaseId &&
			nspace->len == len && memcmp(nspace->name, name, len) == 0)
			return number;
	}
}

/* Whether a number is left.  Those of which the table knows nothing leave some for those it will know. */
static bool
has_room(bool declared)
{
	int			max = apibase_cache_max_namespaces;

	return (int) pg_atomic_read_u32(&registry->used) < (declared ? max : max - max / 4);
}

/* Find or add a namespace of this database; 0 if there is no room.  The caller holds the lock. */
static int
add(const char *name, int len, bool declared)
{
	uint32		hash = hash_of(name, len);
	uint32		bucket;
	int			number = look_up(name, len, hash, &bucket);
	Namespace  *nspace;

	if (number != CACHE_NAMESPACE_OTHERS || !has_room(declared))
		return number;

	number = (int) pg_atomic_read_u32(&registry->used);
	nspace = &namespaces[number];
	nspace->database = MyDatabaseId;
	nspace->hash = hash;
	nspace->len = len;
	memcpy(nspace->name, name, len);	/* zeroed before */
	pg_write_barrier();			/* complete before it can be found */
	pg_atomic_write_u32(&registry->used, number + 1);
	pg_atomic_write_u32(&buckets[bucket], number);
	return number;
}

static void ensure_loaded(void);

int
cache_namespace_of(const ApibaseCacheKey *key)
{
	/* What the last key was of. */
	static char last_name[CACHE_MAX_NAMESPACE];
	static int	last_len = -1;
	static int	last_number;

	const char *colon = memchr(key->name, ':', Min(key->len, CACHE_MAX_NAMESPACE + 1));
	int			len = colon != NULL ? (int) (colon - key->name) : 0;
	uint32		bucket;
	int			number;

	if (colon == NULL && key->len > CACHE_MAX_NAMESPACE && memchr(key->name, ':', key->len) != NULL)
		return CACHE_NAMESPACE_OTHERS;	/* a name that is too long */
	if (len == last_len && memcmp(key->name, last_name, len) == 0)
		return last_number;
	number = look_up(key->name, len, hash_of(key->name, len), &bucket);
	if (number == CACHE_NAMESPACE_OTHERS && !has_room(false))
	{
		/* A configured one has a number kept for it, and gets it when the table is read. */
		ensure_loaded();
		number = look_up(key->name, len, hash_of(key->name, len), &bucket);
	}
	else if (number == CACHE_NAMESPACE_OTHERS && OidIsValid(MyDatabaseId))
	{
		LWLockAcquire(lock, LW_EXCLUSIVE);
		number = add(key->name, len, false);
		LWLockRelease(lock);
	}
	if (number != CACHE_NAMESPACE_OTHERS)
	{
		memcpy(last_name, key->name, len);
		last_len = len;
		last_number = number;
	}
	return number;
}

int
cache_namespaces_used(void)
{
	int			used = (int) pg_atomic_read_u32(&registry->used);

	pg_read_barrier();			/* as in add() */
	return used;
}

void
cache_namespace_identity(int nspace, Oid *database, const char **name)
{
	*database = namespaces[nspace].database;
	*name = namespaces[nspace].name;
}

/* ---- reading the table ---- */

/* A short text, terminated; false if it is none. */
static bool
read_text(Datum datum, char *text)
{
	struct varlena *data = (struct varlena *) DatumGetPointer(datum);

	if (VARATT_IS_EXTENDED(data) && !VARATT_IS_SHORT(data))
		return false;			/* toasted, so far too long */
	if (VARSIZE_ANY_EXHDR(data) > CACHE_MAX_NAMESPACE)
		return false;
	memcpy(text, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
	text[VARSIZE_ANY_EXHDR(data)] = '\0';
	return true;
}

/* The column levels: what is no list of 1 and 2 leaves both. */
static void
read_levels(Datum datum, CacheNamespaceConfig *config)
{
	struct varlena *data = (struct varlena *) DatumGetPointer(datum);
	ArrayType  *array;
	const int32 *levels;
	int			n;

	if (VARATT_IS_EXTENDED(data) && !VARATT_IS_SHORT(data))
		return;
	array = DatumGetArrayTypeP(datum);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT4OID)
		return;
	levels = (const int32 *) ARR_DATA_PTR(array);
	n = ARR_DIMS(array)[0];
	config->level1 = config->level2 = false;
	for (int i = 0; i < n; i++)
	{
		config->level1 |= levels[i] == 1;
		config->level2 |= levels[i] == 2;
	}
}

/* A row of the table; NULL if it has no usable name.  What else is odd counts as not set. */
static ConfigRow *
read_row(HeapTuple tuple, TupleDesc desc, const AttrNumber *attnos)
{
	ConfigRow  *row = palloc0(sizeof(ConfigRow));
	CacheNamespaceConfig *config = &row->config;
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	for (int i = 0; i < NCOLUMNS; i++)
		values[i] = heap_getattr(tuple, attnos[i], desc, &nulls[i]);
	*config = default_config;
	if (nulls[COLUMN_NAMESPACE] || !read_text(values[COLUMN_NAMESPACE], row->name))
		return NULL;
	if (!nulls[COLUMN_TTL])
		config->ttl = apibase_interval_microseconds(DatumGetIntervalP(values[COLUMN_TTL]));
	if (!nulls[COLUMN_MAX_ENTRIES])
		config->max_entries = (uint64) Max(DatumGetInt64(values[COLUMN_MAX_ENTRIES]), 0);
	if (!nulls[COLUMN_MAX_BYTES])
		config->max_bytes = (uint64) Max(DatumGetInt64(values[COLUMN_MAX_BYTES]), 0);
	if (!nulls[COLUMN_LEVELS])
		read_levels(values[COLUMN_LEVELS], config);
	if (!nulls[COLUMN_KEY_PREFIX] && !read_text(values[COLUMN_KEY_PREFIX], config->key_prefix))
		config->key_prefix[0] = '\0';
	if (!nulls[COLUMN_JITTER])
	{
		double		jitter = DatumGetFloat8(values[COLUMN_JITTER]);

		if (jitter > 0)			/* false for NaN */
			config->jitter = Min(jitter, 1);
	}
	return row;
}

/* Where the columns are; false if this is not the table that it should be. */
static bool
find_columns(TupleDesc desc, AttrNumber *attnos)
{
	for (int i = 0; i < NCOLUMNS; i++)
	{
		attnos[i] = InvalidAttrNumber;
		for (int att = 0; att < desc->natts; att++)
		{
			Form_pg_attribute column = TupleDescAttr(desc, att);

			if (!column->attisdropped && column->atttypid == columns[i].type &&
				strcmp(NameStr(column->attname), columns[i].name) == 0)
				attnos[i] = column->attnum;
		}
		if (attnos[i] == InvalidAttrNumber)
			return false;
	}
	return true;
}

/* Read all rows of the table as ConfigRows, none where there is no table; false if it cannot be read now. */
static bool
read_table(List **rows)
{
	Oid			schema;
	Oid			relid;
	Relation	rel;
	AttrNumber	attnos[NCOLUMNS];

	*rows = NIL;
	if (!IsTransactionState() || IsParallelWorker())
		return false;
	schema = get_namespace_oid("apibase", true);
	relid = OidIsValid(schema) ? get_relname_relid("cache_namespaces", schema) : InvalidOid;
	if (!OidIsValid(relid))
		return true;
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
	{
		UnlockRelationOid(relid, AccessShareLock);
		return true;
	}
	if (CheckRelationLockedByMe(rel, RowExclusiveLock, true))
	{
		relation_close(rel, AccessShareLock);
		return false;
	}
	if (rel->rd_rel->relkind == RELKIND_RELATION && find_columns(RelationGetDescr(rel), attnos))
	{
		SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, SnapshotSelf, 0, NULL);
		HeapTuple	tuple;

		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			ConfigRow  *row = read_row(tuple, RelationGetDescr(rel), attnos);

			CHECK_FOR_INTERRUPTS();
			if (row != NULL)
				*rows = lappend(*rows, row);
		}
		systable_endscan(scan);
	}
	relation_close(rel, AccessShareLock);
	return true;
}

/* ---- configuration ---- */

/* The slot of this database; NULL if it has none. */
static DatabaseSlot *
find_slot(void)
{
	static DatabaseSlot *mine;

	for (int i = 0; mine == NULL && i < MAX_DATABASES; i++)
	{
		Oid			database = pg_atomic_read_u32(&registry->databases[i].database);

		if (!OidIsValid(database))
			break;
		if (database == MyDatabaseId)
			mine = &registry->databases[i];
	}
	return mine;
}

/* The same, taken if it has none; NULL if there are none left. */
static DatabaseSlot *
take_slot(void)
{
	static bool warned = false;
	DatabaseSlot *slot = find_slot();

	if (slot != NULL || warned || !OidIsValid(MyDatabaseId))
		return slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot();
	for (int i = 0; slot == NULL && i < MAX_DATABASES; i++)
	{
		if (OidIsValid(pg_atomic_read_u32(&registry->databases[i].database)))
			continue;
		slot = &registry->databases[i];
		pg_atomic_write_u32(&slot->database, MyDatabaseId);
	}
	LWLockRelease(lock);
	if (slot == NULL)
	{
		warned = true;
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the configuration of cache namespaces in this database has no effect"),
				 errdetail("More than %d databases have used the cache since the server started.", MAX_DATABASES)));
	}
	return slot;
}

/* Give a namespace a configuration.  The caller holds the lock. */
static void
write_config(Namespace *nspace, const CacheNamespaceConfig *config)
{
	uint32		version = pg_atomic_read_u32(&nspace->version);

	pg_atomic_write_u32(&nspace->version, version + 1);
	pg_write_barrier();
	nspace->config = *config;
	pg_write_barrier();
	pg_atomic_write_u32(&nspace->version, version + 2);
}

/* Give what was read to the namespaces of this database; returns how many had no room. */
static int
store_rows(DatabaseSlot *slot, uint64 generation, TimestampTz until, List *rows)
{
	bool	   *given = palloc0(apibase_cache_max_namespaces * sizeof(bool));
	int			missed = 0;
	ListCell   *lc;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&slot->loaded) <= generation)
	{
		foreach(lc, rows)
		{
			const ConfigRow *row = lfirst(lc);
			int			number = add(row->name, strlen(row->name), true);

			if (number == CACHE_NAMESPACE_OTHERS)
				missed++;
			else
			{
				write_config(&namespaces[number], &row->config);
				given[number] = true;
			}
		}
		for (int i = CACHE_NAMESPACE_OTHERS + 1; i < cache_namespaces_used(); i++)
		{
			if (!given[i] && namespaces[i].database == MyDatabaseId)
				write_config(&namespaces[i], &default_config);
		}
		pg_atomic_write_u64(&slot->until, (uint64) until);
		pg_write_barrier();
		pg_atomic_write_u64(&slot->loaded, generation);
	}
	LWLockRelease(lock);
	pfree(given);
	return missed;
}

/* Read a generation of the table into shared memory; false if that cannot be done now. */
static bool
load(DatabaseSlot *slot, uint64 generation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase cache namespaces", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TimestampTz until = RecoveryInProgress() ? apibase_clock_now() + STANDBY_INTERVAL : DT_NOEND;
	List	   *rows;
	bool		done;
	int			missed = 0;

	done = read_table(&rows);
	if (done)
		missed = store_rows(slot, generation, until, rows);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (missed > 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("the configuration of %d cache namespace has no effect",
							   "the configuration of %d cache namespaces has no effect", missed, missed),
				 errdetail("All %d namespaces that there can be have been used since the server started.",
						   apibase_cache_max_namespaces - 1),
				 errhint("Increase apibase.cache_max_namespaces.")));
	return done;
}

/* See that shared memory has what the table says, as far as that is possible now. */
static void
ensure_loaded(void)
{
	DatabaseSlot *slot = take_slot();

	while (slot != NULL)
	{
		uint64		wanted = pg_atomic_read_u64(&slot->wanted);
		TimestampTz until;

		pg_memory_barrier();	/* the table is read after the generation */
		until = (TimestampTz) pg_atomic_read_u64(&slot->until);
		if (pg_atomic_read_u64(&slot->loaded) == wanted &&
			(until == DT_NOEND || (RecoveryInProgress() && apibase_clock_now_coarse() < until)))
			break;
		if (!load(slot, wanted))
			break;
	}
}

void
cache_namespace_config(int nspace, CacheNamespaceConfig *config)
{
	Namespace  *from = &namespaces[nspace];
	uint32		before;
	uint32		after;

	ensure_loaded();
	do
	{
		before = pg_atomic_read_u32(&from->version);
		pg_read_barrier();
		*config = from->config;
		pg_read_barrier();
		after = pg_atomic_read_u32(&from->version);
	} while (before != after || before % 2 != 0);
}

void
cache_namespace_changed(void)
{
	DatabaseSlot *slot = registry != NULL ? find_slot() : NULL;

	/* A database without a slot has not been read yet, and will be after this commit. */
	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->wanted, 1);
}

/* ---- counters ---- */

void
cache_count(int nspace, CacheLevel level, CacheCounter counter, uint64 by)
{
	int			stripe = MyProcPid & (STRIPES - 1);

	if (counters != NULL)
		pg_atomic_fetch_add_u64(&counters[stripe * apibase_cache_max_namespaces + nspace][level][counter], (int64) by);
}

void
cache_namespace_counters(int nspace, CacheLevel level, uint64 sums[CACHE_NCOUNTERS])
{
	for (int counter = 0; counter < CACHE_NCOUNTERS; counter++)
	{
		sums[counter] = 0;
		for (int stripe = 0; stripe < STRIPES; stripe++)
			sums[counter] += pg_atomic_read_u64(&counters[stripe * apibase_cache_max_namespaces + nspace][level][counter]);
	}
}

void
cache_namespace_reset_counters(int nspace)
{
	for (int stripe = 0; stripe < STRIPES; stripe++)
	{
		for (int level = 0; level < CACHE_LEVELS; level++)
		{
			for (int counter = 0; counter < CACHE_NCOUNTERS; counter++)
				pg_atomic_write_u64(&counters[stripe * apibase_cache_max_namespaces + nspace][level][counter], 0);
		}
	}
}
