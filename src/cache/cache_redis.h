/*-------------------------------------------------------------------------
 *
 * cache_redis.h
 *	  Level 2: values in Redis, and what nodes tell each other through it.
 *
 * Keys in Redis, all after apibase.redis_key_prefix ("apibase:" unless set)
 * and the system identifier, which a primary and its standbys share, and no
 * other servers (a value is only as good as the invalidations of the server
 * that wrote it):
 *
 *	epoch							a random word, and another one for each start of the primary
 *	<epoch>:<database>:v<n>:<key>	a value; n is the length of the namespace's prefix in level 2,
 *									which stands before the key
 *	<epoch>:<database>:k:<key>		the version of a key
 *	<epoch>:<database>:t:<tag>		the version of a tag
 *
 * The database is its OID, so that one that is created under the name of one
 * that was dropped sees nothing of it.  Keys, tags and values are in the
 * database's encoding: only servers that have that database read them.
 *
 * A new epoch makes everything that was there unreachable at once; it goes
 * when its time to live is over, which everything below an epoch has.
 *
 * A value:
 *	{"sum":"<16 hex digits>","key":"<version>","tags":{"<tag>":"<version>",...},"parts":{"<a:*>":"<version>",...},
 *	 "created":<unix microseconds>,"expires":<the same or null>,"cost":<microseconds>,"kind":"j","value":<JSON>}
 * Kind d: bytes of a module, in base64; n: nothing.  The sum is of everything
 * after it, so that what has another origin is not even read.  A value counts only
 * if its key, its tags, and for each tag "a:b" also "a:*", have the versions
 * that it names; one that is missing is another version.
 *
 * Why nothing stale is served:
 *
 *	- A backend puts a value after its commit, or outside a transaction that
 *	  wrote, and only on a server that is not in recovery: a standby may lag.
 *	  It reads the versions first and then asks the lease (cache_lease_allows),
 *	  so a version is never newer than the value.  However late Redis executes
 *	  the command, the value only counts with these versions.  If a put fails,
 *	  its key is invalidated, as an older value may be there.
 *	- Invalidations are made at commit, where nothing may wait for the
 *	  network.  They go into a queue in shared memory, from which the worker
 *	  sends them: a new version for a tag or a key, a new epoch for
 *	  everything.  Until the worker has sent what a slot waits for (cache_tag_queued
 *	  above cache_redis_sent), level 2 is not asked for what depends on it.
 *	- A new epoch is made whenever something may have got lost: the queue was
 *	  full, the server has crashed, was promoted or was without level 2 for a
 *	  time, or Redis is not the server it was (a restarted one may have old
 *	  data, and so may a replica that took over).  While the worker has no
 *	  connection there is no epoch, and level 2 is not used.
 *	- The worker of every node tracks the keys (CLIENT TRACKING ... BCAST) and
 *	  drops from its level 1 what another node changed; on any doubt, everything.
 *
 * Standbys put no values and make no epochs of their own accord.  What is
 * invalidated there by hand is invalidated on all nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_REDIS_H
#define APIBASE_CACHE_REDIS_H

#include "postgres.h"

#include "cache/cache_key.h"
#include "cache/cache_namespace.h"
#include "cache/cache_store.h"
#include "cache/cache_xact.h"
#include "core/worker.h"

extern int	apibase_redis_max_ttl;	/* seconds */

extern void cache_redis_define_gucs(void);
extern Size cache_redis_size(void);
extern void cache_redis_init(void *area, LWLock *queue_lock, bool found);
extern void cache_redis_register_worker(void);

/* What level 2 has for a key, in palloc'd memory. */
typedef struct CacheRedisValue
{
	bool		found;
	ApibaseCacheKind kind;
	struct varlena *data;		/* NULL for NOTHING */
	TimestampTz created;
	TimestampTz expires;
	uint32		cost;
	const char **tags;
	int			ntags;
} CacheRedisValue;

/*
 * Look up n keys of this database in at most two round trips.  Takes only
 * values that the lease allows (tags and key: not invalidated, nothing
 * waiting in the queue).  Never raises an error because of Redis; false when
 * Redis could not be asked.
 */
extern bool cache_redis_get(const ApibaseCacheKey *keys, int n, const CacheNamespaceConfig *configs, ApibaseCacheLease *lease,
							CacheRedisValue *values);

/*
 * Put, after level 1 has it.  There is no "only if absent": level 1 has
 * decided that, under its lock, and level 2 follows.  Afterwards Redis has
 * this value or none; false: none, or level 2 is not used.
 */
extern bool cache_redis_put(const ApibaseCacheKey *key, const CacheNamespaceConfig *config, const CacheItem *item,
							ApibaseCacheLease *lease);

/* For callbacks of a commit: cannot fail, takes the lock of the queue.  Each returns the position (0: level 2 is not used). */
extern uint64 cache_redis_queue_tag(Oid database, const char *tag, int len);
extern uint64 cache_redis_queue_key(const ApibaseCacheKey *key, const char *prefix);
extern uint64 cache_redis_queue_all(Oid database);

/* A value put in the transaction is to be sent after its commit: only the key is queued, the worker takes it from level 1. */
extern uint64 cache_redis_queue_put(const ApibaseCacheKey *key, const char *prefix);

/* Up to which position everything has been sent. */
extern uint64 cache_redis_sent(void);

#endif							/* APIBASE_CACHE_REDIS_H */
