/*-------------------------------------------------------------------------
 *
 * cache_redis_queue.c
 *	  Level 2: shared memory of the queue and the worker.
 *
 * The queue is a ring of bytes.  A position is the number of bytes that were
 * ever queued; it only grows.  Records leave the ring when Redis has
 * acknowledged them.  When there is no room, and when everything is to be
 * invalidated, the ring is emptied and a mark is set instead: the worker then
 * makes a new epoch, and everything up to the position that it found counts
 * as sent.  Until it has taken the mark, positions grow and nothing is kept.
 *
 * All this is for callbacks of a commit: it takes one lock, allocates nothing
 * and cannot fail.
 *
 * What is known of Redis survives a clean restart of the server in a file.
 * It is written by the postmaster when all other processes are gone, so that
 * nobody can commit an invalidation afterwards; only if the queue is empty and
 * the shutdown was clean.  It names the shutdown checkpoint, and is
 * only believed by a server that starts from that very checkpoint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "cache/cache_redis_value.h"
#include "core/guc.h"
#include "core/shmem.h"

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"

typedef struct RedisShared
{
	uint32		server;			/* random */

	/* What backends read without a lock. */
	pg_atomic_uint32 active;	/* invalidations are to be queued */
	pg_atomic_uint64 epoch;		/* 0: level 2 is not to be used */
	pg_atomic_uint32 primary;	/* the epoch is that of a server that is not in recovery */
	pg_atomic_uint64 sent;

	/* The queue, under the lock. */
	uint64		head;
	uint64		tail;
	bool		everything;
	Latch	   *latch;			/* the worker's; NULL: there is none */

	CacheRedisTrust trust;		/* the worker's own */
	ApibaseWorkerStatus status;
	pg_atomic_uint64 counters[CACHE_REDIS_NCOUNTERS];
	char		ring[FLEXIBLE_ARRAY_MEMBER];
} RedisShared;

int			apibase_redis_queue_size = 256;

static RedisShared *shared;
static LWLock *lock;

PG_FUNCTION_INFO_V1(apibase_cache_redis_worker_view);

static void load_trust(void);
static void save_trust(int code, Datum arg);

void
cache_redis_define_gucs(void)
{
	DefineCustomIntVariable("apibase.redis_queue_size",
							"Shared memory for invalidations that Redis has not acknowledged yet.",
							"When it is full, everything in level 2 is invalidated.",
							&apibase_redis_queue_size, 256, 16, 1024 * 1024,
							apibase_guc_postmaster_context(), GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_max_ttl",
							"The longest time that a value stays in Redis.",
							NULL,
							&apibase_redis_max_ttl, 30 * 86400, 1, 365 * 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static uint64
ring_size(void)
{
	return (uint64) apibase_redis_queue_size * 1024;
}

Size
cache_redis_size(void)
{
	return add_size(offsetof(RedisShared, ring), ring_size());
}

void
cache_redis_init(void *area, LWLock *queue_lock, bool found)
{
	shared = area;
	lock = queue_lock;
	if (found)
		return;
	memset(shared, 0, offsetof(RedisShared, ring));
	if (!pg_strong_random(&shared->server, sizeof(shared->server)))
		elog(ERROR, "could not generate a random number");
	pg_atomic_init_u32(&shared->active, 0);
	pg_atomic_init_u64(&shared->epoch, 0);
	pg_atomic_init_u32(&shared->primary, 0);
	pg_atomic_init_u64(&shared->sent, 0);
	apibase_worker_status_init(&shared->status);
	for (int i = 0; i < CACHE_REDIS_NCOUNTERS; i++)
		pg_atomic_init_u64(&shared->counters[i], 0);
	load_trust();

	/* From the start, so that no commit before the worker's first turn is missed. */
	if (cache_redis_configured())
		pg_atomic_write_u32(&shared->active, 1);
	else
		memset(&shared->trust, 0, sizeof(shared->trust));
	if (!IsUnderPostmaster)
		on_shmem_exit(save_trust, (Datum) 0);
}

/* ---- what backends and the worker share ---- */

uint32
cache_redis_server(void)
{
	return shared->server;
}

uint64
cache_redis_epoch(void)
{
	uint64		epoch = pg_atomic_read_u64(&shared->epoch);

	/* After a promotion the epoch of the standby is not to be used any more, until the worker has made another. */
	if (epoch != 0 && pg_atomic_read_u32(&shared->primary) == 0 && !RecoveryInProgress())
		return 0;
	return epoch;
}

void
cache_redis_publish_epoch(uint64 epoch, bool primary)
{
	pg_atomic_write_u32(&shared->primary, primary);
	pg_write_barrier();
	pg_atomic_write_u64(&shared->epoch, epoch);
	pg_memory_barrier();
}

uint64
cache_redis_sent(void)
{
	uint64		sent = pg_atomic_read_u64(&shared->sent);

	pg_read_barrier();
	return sent;
}

CacheRedisTrust *
cache_redis_trust(void)
{
	return &shared->trust;
}

void
cache_redis_worker_count(CacheRedisWorkerCounter counter, uint64 by)
{
	pg_atomic_fetch_add_u64(&shared->counters[counter], by);
}

ApibaseWorkerStatus *
cache_redis_worker_status(void)
{
	return &shared->status;
}

/* ---- the ring ---- */

static void
ring_write(uint64 position, const char *bytes, Size len)
{
	Size		offset = position % ring_size();
	Size		first = Min(len, ring_size() - offset);

	memcpy(shared->ring + offset, bytes, first);
	memcpy(shared->ring, bytes + first, len - first);
}

static void
ring_read(uint64 position, char *bytes, Size len)
{
	Size		offset = position % ring_size();
	Size		first = Min(len, ring_size() - offset);

	memcpy(bytes, shared->ring + offset, first);
	memcpy(bytes + first, shared->ring, len - first);
}

/* Under the lock: a new epoch instead of what is queued. */
static void
forget_records(void)
{
	shared->tail = shared->head;
	shared->everything = true;
}

/* Queue a record (NULL: everything), wake the worker. */
static uint64
queue(const CacheRedisRecord *record, const char *prefix, const char *text)
{
	Latch	   *latch;
	uint64		position;

	if (shared == NULL || pg_atomic_read_u32(&shared->active) == 0)
		return 0;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (record == NULL)
		forget_records();
	else if (!shared->everything)
	{
		Size		size = sizeof(*record) + record->prefix_len + record->len;

		if (shared->head - shared->tail + size > ring_size())
		{
			forget_records();
			cache_redis_worker_count(CACHE_REDIS_OVERFLOWS, 1);
		}
		else
		{
			ring_write(shared->head, (const char *) record, sizeof(*record));
			ring_write(shared->head + sizeof(*record), prefix, record->prefix_len);
			ring_write(shared->head + sizeof(*record) + record->prefix_len, text, record->len);
			shared->head += size;
		}
	}
	if (shared->everything)
	{
		shared->head++;
		shared->tail = shared->head;
	}
	position = shared->head;
	latch = shared->latch;
	LWLockRelease(lock);

	cache_redis_worker_count(CACHE_REDIS_QUEUED, 1);
	/* While there is no epoch the worker is trying to connect, and waits as long as it has to. */
	if (latch != NULL && pg_atomic_read_u64(&shared->epoch) != 0)
		SetLatch(latch);
	return position;
}

uint64
cache_redis_queue_tag(Oid database, const char *tag, int len)
{
	CacheRedisRecord record = {.kind = CACHE_REDIS_RECORD_TAG, .database = database, .len = len};

	return queue(&record, "", tag);
}

static uint64
queue_for_key(CacheRedisRecordKind kind, const ApibaseCacheKey *key, const char *prefix)
{
	CacheRedisRecord record = {
		.kind = kind,
		.database = MyDatabaseId,
		.prefix_len = (int) strlen(prefix),
		.len = key->len,
	};

	return queue(&record, prefix, key->name);
}

uint64
cache_redis_queue_key(const ApibaseCacheKey *key, const char *prefix)
{
	return queue_for_key(CACHE_REDIS_RECORD_KEY, key, prefix);
}

uint64
cache_redis_queue_put(const ApibaseCacheKey *key, const char *prefix)
{
	return queue_for_key(CACHE_REDIS_RECORD_PUT, key, prefix);
}

/* The epoch is one for all databases: the values of the others go as well, which is harmless. */
uint64
cache_redis_queue_all(Oid database)
{
	return queue(NULL, "", "");
}

/* ---- the worker's side ---- */

void
cache_redis_queue_start(Latch *latch)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->latch = latch;
	pg_atomic_write_u32(&shared->active, 1);
	LWLockRelease(lock);
}

/* Nothing is trusted afterwards: a commit that queues nothing cannot be missed by what begins later. */
void
cache_redis_queue_deactivate(void)
{
	cache_redis_publish_epoch(0, false);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&shared->active, 0);
	shared->tail = shared->head;
	shared->everything = false;
	pg_atomic_write_u64(&shared->sent, shared->head);
	LWLockRelease(lock);
	memset(&shared->trust, 0, sizeof(shared->trust));
}

void
cache_redis_queue_stop(void)
{
	cache_redis_publish_epoch(0, false);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->latch = NULL;
	LWLockRelease(lock);
}

Size
cache_redis_queue_read(char *buffer, Size size, uint64 *end)
{
	uint64		position;

	LWLockAcquire(lock, LW_SHARED);
	position = shared->tail;
	while (position < shared->head)
	{
		CacheRedisRecord record;
		Size		len;

		ring_read(position, (char *) &record, sizeof(record));
		len = sizeof(record) + record.prefix_len + record.len;
		if (position + len - shared->tail > size)
			break;
		position += len;
	}
	ring_read(shared->tail, buffer, position - shared->tail);
	size = position - shared->tail;
	LWLockRelease(lock);
	*end = position;
	return size;
}

static void
raise_sent(uint64 end)
{
	if (end > pg_atomic_read_u64(&shared->sent))
		pg_atomic_write_u64(&shared->sent, end);
}

void
cache_redis_queue_sent(uint64 end)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	/* The ring may have been emptied meanwhile. */
	shared->tail = Max(shared->tail, end);
	raise_sent(end);
	LWLockRelease(lock);
}

bool
cache_redis_queue_wants_epoch(void)
{
	bool		everything;

	LWLockAcquire(lock, LW_SHARED);
	everything = shared->everything;
	LWLockRelease(lock);
	return everything;
}

bool
cache_redis_queue_everything(uint64 *end)
{
	bool		everything;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	everything = shared->everything;
	shared->everything = false;
	*end = shared->head;
	LWLockRelease(lock);
	return everything;
}

/* Whoever comes next has to do it. */
void
cache_redis_queue_everything_failed(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	forget_records();
	LWLockRelease(lock);
}

/* ---- over a restart ---- */

#define TRUST_FILE "pg_stat/apibase_cache_redis"

typedef struct TrustFile
{
	XLogRecPtr	checkpoint;		/* the one that the server was shut down with */
	CacheRedisTrust trust;
	pg_crc32c	crc;
} TrustFile;

static pg_crc32c
trust_crc(const TrustFile *file)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, file, offsetof(TrustFile, crc));
	FIN_CRC32C(crc);
	return crc;
}

/* The checkpoint of a clean shutdown of a server that was not in recovery. */
static bool
shutdown_checkpoint(XLogRecPtr *checkpoint)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		clean = crc_ok && control->state == DB_SHUTDOWNED;

	*checkpoint = control->checkPoint;
	pfree(control);
	return clean;
}

/* When the server starts, or starts again after a crash: then there is no such file. */
static void
load_trust(void)
{
	FILE	   *file = AllocateFile(TRUST_FILE, PG_BINARY_R);
	TrustFile	content;
	XLogRecPtr	checkpoint;

	if (file == NULL)
		return;
	memset(&content, 0, sizeof(content));
	if (fread(&content, sizeof(content), 1, file) == 1 && EQ_CRC32C(content.crc, trust_crc(&content)) &&
		shutdown_checkpoint(&checkpoint) && checkpoint == content.checkpoint)
		shared->trust = content.trust;
	FreeFile(file);
	unlink(TRUST_FILE);
}

/* The postmaster exits; all other processes have. */
static void
save_trust(int code, Datum arg)
{
	TrustFile	content;
	FILE	   *file;

	memset(&content, 0, sizeof(content));
	content.trust = shared->trust;
	if (code != 0 || content.trust.epoch == 0 || shared->everything || shared->tail != shared->head ||
		!shutdown_checkpoint(&content.checkpoint))
		return;
	content.crc = trust_crc(&content);
	file = AllocateFile(TRUST_FILE, PG_BINARY_W);
	if (file == NULL)
		return;
	if (fwrite(&content, sizeof(content), 1, file) != 1)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", TRUST_FILE)));
	FreeFile(file);
}

/* ---- apibase_internal.cache_redis_worker() ---- */

/* The row of the view apibase.cache_redis_worker. */
Datum
apibase_cache_redis_worker_view(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4 + CACHE_REDIS_NCOUNTERS];
	bool		nulls[4 + CACHE_REDIS_NCOUNTERS] = {0};
	uint32		pid;
	uint64		epoch;
	uint64		waiting;
	bool		active;

	apibase_shmem_require("the worker of level 2 does not run");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pid = pg_atomic_read_u32(&shared->status.pid);
	epoch = cache_redis_epoch();
	LWLockAcquire(lock, LW_SHARED);
	waiting = shared->head - shared->tail;
	active = pg_atomic_read_u32(&shared->active) != 0;
	LWLockRelease(lock);

	values[0] = Int32GetDatum((int32) pid);
	nulls[0] = pid == 0;
	values[1] = CStringGetTextDatum(epoch != 0 ? "ready" : active ? "waiting" : "off");
	values[2] = CStringGetTextDatum(psprintf("%016llx", (unsigned long long) epoch));
	nulls[2] = epoch == 0;
	values[3] = Int64GetDatum((int64) waiting);
	for (int i = 0; i < CACHE_REDIS_NCOUNTERS; i++)
		values[4 + i] = Int64GetDatum((int64) pg_atomic_read_u64(&shared->counters[i]));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
