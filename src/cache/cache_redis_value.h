/*-------------------------------------------------------------------------
 *
 * cache_redis_value.h
 *	  What the files behind cache_redis.h share.
 *
 *	cache_redis_value	names of keys, commands and answers, the form of a value
 *	cache_redis			get and put
 *	cache_redis_queue	shared memory: the queue, the epoch, what survives a restart
 *	cache_redis_worker	the worker: its connections, the epoch, the queue
 *	cache_redis_track	what the worker hears of other nodes
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_REDIS_VALUE_H
#define APIBASE_CACHE_REDIS_VALUE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "storage/latch.h"

#include "cache/cache_redis.h"
#include "cache/cache_redis_conn.h"
#include "cache/cache_store.h"

/* ---- cache_redis_value.c: names ---- */

/* The beginning of all names, with the system identifier. */
extern char *cache_redis_base(void);

/* Names, palloc'd and terminated. */
extern char *cache_redis_epoch_name(void);
extern char *cache_redis_value_name(uint64 epoch, Oid database, const char *prefix, int prefix_len, const char *key, int len);
extern char *cache_redis_key_name(uint64 epoch, Oid database, const char *key, int len);
extern char *cache_redis_tag_name(uint64 epoch, Oid database, const char *tag, int len);

/* A name read back; pointers into it. */
typedef enum CacheRedisNameKind
{
	CACHE_REDIS_NAME_OTHER,
	CACHE_REDIS_NAME_EPOCH,
	CACHE_REDIS_NAME_VALUE,
	CACHE_REDIS_NAME_KEY,
	CACHE_REDIS_NAME_TAG,
} CacheRedisNameKind;

typedef struct CacheRedisName
{
	CacheRedisNameKind kind;
	uint64		epoch;
	Oid			database;
	const char *text;			/* the key or the tag, not terminated */
	int			len;
} CacheRedisName;

extern void cache_redis_parse_name(const char *base, const char *name, size_t len, CacheRedisName *parsed);

/* Versions: 8 hex digits that say which server wrote it, since its start, and 16 random ones. */
#define CACHE_REDIS_VERSION_LEN 24
extern void cache_redis_new_version(char *version); /* CACHE_REDIS_VERSION_LEN + 1 bytes */
extern bool cache_redis_version_is_mine(const char *version);

/* For PX: milliseconds that a value, and a version, may stay at most. */
extern int64 cache_redis_value_ttl(TimestampTz expires);
extern int64 cache_redis_version_ttl(void);

/* ---- cache_redis_value.c: commands and answers ---- */

typedef struct CacheRedisBatch
{
	CacheRedisCommand *commands;
	int			n;
	int			size;
} CacheRedisBatch;

typedef enum CacheRedisAnswerKind
{
	CACHE_REDIS_NO_ANSWER,		/* or an error */
	CACHE_REDIS_NIL,
	CACHE_REDIS_TEXT,
	CACHE_REDIS_DONE,			/* a status or a number */
} CacheRedisAnswerKind;

typedef struct CacheRedisAnswer
{
	CacheRedisAnswerKind kind;
	char	   *text;			/* palloc'd, terminated */
	size_t		len;
} CacheRedisAnswer;

/* Add a command; what is given must live until it is sent.  ttl: milliseconds; 0: none. */
extern void cache_redis_batch_get(CacheRedisBatch *batch, const char *name);
extern void cache_redis_batch_delete(CacheRedisBatch *batch, const char *name);
extern void cache_redis_batch_set(CacheRedisBatch *batch, const char *name, const char *text, size_t len, int64 ttl,
								  bool only_if_missing);

/* Send them; palloc'd answers, one for each command.  Raises no error but those of an interrupt. */
extern CacheRedisAnswer *cache_redis_batch_run(CacheRedisBatch *batch);

/* ---- cache_redis_value.c: values ---- */

/* Something that a value depends on: its key, a tag, or all parts of a tag. */
typedef enum CacheRedisDependencyKind
{
	CACHE_REDIS_ON_KEY,
	CACHE_REDIS_ON_TAG,
	CACHE_REDIS_ON_PARTS,
} CacheRedisDependencyKind;

typedef struct CacheRedisDependency
{
	CacheRedisDependencyKind kind;
	const char *name;			/* terminated */
	CacheSlot	slot;
	char		version[CACHE_REDIS_VERSION_LEN + 1];
} CacheRedisDependency;

typedef struct CacheRedisDependencies
{
	CacheRedisDependency items[1 + 2 * APIBASE_CACHE_MAX_TAGS];
	int			n;
} CacheRedisDependencies;

extern void cache_redis_depend(CacheRedisDependencies *on, CacheRedisDependencyKind kind, Oid database, const char *name);
extern void cache_redis_depend_on_tag(CacheRedisDependencies *on, Oid database, const char *tag);

/* The text of an item; false if it is too large for level 2. */
extern bool cache_redis_encode(StringInfo text, const CacheItem *item, const CacheRedisDependencies *on);

/* Read it back: what it depends on in *on, the key first.  False for what no server of ours can have written. */
extern bool cache_redis_decode(const char *text, size_t len, Oid database, const ApibaseCacheKey *key, CacheRedisValue *value,
							   CacheRedisDependencies *on);

/* ---- cache_redis.c ---- */

/* As cache_redis_put, for the worker: the lease of the item is known by its number only. */
extern bool cache_redis_put_item(const CacheItem *item, const char *prefix, const ApibaseCacheLease *lease);

/* ---- cache_redis_queue.c ---- */

extern int	apibase_redis_queue_size;	/* kB */

/* The epoch; 0 while level 2 is not to be used. */
extern uint64 cache_redis_epoch(void);
extern void cache_redis_publish_epoch(uint64 epoch, bool primary);

/* Random, different for each start of a server. */
extern uint32 cache_redis_server(void);

/* The worker begins and ends; level 2 is not configured any more. */
extern void cache_redis_queue_start(Latch *latch);
extern void cache_redis_queue_stop(void);
extern void cache_redis_queue_deactivate(void);

typedef enum CacheRedisRecordKind
{
	CACHE_REDIS_RECORD_TAG,
	CACHE_REDIS_RECORD_KEY,
	CACHE_REDIS_RECORD_PUT,
} CacheRedisRecordKind;

/* A record, before its text: the prefix of a key's namespace, and the key or tag. */
typedef struct CacheRedisRecord
{
	CacheRedisRecordKind kind;
	Oid			database;
	int			prefix_len;
	int			len;
} CacheRedisRecord;

/* The worker's side: copy whole records out, at most size bytes; *end is their end.  Then say that they were sent. */
extern Size cache_redis_queue_read(char *buffer, Size size, uint64 *end);
extern void cache_redis_queue_sent(uint64 end);

/* Whether everything is to be invalidated.  Who takes that on says so if it cannot do it. */
extern bool cache_redis_queue_wants_epoch(void);
extern bool cache_redis_queue_everything(uint64 *end);
extern void cache_redis_queue_everything_failed(void);

/* What is known to be right in Redis: survives a clean restart of the server. */
typedef struct CacheRedisTrust
{
	uint64		epoch;			/* 0: nothing is known */
	uint64		run;			/* the second word of the epoch's key, another one for each start of a server */
	uint64		servers;		/* a hash of the Redis servers and of what their data descend from */
} CacheRedisTrust;

extern CacheRedisTrust *cache_redis_trust(void);

typedef enum CacheRedisWorkerCounter
{
	CACHE_REDIS_QUEUED,
	CACHE_REDIS_SENT,
	CACHE_REDIS_OVERFLOWS,
	CACHE_REDIS_EPOCHS,
	CACHE_REDIS_TRACKED,
	CACHE_REDIS_DROPS,
	CACHE_REDIS_CONNECTS,
	CACHE_REDIS_NCOUNTERS
} CacheRedisWorkerCounter;

extern void cache_redis_worker_count(CacheRedisWorkerCounter counter, uint64 by);
extern ApibaseWorkerStatus *cache_redis_worker_status(void);

/* ---- cache_redis_track.c ---- */

/* Connect to all nodes and track.  False: no reply, or none that makes sense. */
extern bool cache_redis_track_connect(void);
extern void cache_redis_track_disconnect(void);
extern bool cache_redis_track_connected(void);

/* Whether the settings are still those that the connections were made with. */
extern bool cache_redis_track_current(void);

/* A hash of the servers that are tracked. */
extern uint64 cache_redis_track_servers(void);

/* Drop everything from level 1. */
extern void cache_redis_drop_level1(void);

/*
 * Wait for the latch, for news, or so many milliseconds, and apply the news.
 * *check_epoch is set when the epoch may have changed.  False: the
 * connection is lost, or cannot be relied on.
 */
extern bool cache_redis_track_wait(long timeout, bool *check_epoch);

/* Once a second: whether all nodes answer and are still the ones that there are. */
extern bool cache_redis_track_alive(void);

#endif							/* APIBASE_CACHE_REDIS_VALUE_H */
