/*-------------------------------------------------------------------------
 *
 * cache_redis_worker.c
 *	  Level 2: the worker "apibase cache".
 *
 * One of each server, also on a standby.  It has no database.  Without a URL
 * it sleeps until the configuration changes.  Otherwise a turn is
 *
 *	- to connect and track the keys, if it does not (cache_redis_track.c).
 *	  Before and after, level 1 is dropped, as messages may have been missed
 *	- to settle the epoch, if there is a reason
 *	- to send what is queued
 *	- to wait for more to send, for news, or for the next second
 *
 * A turn never waits for long, and never fails because of Redis.  What could
 * not be sent stays queued.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_value.h"
#include "core/clock.h"

#include "access/xlog.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Milliseconds between signs of life, and between attempts of what has failed. */
#define TICK		1000

/* Bytes of the queue that are sent together. */
#define SEND_BYTES	65536

static bool started;			/* in this process */
static bool settled;			/* the epoch is known */
static bool was_in_recovery;
static bool run_is_new;			/* this process has written a run */
static bool everything;			/* is to be invalidated, up to this position of the queue */
static uint64 everything_end;
static bool busy;				/* within a turn, or one has ended in an error */
static TimestampTz next_tick;
static TimestampTz next_attempt;

extern PGDLLEXPORT void apibase_cache_redis_worker_main(Datum arg);

static uint64
random_word(void)
{
	uint64		word;

	do
	{
		word = pg_prng_uint64(&pg_global_prng_state);
	} while (word == 0);
	return word;
}

/* ---- the epoch ---- */

/* What Redis has; zeros if it has nothing that makes sense.  False: no answer. */
static bool
read_epoch(uint64 *epoch, uint64 *run)
{
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;
	unsigned long long words[2];

	cache_redis_batch_get(&batch, cache_redis_epoch_name());
	answers = cache_redis_batch_run(&batch);
	*epoch = *run = 0;
	if (answers[0].kind == CACHE_REDIS_TEXT && answers[0].len == 33 &&
		sscanf(answers[0].text, "%16llx %16llx", &words[0], &words[1]) == 2)
	{
		*epoch = words[0];
		*run = words[1];
	}
	return answers[0].kind != CACHE_REDIS_NO_ANSWER;
}

static bool
write_epoch(uint64 epoch, uint64 run)
{
	CacheRedisBatch batch = {0};
	char	   *text = psprintf("%016llx %016llx", (unsigned long long) epoch, (unsigned long long) run);

	cache_redis_batch_set(&batch, cache_redis_epoch_name(), text, strlen(text), 0, false);
	return cache_redis_batch_run(&batch)[0].kind == CACHE_REDIS_DONE;
}

/* Whether what is in Redis under this epoch is what this server left there. */
static bool
is_trusted(uint64 epoch, uint64 run)
{
	CacheRedisTrust *trust = cache_redis_trust();

	return epoch != 0 && trust->epoch == epoch && trust->run == run &&
		trust->servers != 0 && trust->servers == cache_redis_track_servers();
}

/* Write an epoch, with a new run.  A primary trusts it. */
static bool
make_epoch(uint64 epoch, bool primary)
{
	CacheRedisTrust *trust = cache_redis_trust();
	uint64		run = random_word();

	trust->epoch = 0;
	if (!write_epoch(epoch, run))
		return false;
	if (primary)
	{
		trust->run = run;
		trust->servers = cache_redis_track_servers();
		trust->epoch = epoch;
		run_is_new = true;
	}
	return true;
}

/*
 * Find out the epoch, or make a new one: a primary when it cannot trust the
 * one that is there, every server when everything is to be invalidated.
 */
static bool
find_epoch(uint64 *epoch, bool primary)
{
	uint64		run;

	if (!read_epoch(epoch, &run))
		return false;
	if (everything || (primary && !is_trusted(*epoch, run)))
	{
		*epoch = random_word();
		if (!make_epoch(*epoch, primary))
			return false;
		cache_redis_worker_count(CACHE_REDIS_EPOCHS, 1);
		return true;
	}
	return !primary || run_is_new || make_epoch(*epoch, primary);
}

static bool
settle_epoch(void)
{
	bool		primary = !RecoveryInProgress();
	uint64		epoch;
	uint64		end;

	if (cache_redis_queue_everything(&end))
	{
		everything = true;
		everything_end = end;
	}
	if (!find_epoch(&epoch, primary))
	{
		cache_redis_publish_epoch(0, false);
		return false;
	}
	if (!primary && epoch != cache_redis_epoch())
		cache_redis_drop_level1();
	cache_redis_publish_epoch(epoch, primary);
	if (everything)
		cache_redis_queue_sent(everything_end);
	everything = false;
	return true;
}

/* ---- the queue ---- */

static void
renew_version(CacheRedisBatch *batch, const char *name)
{
	char	   *version = palloc(CACHE_REDIS_VERSION_LEN + 1);

	cache_redis_new_version(version);
	cache_redis_batch_set(batch, name, version, CACHE_REDIS_VERSION_LEN, cache_redis_version_ttl(), false);
}

/* A new version for a key; the value with the old one can go. */
static void
invalidate_key(CacheRedisBatch *batch, uint64 epoch, const CacheRedisRecord *record, const char *prefix, const char *key)
{
	char	   *value = cache_redis_value_name(epoch, record->database, prefix, record->prefix_len, key, record->len);

	renew_version(batch, cache_redis_key_name(epoch, record->database, key, record->len));
	cache_redis_batch_delete(batch, value);
}

/* Send what was collected. */
static bool
send_batch(CacheRedisBatch *batch)
{
	CacheRedisAnswer *answers = cache_redis_batch_run(batch);
	bool		good = true;

	for (int i = 0; i < batch->n; i++)
		good = good && answers[i].kind != CACHE_REDIS_NO_ANSWER;
	batch->n = 0;
	return good;
}

/* Put what level 1 has for a key; false if it has nothing, or it could not be put. */
static bool
put_from_level1(const CacheRedisRecord *record, const char *prefix, const char *name)
{
	ApibaseCacheKey key = {
		.name = name,
		.len = record->len,
		.hash = apibase_cache_key_hash(record->database, name, record->len),
	};
	CacheItem	item = {.database = record->database, .key = key};
	CacheHit	hit;

	if (cache_store_get(record->database, &key, apibase_clock_now(), CACHE_GET_PEEK | CACHE_GET_TAGS, NULL, &hit) != CACHE_FOUND)
		return false;
	item.nspace = hit.nspace;
	item.kind = hit.kind;
	item.value = hit.data ? VARDATA(hit.data) : NULL;
	item.value_len = hit.data ? VARSIZE(hit.data) - VARHDRSZ : 0;
	item.tags = hit.tags;
	item.tags_len = hit.tags_len;
	item.sequence = hit.sequence;
	item.created = hit.created;
	item.expires = item.dies = hit.expires;
	item.cost = hit.cost;
	if (!cache_redis_put_item(&item, pnstrdup(prefix, record->prefix_len), NULL))
		return false;
	cache_count(item.nspace, CACHE_LEVEL2, CACHE_SETS, 1);
	return true;
}

/* Send the records of a buffer.  True: Redis has acknowledged all. */
static bool
send_records(const char *buffer, Size size, uint64 epoch)
{
	CacheRedisBatch batch = {0};
	uint64		sent = 0;

	for (const char *next = buffer; next < buffer + size;)
	{
		CacheRedisRecord record;
		const char *prefix;
		const char *text;

		memcpy(&record, next, sizeof(record));
		prefix = next + sizeof(record);
		text = prefix + record.prefix_len;
		next = text + record.len;
		sent++;
		if (record.kind == CACHE_REDIS_RECORD_TAG)
			renew_version(&batch, cache_redis_tag_name(epoch, record.database, text, record.len));
		else if (record.kind == CACHE_REDIS_RECORD_KEY)
			invalidate_key(&batch, epoch, &record, prefix, text);
		else
		{
			/* What was queued before it must be there before it. */
			if (!send_batch(&batch))
				return false;
			if (!put_from_level1(&record, prefix, text))
				invalidate_key(&batch, epoch, &record, prefix, text);
		}
	}
	if (!send_batch(&batch))
		return false;
	cache_redis_worker_count(CACHE_REDIS_SENT, sent);
	return true;
}

/* Send all that is queued; false: it could not be sent. */
static bool
send_queue(void)
{
	char	   *buffer = palloc(SEND_BYTES);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase cache queue", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	uint64		epoch = cache_redis_epoch();
	uint64		end;
	Size		size;
	bool		good = true;

	while (good && (size = cache_redis_queue_read(buffer, SEND_BYTES, &end)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		/* A standby without an epoch has nothing to invalidate. */
		good = epoch == 0 || send_records(buffer, size, epoch);
		if (good)
			cache_redis_queue_sent(end);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	pfree(buffer);
	return good;
}

/* ---- turns ---- */

/* Messages may have been missed. */
static void
disconnect(void)
{
	cache_redis_publish_epoch(0, false);
	cache_redis_track_disconnect();
	cache_redis_drop_level1();
	settled = false;
}

/*
 * The server shuts down, or the worker is to be started again: leave as little
 * as possible behind.  Ended within a call, it does not know what Redis did.
 */
static void
on_exit_worker(int code, Datum arg)
{
	if (settled && !busy)
		(void) send_queue();
	if (everything)
		cache_redis_queue_everything_failed();
	cache_redis_queue_stop();
}

static void
start_worker(void)
{
	was_in_recovery = RecoveryInProgress();
	before_shmem_exit(on_exit_worker, (Datum) 0);
	started = true;
}

/* A standby has become the primary: what it kept is as old as it may have lagged. */
static void
notice_promotion(void)
{
	if (!was_in_recovery || RecoveryInProgress())
		return;
	was_in_recovery = false;
	cache_redis_trust()->epoch = 0;
	cache_redis_drop_level1();
	settled = false;
}

/* Do what is to be done; false: wait before the next attempt. */
static bool
work(void)
{
	if (!cache_redis_track_connected())
	{
		if (!cache_redis_track_connect())
			return false;
		cache_redis_drop_level1();
		settled = false;
	}
	notice_promotion();
	if (cache_redis_queue_wants_epoch())
		settled = false;
	if (!settled)
		settled = settle_epoch();
	return settled && send_queue();
}

static long
take_turn(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until;
	bool		check_epoch = false;

	if (!started)
		start_worker();
	if (!cache_redis_configured())
	{
		if (cache_redis_track_connected())
			disconnect();
		cache_redis_queue_deactivate();
		return -1;
	}
	cache_redis_queue_start(MyLatch);

	if (now >= next_attempt)
		next_attempt = work() ? now : TimestampTzPlusMilliseconds(now, TICK);
	now = GetCurrentTimestamp();
	if (!cache_redis_track_connected())
		return TimestampDifferenceMilliseconds(now, next_attempt);

	if (now >= next_tick)
	{
		next_tick = TimestampTzPlusMilliseconds(now, TICK);
		if (!cache_redis_track_alive())
		{
			disconnect();
			return 0;
		}
	}
	until = next_attempt > now ? Min(next_attempt, next_tick) : next_tick;
	if (!cache_redis_track_wait(TimestampDifferenceMilliseconds(now, until), &check_epoch))
		disconnect();
	if (check_epoch)
		settled = false;
	return 0;
}

static long
worker_turn(void)
{
	long		wait;

	busy = true;
	wait = take_turn();
	busy = false;
	return wait;
}

/* Another Redis, or other names. */
static void
worker_reload(void)
{
	if (cache_redis_track_connected() && !cache_redis_track_current())
		disconnect();
}

static const ApibaseWorker worker = {
	.name = "apibase cache",
	.library = "apibase",
	.function = "apibase_cache_redis_worker_main",
	.start = BgWorkerStart_ConsistentState,
	.restart = 1,
	.turn = worker_turn,
	.reload = worker_reload,
	.status = cache_redis_worker_status,
	.backoff = 1000,
	.backoff_max = 60000,
};

void
apibase_cache_redis_worker_main(Datum arg)
{
	apibase_worker_run(&worker);
}

void
cache_redis_register_worker(void)
{
	apibase_worker_register(&worker);
}
