/*-------------------------------------------------------------------------
 *
 * cache_redis_conn.h
 *	  Redis: from apibase.redis_url to a reply.
 *
 * Covers one server, several (Sentinel, Cluster), the handshake, time-outs,
 * redirections, and the breaker that all backends share.  What is sent and
 * what replies mean is the business of cache_redis.c and cache_redis_worker.c.
 *
 * Nothing here raises an error because of Redis.  A call that gets no reply
 * returns NULL, has counted the failure, dropped the connection, and warned
 * (once per interval over all backends).  No hiredis call is made with a lock
 * held, and no error is raised across one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_REDIS_CONN_H
#define APIBASE_CACHE_REDIS_CONN_H

#include "postgres.h"

#include <hiredis/hiredis.h>

#include "datatype/timestamp.h"

#include "core/module.h"

/* A request: the words of a command.  key decides the node of a cluster; NULL: any. */
typedef struct CacheRedisCommand
{
	int			argc;
	const char **argv;
	const size_t *argvlen;
	const char *key;
	int			key_len;
} CacheRedisCommand;

/* The settings; the others are in cache_redis_impl.h. */
extern char *apibase_redis_key_prefix;
extern void cache_redis_conn_define_gucs(void);
extern Size cache_redis_conn_size(void);
extern void cache_redis_conn_init(void *area, bool found);

/* Whether there is a URL, and shared memory: whether there is a level 2 at all. */
extern bool cache_redis_configured(void);

/*
 * Whether a call would be tried now: configured, and the breaker is closed, or
 * due to let a call probe.  A call asks the breaker itself; this is for who
 * can save work by knowing before.
 */
extern bool cache_redis_available(void);

/*
 * Send all commands in as few round trips as there are nodes, and give the
 * replies in order.  A reply is NULL when there was none, and when it was an
 * error that says that the server cannot serve (LOADING, READONLY, NOAUTH, OOM
 * and so on): both are failures for the breaker.  Other errors are replies of
 * type REDIS_REPLY_ERROR.  MOVED and ASK are followed.  Returns the number of
 * replies that are not NULL.  Replies are freed with cache_redis_free().
 *
 * A command may be sent twice, when a connection breaks that was idle before:
 * only commands that bear it are allowed.
 *
 * Errors of PostgreSQL come out of here only for interrupts, and none of the
 * replies is left then.  Not to be called with a lock held.
 */
extern int	cache_redis_pipeline(const CacheRedisCommand *commands, int n, redisReply **replies);
extern void cache_redis_free(redisReply **replies, int n);

/*
 * For the worker: connections of its own to every master node, after the
 * handshake, not shared with the functions above.  They do not block: they are
 * for the functions below, and for waiting with WaitLatchOrSocket.  The caller
 * frees them with redisFree(), and must after a failure.  All of these do
 * without the breaker, and count their failures.
 */
#define CACHE_REDIS_MAX_NODES	128
typedef struct CacheRedisNode
{
	char		host[256];		/* or the path of a socket */
	int			port;			/* 0 for a socket */
} CacheRedisNode;
extern int	cache_redis_nodes(CacheRedisNode **nodes);	/* palloc'd; 0 when it cannot be found out */
extern redisContext *cache_redis_connect_node(const CacheRedisNode *node);	/* NULL: failed */

/* Send a command (of terminated words) and wait for its reply; NULL: failed, or out of time. */
extern redisReply *cache_redis_ask(redisContext *context, int argc, const char **argv);

/* What has come by itself (messages of a subscription): *reply is NULL when there is no more yet.  False: the connection is lost. */
extern bool cache_redis_receive(redisContext *context, redisReply **reply);

#endif							/* APIBASE_CACHE_REDIS_CONN_H */
