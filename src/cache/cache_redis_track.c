/*-------------------------------------------------------------------------
 *
 * cache_redis_track.c
 *	  Level 2: what the worker hears of other nodes.
 *
 * One connection to each master tracks all our keys and has the messages
 * redirected to itself, as messages of a subscription (RESP2).  With a second
 * connection for the messages, its loss would go unnoticed: Redis would go
 * on and have nobody to tell.  Like this, tracking ends with the connection.
 *
 * What the messages say about:
 *
 *	a value		only the primary puts values.  On a standby the entry of the
 *				key is dropped; the primary put it itself
 *	a version	of a key or a tag: the key's entry is dropped, the tag is
 *				invalidated.  The primary asks first who wrote the version, as it
 *				hears of all those that it wrote itself
 *	the epoch	the worker looks at it
 *	nothing		Redis was flushed: everything is dropped
 *
 * Dropping the entry of a key also voids all leases for it, so that what is
 * just being taken from level 2 is not stored afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_url.h"
#include "cache/cache_redis_value.h"
#include "core/compat.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CHANNEL "__redis__:invalidate"

/* A node that leaves so many requests for a sign of life unanswered is taken for dead. */
#define MAX_UNANSWERED 3

typedef struct TrackedNode
{
	CacheRedisNode node;
	redisContext *context;
	int			unanswered;
} TrackedNode;

static TrackedNode *tracked;	/* in TopMemoryContext */
static int	ntracked;
static WaitEventSet *wait_set;
static uint64 servers;			/* see CacheRedisTrust; 0: could not be found out */
static char *base;				/* of all our names, when the connections were made */
static uint32 url_generation;

/* Versions that were changed, whose writer is to be asked for. */
typedef struct Doubtful
{
	char	   *name;
	CacheRedisName parsed;
} Doubtful;

bool
cache_redis_track_connected(void)
{
	return tracked != NULL;
}

uint64
cache_redis_track_servers(void)
{
	return servers;
}

void
cache_redis_drop_level1(void)
{
	cache_tags_invalidate_all();
	cache_store_clear(InvalidOid, NULL, 0);
	cache_redis_worker_count(CACHE_REDIS_DROPS, 1);
}

/* ---- connecting ---- */

/* Complain, but not in every attempt. */
static void
warn_refused(const char *command, const redisReply *reply)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (last != 0 && !TimestampDifferenceExceeds(last, now, 60 * 1000))
		return;
	last = now;
	ereport(WARNING,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("Redis refuses \"%s\": %s", command, reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected answer"),
			 errdetail("Level 2 of the cache is not used.")));
}

/* Ask for an answer of a type; *number is what it is, if it is a number. */
static bool
ask(redisContext *context, int type, long long *number, int argc, const char **argv)
{
	redisReply *reply = cache_redis_ask(context, argc, argv);
	bool		good = reply != NULL && reply->type == type;

	if (good)
		*number = reply->integer;
	else if (reply != NULL)
		warn_refused(argv[0], reply);
	if (reply != NULL)
		freeReplyObject(reply);
	return good;
}

/* The line "name:value" of the answer of INFO, added to a hash. */
static bool
hash_line(const char *info, const char *name, uint64 *hash)
{
	const char *line = strstr(info, name);

	if (line == NULL)
		return false;
	*hash = hash_bytes_extended((const unsigned char *) line, (int) strcspn(line, "\r\n"), *hash);
	return true;
}

/* Which process it is, and what its data descend from; false if it does not tell. */
static bool
identify(redisContext *context, uint64 *identity)
{
	const char *words[] = {"INFO"};
	redisReply *reply = cache_redis_ask(context, lengthof(words), words);
	bool		good;

	*identity = 0;
	good = reply != NULL && reply->type == REDIS_REPLY_STRING &&
		hash_line(reply->str, "run_id:", identity) && hash_line(reply->str, "master_replid:", identity);
	if (reply != NULL)
		freeReplyObject(reply);
	return good;
}

static bool
begin_tracking(redisContext *context)
{
	long long	id;
	long long	ignored;
	char		redirect[32];
	const char *client_id[] = {"CLIENT", "ID"};
	const char *track[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", redirect, "BCAST", "PREFIX", base};
	const char *subscribe[] = {"SUBSCRIBE", CHANNEL};

	if (!ask(context, REDIS_REPLY_INTEGER, &id, lengthof(client_id), client_id))
		return false;
	snprintf(redirect, sizeof(redirect), "%lld", id);
	return ask(context, REDIS_REPLY_STATUS, &ignored, lengthof(track), track) &&
		ask(context, REDIS_REPLY_ARRAY, &ignored, lengthof(subscribe), subscribe);
}

static void
close_connections(void)
{
	for (int i = 0; i < ntracked; i++)
	{
		if (tracked[i].context)
			redisFree(tracked[i].context);
	}
	if (wait_set)
		FreeWaitEventSet(wait_set);
	if (tracked)
		pfree(tracked);
	if (base)
		pfree(base);
	wait_set = NULL;
	tracked = NULL;
	base = NULL;
	ntracked = 0;
}

bool
cache_redis_track_connect(void)
{
	CacheRedisNode *nodes;
	int			n = cache_redis_nodes(&nodes);
	bool		identified = true;

	if (n == 0)
		return false;
	tracked = MemoryContextAllocZero(TopMemoryContext, n * sizeof(TrackedNode));
	ntracked = n;
	base = MemoryContextStrdup(TopMemoryContext, cache_redis_base());
	url_generation = cache_redis_url_generation();
	servers = hash_bytes_extended((const unsigned char *) base, strlen(base), cache_redis_url()->database);
	wait_set = APIBASE_CREATE_WAIT_EVENT_SET(n + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		uint64		identity;

		tracked[i].node = nodes[i];
		tracked[i].context = cache_redis_connect_node(&nodes[i]);
		if (tracked[i].context == NULL)
			break;
		identified = identify(tracked[i].context, &identity) && identified;
		servers ^= identity;
		if (!begin_tracking(tracked[i].context))
			break;
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, tracked[i].context->fd, NULL, &tracked[i]);
		if (i == n - 1)
		{
			if (!identified)
				servers = 0;
			cache_redis_worker_count(CACHE_REDIS_CONNECTS, 1);
			return true;
		}
	}
	close_connections();
	return false;
}

bool
cache_redis_track_current(void)
{
	return url_generation == cache_redis_url_generation() && strcmp(base, cache_redis_base()) == 0;
}

void
cache_redis_track_disconnect(void)
{
	close_connections();
}

/* ---- messages ---- */

/* Drop the entry of a key, and what is just being made one. */
static void
drop_key(const CacheRedisName *name)
{
	ApibaseCacheKey key = {
		.name = name->text,
		.len = name->len,
		.hash = apibase_cache_key_hash(name->database, name->text, name->len),
	};

	cache_tag_invalidate_now(cache_slot_of_key(key.hash));
	cache_store_delete(name->database, &key);
	cache_redis_worker_count(CACHE_REDIS_TRACKED, 1);
}

static void
apply_version(const CacheRedisName *name)
{
	if (name->kind == CACHE_REDIS_NAME_KEY)
		drop_key(name);
	else
	{
		cache_tag_invalidate_now(cache_slot_of_tag(name->database, name->text, name->len));
		cache_redis_worker_count(CACHE_REDIS_TRACKED, 1);
	}
}

/* Apply what was not this server's own doing; without an answer, everything. */
static void
apply_doubtful(List *doubtful)
{
	CacheRedisBatch batch = {0};
	CacheRedisAnswer *answers;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, doubtful)
		cache_redis_batch_get(&batch, ((Doubtful *) lfirst(lc))->name);
	answers = cache_redis_batch_run(&batch);
	foreach(lc, doubtful)
	{
		Doubtful   *one = lfirst(lc);

		/* One that has gone may have been another's just before. */
		if (answers[i].kind != CACHE_REDIS_TEXT || !cache_redis_version_is_mine(answers[i].text))
			apply_version(&one->parsed);
		i++;
	}
}

/* One key that was changed. */
static void
take_name(const redisReply *reply, List **doubtful, bool *check_epoch)
{
	Doubtful   *one;

	if (reply->type != REDIS_REPLY_STRING)
		return;
	one = palloc(sizeof(Doubtful));
	one->name = pnstrdup(reply->str, reply->len);
	cache_redis_parse_name(base, one->name, reply->len, &one->parsed);
	switch (one->parsed.kind)
	{
		case CACHE_REDIS_NAME_EPOCH:
			*check_epoch = true;
			break;
		case CACHE_REDIS_NAME_VALUE:
			if (RecoveryInProgress())
				drop_key(&one->parsed);
			break;
		case CACHE_REDIS_NAME_KEY:
		case CACHE_REDIS_NAME_TAG:
			if (RecoveryInProgress())
				apply_version(&one->parsed);
			else
				*doubtful = lappend(*doubtful, one);
			break;
		case CACHE_REDIS_NAME_OTHER:
			break;
	}
}

/* One message: a list of names, or nothing when Redis was flushed; or a sign of life. */
static bool
take_message(TrackedNode *node, const redisReply *reply, List **doubtful, bool *check_epoch)
{
	const redisReply *names;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || reply->element[0]->type != REDIS_REPLY_STRING)
		return false;
	if (strcmp(reply->element[0]->str, "pong") == 0)
	{
		node->unanswered = 0;
		return true;
	}
	if (strcmp(reply->element[0]->str, "message") != 0 || reply->elements != 3)
		return false;
	names = reply->element[2];
	if (names->type == REDIS_REPLY_NIL)
	{
		/* A replica that takes over its master's data is flushed as well. */
		cache_redis_drop_level1();
		cache_redis_trust()->epoch = 0;
		*check_epoch = true;
		return true;
	}
	for (size_t i = 0; names->type == REDIS_REPLY_ARRAY && i < names->elements; i++)
		take_name(names->element[i], doubtful, check_epoch);
	return names->type == REDIS_REPLY_ARRAY;
}

/* A message, which is freed. */
static bool
consume_message(TrackedNode *node, redisReply *reply, List **doubtful, bool *check_epoch)
{
	volatile bool good = false;

	PG_TRY();
	{
		good = take_message(node, reply, doubtful, check_epoch);
	}
	PG_CATCH();
	{
		freeReplyObject(reply);
		PG_RE_THROW();
	}
	PG_END_TRY();
	freeReplyObject(reply);
	return good;
}

/* All that a node has sent. */
static bool
take_messages(TrackedNode *node, List **doubtful, bool *check_epoch)
{
	redisReply *reply;

	do
	{
		if (!cache_redis_receive(node->context, &reply))
			return false;
		if (reply != NULL && !consume_message(node, reply, doubtful, check_epoch))
			return false;
	} while (reply != NULL);
	return true;
}

bool
cache_redis_track_wait(long timeout, bool *check_epoch)
{
	static uint32 wait_event = 0;
	WaitEvent	events[16];
	List	   *doubtful = NIL;
	bool		good = true;
	int			n;

	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseCacheWorker");
	n = WaitEventSetWait(wait_set, timeout, events, lengthof(events), wait_event);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		else if (events[i].events & WL_SOCKET_READABLE)
			good = take_messages(events[i].user_data, &doubtful, check_epoch) && good;
	}
	if (doubtful != NIL)
		apply_doubtful(doubtful);
	return good;
}

/* ---- signs of life ---- */

/* Whether the masters that there are now are those that are tracked. */
static bool
same_nodes(void)
{
	CacheRedisNode *nodes;
	int			n = cache_redis_nodes(&nodes);

	/* If that cannot be found out just now, it does not mean that it is so. */
	if (n == 0)
		return true;
	for (int i = 0; i < n; i++)
	{
		bool		found = false;

		for (int j = 0; j < ntracked && !found; j++)
			found = nodes[i].port == tracked[j].node.port && strcmp(nodes[i].host, tracked[j].node.host) == 0;
		if (!found)
			return false;
	}
	return n == ntracked;
}

bool
cache_redis_track_alive(void)
{
	for (int i = 0; i < ntracked; i++)
	{
		int			done;

		if (tracked[i].unanswered >= MAX_UNANSWERED)
			return false;
		tracked[i].unanswered++;
		if (redisAppendCommand(tracked[i].context, "PING") != REDIS_OK ||
			redisBufferWrite(tracked[i].context, &done) != REDIS_OK)
			return false;
	}
	return same_nodes();
}
