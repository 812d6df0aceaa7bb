/*-------------------------------------------------------------------------
 *
 * bus_stats.c
 *	  Counters of each message, in shared memory.
 *
 * A message (its kind and the OID of its type, in a database) has a slot of a fixed
 * array, and one more slot is for the messages that have found none.  Backends remember the
 * number of the slot with the handler, so counting takes no lock: counters are
 * atomics that are only ever added to.
 *
 * Slots of types and of databases that are gone are found out when there is no free one,
 * and by a reset.  A backend that has not heard yet that the type is gone counts
 * for the slot's new owner; no more than what was running then.
 *
 * Counters are not transactional, work in read-only transactions and on a hot
 * standby, whose counters are its own, and start at zero with the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_impl.h"
#include "core/compat.h"
#include "core/shmem.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

typedef enum Counter
{
	DISPATCHES,
	ERRORS,
	REPLAYED,
	CACHED,
	MICROSECONDS,
	NCOUNTERS
} Counter;

/* What a slot belongs to; changes under the lock. */
typedef struct StatsKey
{
	Oid			database;		/* InvalidOid: the slot is free */
	Oid			type;
	int			kind;			/* ApibaseMessageKind */
} StatsKey;

typedef struct StatsSlot
{
	StatsKey	key;
	pg_atomic_uint64 counters[NCOUNTERS];
	/* so that backends that count different messages do not share a cache line */
	char		pad[128 - sizeof(StatsKey) - NCOUNTERS * sizeof(pg_atomic_uint64)];
} StatsSlot;

static StatsSlot *slots = NULL; /* bus_max_messages, and one for all others */
static LWLock *lock = NULL;

PG_FUNCTION_INFO_V1(apibase_bus_sql_stats);
PG_FUNCTION_INFO_V1(apibase_bus_sql_reset_stats);

Size
apibase_bus_shmem_size(void)
{
	return mul_size(sizeof(StatsSlot), bus_max_messages + 1);
}

void
apibase_bus_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	slots = area;
	lock = &locks[0].lock;
	if (found)
		return;
	memset(slots, 0, apibase_bus_shmem_size());
	for (int i = 0; i <= bus_max_messages; i++)
	{
		for (int c = 0; c < NCOUNTERS; c++)
			pg_atomic_init_u64(&slots[i].counters[c], 0);
	}
}

/* ---------- slots ---------- */

static bool
same_key(const StatsKey *a, const StatsKey *b)
{
	return a->database == b->database && a->type == b->type && a->kind == b->kind;
}

static void
clear_counters(StatsSlot *slot)
{
	for (int c = 0; c < NCOUNTERS; c++)
		pg_atomic_write_u64(&slot->counters[c], 0);
}

/* The slot of a key, taking a free one; bus_max_messages if there is none. */
static int
take_slot(const StatsKey *key)
{
	int			unused = bus_max_messages;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < bus_max_messages; i++)
	{
		if (same_key(&slots[i].key, key))
		{
			LWLockRelease(lock);
			return i;
		}
		if (!OidIsValid(slots[i].key.database) && unused == bus_max_messages)
			unused = i;
	}
	if (unused < bus_max_messages)
	{
		clear_counters(&slots[unused]);
		slots[unused].key = *key;
	}
	LWLockRelease(lock);
	return unused;
}

/* A copy of all keys. */
static StatsKey *
copy_keys(void)
{
	StatsKey   *keys = palloc(bus_max_messages * sizeof(StatsKey));

	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < bus_max_messages; i++)
		keys[i] = slots[i].key;
	LWLockRelease(lock);
	return keys;
}

/* Whether what the key is of has gone. */
static bool
is_gone(const StatsKey *key)
{
	if (!OidIsValid(key->database))
		return false;
	if (key->database == MyDatabaseId)
		return !SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(key->type));
	return !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(key->database));
}

/* Free the slots of types of this database, and of databases, that are gone.  Returns whether there were any. */
static bool
free_gone(void)
{
	StatsKey   *keys = copy_keys();
	bool	   *gone = palloc(bus_max_messages * sizeof(bool));
	bool		any = false;

	/* the catalog cannot be asked under a lock */
	for (int i = 0; i < bus_max_messages; i++)
		gone[i] = is_gone(&keys[i]);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < bus_max_messages; i++)
	{
		if (gone[i] && same_key(&slots[i].key, &keys[i]))
		{
			slots[i].key.database = InvalidOid;
			any = true;
		}
	}
	LWLockRelease(lock);
	pfree(gone);
	pfree(keys);
	return any;
}

int
bus_stats_slot(ApibaseMessageKind kind, Oid type)
{
	StatsKey	key = {.database = MyDatabaseId, .type = type, .kind = kind};
	int			slot;

	if (slots == NULL)
		return -1;
	slot = take_slot(&key);
	if (slot == bus_max_messages && free_gone())
		slot = take_slot(&key);
	return slot;
}

void
bus_stats_count(int slot, BusOutcome outcome, int64 microseconds)
{
	pg_atomic_uint64 *counters;

	if (slot < 0)
		return;
	counters = slots[slot].counters;
	pg_atomic_fetch_add_u64(&counters[DISPATCHES], 1);
	if (outcome != BUS_OK)
		pg_atomic_fetch_add_u64(&counters[outcome == BUS_ERROR ? ERRORS : outcome == BUS_REPLAYED ? REPLAYED : CACHED], 1);
	pg_atomic_fetch_add_u64(&counters[MICROSECONDS], microseconds);
}

/* ---------- SQL ---------- */

/* A row of apibase.bus_stats; key NULL: of all others. */
static void
put_row(ReturnSetInfo *rsinfo, const StatsKey *key, StatsSlot *slot)
{
	Datum		values[7];
	bool		nulls[7] = {false};

	if (key != NULL)
	{
		char	   *name = format_type_extended(key->type, -1, FORMAT_TYPE_FORCE_QUALIFY | FORMAT_TYPE_INVALID_AS_NULL);

		if (name == NULL)
			return;
		values[0] = CStringGetTextDatum(bus_kind_word(key->kind));
		values[1] = CStringGetTextDatum(name);
	}
	else
		nulls[0] = nulls[1] = true;
	for (int c = DISPATCHES; c <= CACHED; c++)
		values[2 + c] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->counters[c]));
	values[6] = Float8GetDatum(pg_atomic_read_u64(&slot->counters[MICROSECONDS]) / 1e6);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* apibase_internal.bus_stats(): messages of the current database, and what was counted for all others of the server. */
Datum
apibase_bus_sql_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StatsKey   *keys;

	InitMaterializedSRF(fcinfo, 0);
	if (slots == NULL)
		return (Datum) 0;
	keys = copy_keys();
	for (int i = 0; i < bus_max_messages; i++)
	{
		if (keys[i].database == MyDatabaseId)
			put_row(rsinfo, &keys[i], &slots[i]);
	}
	if (pg_atomic_read_u64(&slots[bus_max_messages].counters[DISPATCHES]) > 0)
		put_row(rsinfo, NULL, &slots[bus_max_messages]);
	return (Datum) 0;
}

/* apibase.bus_reset_stats(): counters of the current database, and of all others, to zero. */
Datum
apibase_bus_sql_reset_stats(PG_FUNCTION_ARGS)
{
	apibase_shmem_require("the counters of commands and queries cannot be reset");
	(void) free_gone();
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < bus_max_messages; i++)
	{
		if (slots[i].key.database == MyDatabaseId)
			clear_counters(&slots[i]);
	}
	clear_counters(&slots[bus_max_messages]);
	LWLockRelease(lock);
	PG_RETURN_VOID();
}
