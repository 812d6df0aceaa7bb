/*-------------------------------------------------------------------------
 *
 * cache_redis_conn.c
 *	  Calls to Redis: settings, pipelines, and what the worker needs.
 *
 * A pipeline goes out in rounds.  A round sends every command that has no
 * reply yet to its node, all at once, and then takes the replies in order.
 * Another round follows for those that were redirected, and for those on a
 * connection that the server had closed while it was idle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_impl.h"

#include "miscadmin.h"
#include "utils/guc.h"

#define MAX_ROUNDS	6
#define MAX_PREFIX	128

char	   *apibase_redis_key_prefix;

/* A command on its way. */
typedef struct Sending
{
	CacheRedisLink *link;		/* where it was sent, or is to be sent; NULL: as its key says */
	uint32		connection;		/* number of the link's connection that it was sent over */
	bool		sent;			/* in this round */
	bool		ask;			/* to be preceded by ASKING */
	bool		done;			/* there is a reply, or there will be none */
} Sending;

typedef struct Pipeline
{
	const CacheRedisCommand *commands;
	redisReply **replies;
	Sending    *sendings;
	int			n;
	int			answered;
	bool		failed;			/* something did */
	CacheRedisLink *map_source; /* a node that has answered MOVED */
	bool		map_loaded;
} Pipeline;

/* ---- one round ---- */

static void
give_up(Pipeline *pipeline, int i, bool failed)
{
	pipeline->sendings[i].done = true;
	pipeline->failed |= failed;
}

/* Send what has no reply yet. */
static void
send_commands(Pipeline *pipeline)
{
	static const char *asking[] = {"ASKING"};

	for (int i = 0; i < pipeline->n; i++)
	{
		const CacheRedisCommand *command = &pipeline->commands[i];
		Sending    *sending = &pipeline->sendings[i];

		sending->sent = false;
		if (sending->done)
			continue;
		sending->link = sending->link ? cache_redis_node_open(sending->link) :
			cache_redis_node_of_key(command->key, command->key_len);
		if (sending->link == NULL ||
			(sending->ask && !cache_redis_link_add(sending->link, 1, asking, NULL)) ||
			!cache_redis_link_add(sending->link, command->argc, command->argv, command->argvlen))
		{
			/* a node that is left alone because it failed before has failed nothing now */
			bool		failed = cache_redis_call_error()[0] != '\0';

			if (!failed)
				cache_redis_count_skipped();
			give_up(pipeline, i, failed);
			continue;
		}
		sending->connection = sending->link->connection;
		sending->sent = true;
	}
	for (CacheRedisLink *link = NULL; (link = cache_redis_node_next(link)) != NULL;)
	{
		if (link->context && link->expected > 0)
			(void) cache_redis_link_send(link);
	}
}

/* The connection that a command was sent over is gone. */
static void
command_lost(Pipeline *pipeline, int i)
{
	Sending    *sending = &pipeline->sendings[i];
	CacheRedisLink *link = sending->link;

	if (link->cut && !link->fresh)
	{
		/* the server had closed it before: it gets a new one, in the next round */
		if (!sending->ask)
			sending->link = NULL;
		return;
	}
	cache_redis_node_failed(link);
	give_up(pipeline, i, true);
}

/* MOVED or ASK: to be sent again. */
static bool
is_redirected(Pipeline *pipeline, Sending *sending, const redisReply *reply)
{
	CacheRedisLink *from = sending->link;
	CacheRedisLink *to;

	if (reply->type != REDIS_REPLY_ERROR ||
		(strncmp(reply->str, "MOVED ", 6) != 0 && strncmp(reply->str, "ASK ", 4) != 0))
		return false;
	to = cache_redis_node_redirected(from, reply->str);
	if (to == NULL)
		return false;
	sending->link = to;
	sending->ask = reply->str[0] == 'A';
	if (!sending->ask)
		pipeline->map_source = from;
	return true;
}

static void
take_reply(Pipeline *pipeline, int i, redisReply *reply)
{
	Sending    *sending = &pipeline->sendings[i];

	if (is_redirected(pipeline, sending, reply))
		freeReplyObject(reply);
	else if (cache_redis_link_is_refused(sending->link, reply))
	{
		freeReplyObject(reply);
		if (sending->link->close)
			cache_redis_node_failed(sending->link);
		give_up(pipeline, i, true);
	}
	else
	{
		pipeline->replies[i] = reply;
		pipeline->answered++;
		give_up(pipeline, i, false);
	}
}

static void
receive_replies(Pipeline *pipeline)
{
	for (int i = 0; i < pipeline->n; i++)
	{
		Sending    *sending = &pipeline->sendings[i];
		redisReply *reply = NULL;
		bool		good;

		if (!sending->sent)
			continue;
		good = sending->link->context && sending->link->connection == sending->connection;
		if (good && sending->ask)
		{
			reply = cache_redis_link_receive(sending->link);
			good = reply != NULL;
			freeReplyObject(reply);
		}
		if (good)
			reply = cache_redis_link_receive(sending->link);
		if (good && reply)
			take_reply(pipeline, i, reply);
		else
			command_lost(pipeline, i);
	}
}

/* ---- calls ---- */

/* Close what is not to be used again; at the end also where something is to come, or has come that nobody asked for. */
static void
close_links(bool at_end)
{
	for (CacheRedisLink *link = NULL; (link = cache_redis_node_next(link)) != NULL;)
	{
		if (link->close ||
			(at_end && link->context && (link->expected > 0 || link->context->reader->pos < link->context->reader->len)))
			cache_redis_link_close(link);
	}
}

static void
call_begin(void)
{
	cache_redis_call_begin();
	cache_redis_nodes_refresh();
	for (CacheRedisLink *link = NULL; (link = cache_redis_node_next(link)) != NULL;)
	{
		link->received = 0;
		link->fresh = false;
		link->cut = false;
	}
}

/* After the call, also when it was interrupted. */
static void
call_end(void)
{
	close_links(true);
	cache_redis_call_end();
}

/* Tell the breaker. */
static void
call_report(CacheRedisPass pass, bool failed, bool succeeded)
{
	if (failed)
		cache_redis_breaker_failure(pass, cache_redis_call_error());
	else if (succeeded)
		cache_redis_breaker_success(pass);
}

static void
run_pipeline(Pipeline *pipeline)
{
	for (int round = 0;; round++)
	{
		int			pending = 0;

		for (int i = 0; i < pipeline->n; i++)
			pending += !pipeline->sendings[i].done;
		if (pending == 0)
			return;
		if (round == MAX_ROUNDS)
		{
			if (cache_redis_call_error()[0] == '\0')
				cache_redis_call_failed(&cache_redis_url()->seeds[0], "redirected too often");
			pipeline->failed = true;
			return;
		}
		send_commands(pipeline);
		receive_replies(pipeline);
		close_links(false);
		if (pipeline->map_source && pipeline->map_source->context && !pipeline->map_loaded)
			pipeline->map_loaded = cache_redis_nodes_load(pipeline->map_source);
	}
}

bool
cache_redis_available(void)
{
	return cache_redis_configured() && cache_redis_breaker_would_enter();
}

int
cache_redis_pipeline(const CacheRedisCommand *commands, int n, redisReply **replies)
{
	Pipeline	pipeline = {.commands = commands, .replies = replies, .n = n};
	CacheRedisPass pass;

	memset(replies, 0, sizeof(*replies) * n);
	if (n == 0 || !cache_redis_configured())
		return 0;
	pipeline.sendings = palloc0(sizeof(*pipeline.sendings) * n);
	pass = cache_redis_breaker_enter();
	if (pass != CACHE_REDIS_SKIP)
	{
		cache_redis_count_commands(n);
		call_begin();
		PG_TRY();
		{
			run_pipeline(&pipeline);
		}
		PG_CATCH();
		{
			/* an interrupt: the replies to come would be taken for those of the next call */
			call_end();
			cache_redis_free(replies, n);
			PG_RE_THROW();
		}
		PG_END_TRY();
		call_end();
		call_report(pass, pipeline.failed, pipeline.answered > 0);
	}
	pfree(pipeline.sendings);
	return pipeline.answered;
}

void
cache_redis_free(redisReply **replies, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (replies[i])
			freeReplyObject(replies[i]);
		replies[i] = NULL;
	}
}

/* ---- for the worker ---- */

/* Find all masters; false if none is to be had. */
static bool
find_masters(void)
{
	CacheRedisLink *link = cache_redis_node_of_key(NULL, 0);

	/* a server that is no cluster says so, and is its own only master */
	return link && cache_redis_nodes_load(link) && cache_redis_master_next(NULL) != NULL;
}

int
cache_redis_nodes(CacheRedisNode **nodes)
{
	int			n = 0;
	volatile bool found = false;

	*nodes = NULL;
	if (!cache_redis_configured())
		return 0;
	call_begin();
	PG_TRY();
	{
		found = find_masters();
	}
	PG_FINALLY();
	{
		call_end();
	}
	PG_END_TRY();
	call_report(CACHE_REDIS_TRY, !found, found);
	if (!found)
		return 0;

	for (CacheRedisLink *link = NULL; (link = cache_redis_master_next(link)) != NULL;)
	{
		if (*nodes == NULL)
			*nodes = palloc(sizeof(**nodes) * CACHE_REDIS_MAX_NODES);
		(*nodes)[n++] = link->node;
	}
	return n;
}

redisContext *
cache_redis_connect_node(const CacheRedisNode *node)
{
	static CacheRedisLink link;
	redisContext *context;

	if (!cache_redis_configured())
		return NULL;
	memset(&link, 0, sizeof(link));
	link.node = *node;
	link.lent = false;
	call_begin();
	PG_TRY();
	{
		(void) cache_redis_link_open(&link, 0);
	}
	PG_CATCH();
	{
		cache_redis_link_close(&link);
		call_end();
		PG_RE_THROW();
	}
	PG_END_TRY();
	context = cache_redis_link_give(&link);
	call_end();
	call_report(CACHE_REDIS_TRY, context == NULL, context != NULL);
	return context;
}

/* A connection that is the worker's, as a link that closes nothing. */
static void
lend(CacheRedisLink *link, redisContext *context)
{
	memset(link, 0, sizeof(*link));
	link->context = context;
	link->lent = true;
	if (context->connection_type == REDIS_CONN_UNIX)
		strlcpy(link->node.host, context->unix_sock.path, sizeof(link->node.host));
	else
	{
		strlcpy(link->node.host, context->tcp.host, sizeof(link->node.host));
		link->node.port = context->tcp.port;
	}
}

redisReply *
cache_redis_ask(redisContext *context, int argc, const char **argv)
{
	CacheRedisLink link;
	redisReply *volatile reply = NULL;

	lend(&link, context);
	call_begin();
	PG_TRY();
	{
		reply = cache_redis_link_ask(&link, argc, argv);
		if (reply && cache_redis_link_is_refused(&link, reply))
		{
			freeReplyObject(reply);
			reply = NULL;
		}
	}
	PG_FINALLY();
	{
		call_end();
	}
	PG_END_TRY();
	call_report(CACHE_REDIS_TRY, reply == NULL, reply != NULL);
	return reply;
}

bool
cache_redis_receive(redisContext *context, redisReply **reply)
{
	CacheRedisLink link;
	bool		good;

	lend(&link, context);
	call_begin();
	*reply = NULL;
	good = cache_redis_link_take(&link, reply);
	call_end();
	if (!good)
		call_report(CACHE_REDIS_TRY, true, false);
	return good;
}

/* ---- settings ---- */

static bool
check_key_prefix(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) <= MAX_PREFIX)
		return true;
	GUC_check_errdetail("It must be at most %d bytes long.", MAX_PREFIX);
	return false;
}

void
cache_redis_conn_define_gucs(void)
{
	cache_redis_url_define_gucs();
	cache_redis_tls_define_gucs();
	DefineCustomStringVariable("apibase.redis_key_prefix",
							   "What the keys in Redis begin with.",
							   "Servers that share values and invalidations have the same prefix.",
							   &apibase_redis_key_prefix,
							   "apibase:",
							   PGC_SIGHUP, 0,
							   check_key_prefix, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_connect_timeout",
							"How long a call may take to connect to Redis.",
							"It covers all connections that the call needs, and logging in.",
							&cache_redis_connect_timeout,
							200, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_command_timeout",
							"How long a call may wait for the answers of Redis.",
							"It covers all commands of the call, without the time to connect.",
							&cache_redis_command_timeout,
							100, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_breaker_failures",
							"After how many failed calls in a row, of all sessions, Redis is not asked any more.",
							NULL,
							&cache_redis_breaker_failures,
							5, 1, 1000000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_breaker_recovery",
							"How long Redis is then left alone before one call tries it again.",
							"A node of a cluster that has failed is left alone for as long by the session that it failed.",
							&cache_redis_breaker_recovery,
							5000, 1, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.redis_warning_interval",
							"How long after a warning about Redis there is no other, in any session.",
							NULL,
							&cache_redis_warning_interval,
							60, 0, 86400,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
}
