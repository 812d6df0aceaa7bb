/*-------------------------------------------------------------------------
 *
 * cache_redis_impl.h
 *	  What the files behind cache_redis_conn.h share.
 *
 *	cache_redis_url			the settings that say where Redis is
 *	cache_redis_breaker		the breaker and the counters, in shared memory
 *	cache_redis_tls			encryption of connections, if hiredis has it
 *	cache_redis_link		one connection: time limits, handshake, replies
 *	cache_redis_cluster		which node a command goes to: seeds, Sentinel, slots
 *	cache_redis_conn		calls over all these
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_REDIS_IMPL_H
#define APIBASE_CACHE_REDIS_IMPL_H

#include "postgres.h"

#include "cache/cache_redis_conn.h"
#include "cache/cache_redis_url.h"

/* ---- cache_redis_breaker.c ---- */

extern int	cache_redis_breaker_failures;	/* in a row, that open it */
extern int	cache_redis_breaker_recovery;	/* milliseconds after which one call probes */
extern int	cache_redis_warning_interval;	/* seconds */

/* Whether a call may go on to Redis. */
typedef enum CacheRedisPass
{
	CACHE_REDIS_SKIP,
	CACHE_REDIS_TRY,
	CACHE_REDIS_PROBE,			/* the one call that finds out whether Redis is back */
} CacheRedisPass;

extern CacheRedisPass cache_redis_breaker_enter(void);
extern bool cache_redis_breaker_would_enter(void);

/* The outcome of a call.  failure warns, unless somebody did within the interval. */
extern void cache_redis_breaker_success(CacheRedisPass pass);
extern void cache_redis_breaker_failure(CacheRedisPass pass, const char *error);

extern void cache_redis_count_commands(uint64 n);
extern void cache_redis_count_connection(void);
extern void cache_redis_count_skipped(void);

/* The seed that all backends try first. */
extern int	cache_redis_preferred_seed(int nseeds);
extern void cache_redis_prefer_seed(int seed);

/* ---- cache_redis_link.c ---- */

extern int	cache_redis_connect_timeout;	/* milliseconds */
extern int	cache_redis_command_timeout;

/* A connection to a node. */
typedef struct CacheRedisLink
{
	CacheRedisNode node;
	redisContext *context;		/* NULL: closed */
	struct ssl_st *ssl;			/* its TLS, or NULL */
	uint32		connection;		/* number of the connection, in this process */
	int			expected;		/* replies that have not come yet */
	size_t		received;		/* bytes, in this call */
	bool		fresh;			/* made in this call */
	bool		cut;			/* closed by the server before it had answered anything */
	bool		close;			/* not to be used any more */
	bool		lent;			/* the connection is another's: it is never freed here */
	TimestampTz rests_until;	/* of a node of a cluster that has failed; 0: it does not rest */
} CacheRedisLink;

/* ---- cache_redis_tls.c ---- */

/* Have what is sent from now on be encrypted; false: failed. */
extern bool cache_redis_tls_begin(CacheRedisLink *link);

/* The events of the socket to wait for, instead of those that the caller would wait for. */
extern int	cache_redis_tls_events(const CacheRedisLink *link, int events);

/* After a failure: what is wrong with the certificate of the server; NULL: nothing. */
extern const char *cache_redis_tls_error(const CacheRedisLink *link);

extern void cache_redis_tls_define_gucs(void);

/*
 * A call: its time begins with begin, and is the command time-out and at most
 * the connect time-out for what connections it needs.  end must follow, also
 * after an error of PostgreSQL (an interrupt).
 */
extern void cache_redis_call_begin(void);
extern void cache_redis_call_end(void);

/* What went wrong last in this call; empty: nothing.  failed says what, and never a password. */
#define CACHE_REDIS_MAX_ERROR	256
extern const char *cache_redis_call_error(void);
extern void cache_redis_call_set_error(const char *error);
extern void cache_redis_call_failed(const CacheRedisNode *node, const char *format,...) pg_attribute_printf(2, 3);

/* Time left to connect, in this call. */
extern bool cache_redis_call_may_connect(void);

/* Connect and log in.  How: a replica is refused; what is asked is a Sentinel. */
#define CACHE_REDIS_NO_REPLICA	0x01
#define CACHE_REDIS_IS_SENTINEL	0x02
extern bool cache_redis_link_open(CacheRedisLink *link, int how);
extern void cache_redis_link_close(CacheRedisLink *link);

/* Add a command to what is to be sent; send it; receive the next reply.  False or NULL: failed, and closed. */
extern bool cache_redis_link_add(CacheRedisLink *link, int argc, const char **argv, const size_t *argvlen);
extern bool cache_redis_link_send(CacheRedisLink *link);
extern redisReply *cache_redis_link_receive(CacheRedisLink *link);

/* All three for one command. */
extern redisReply *cache_redis_link_ask(CacheRedisLink *link, int argc, const char **argv);

/* A reply if there is one without waiting; false: failed. */
extern bool cache_redis_link_take(CacheRedisLink *link, redisReply **reply);

/* Give the connection away. */
extern redisContext *cache_redis_link_give(CacheRedisLink *link);

/* Whether a reply says that the server cannot serve: noted, and the connection is to be closed if it will not over this one. */
extern bool cache_redis_link_is_refused(CacheRedisLink *link, const redisReply *reply);

/* ---- cache_redis_cluster.c ---- */

/* At the begin of a call: forget all nodes if the settings have changed. */
extern void cache_redis_nodes_refresh(void);

/* An open connection to the node of a key (NULL: to the main node), or to a node that is known.  NULL: there is none. */
extern CacheRedisLink *cache_redis_node_of_key(const char *key, int key_len);
extern CacheRedisLink *cache_redis_node_open(CacheRedisLink *link);

/* A node has answered MOVED or ASK: where to.  NULL if that cannot be read. */
extern CacheRedisLink *cache_redis_node_redirected(CacheRedisLink *from, const char *error);

/* A node has failed: find another one next time. */
extern void cache_redis_node_failed(CacheRedisLink *link);

/* Ask a node for the map of slots; a server that is no cluster has none.  False: failed. */
extern bool cache_redis_nodes_load(CacheRedisLink *link);

/* All nodes, one after the other, beginning with NULL; and all that are masters. */
extern CacheRedisLink *cache_redis_node_next(CacheRedisLink *link);
extern CacheRedisLink *cache_redis_master_next(CacheRedisLink *link);

#endif							/* APIBASE_CACHE_REDIS_IMPL_H */
