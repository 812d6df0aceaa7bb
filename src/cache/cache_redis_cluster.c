/*-------------------------------------------------------------------------
 *
 * cache_redis_cluster.c
 *	  Which node of Redis a command goes to.
 *
 * The main node is the server itself, the master that Sentinel names, or the
 * first server of several that is reached and is no replica.  Without a
 * cluster everything goes there.
 *
 * A cluster shows itself by answering MOVED.  Then the map of its slots is
 * asked for, and from then on the slot of a key decides.  Keys of slots whose
 * owner is not known, or has failed, go to the main node, which answers MOVED
 * again.  A node that has failed is left alone for the recovery time of the
 * breaker: the others may be well, so that the breaker stays closed.
 *
 * All this is the process's own: nodes, connections, slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_impl.h"
#include "core/clock.h"

#include "miscadmin.h"

#define SLOTS		16384
#define UNKNOWN		0			/* in slot_owner: no node is known */

static CacheRedisLink links[CACHE_REDIS_MAX_NODES];
static int	nlinks = 0;
static CacheRedisLink sentinel;
static CacheRedisLink *main_link = NULL;

static bool is_cluster = false;
static uint8 slot_owner[SLOTS]; /* number of a link, from 1 */
static uint32 generation = 0;	/* of the settings that all this was made with */

CacheRedisLink *
cache_redis_node_next(CacheRedisLink *link)
{
	if (link == NULL)
		return &sentinel;
	if (link == &sentinel)
		return nlinks > 0 ? &links[0] : NULL;
	return link + 1 < links + nlinks ? link + 1 : NULL;
}

static void
forget_nodes(void)
{
	for (CacheRedisLink *link = NULL; (link = cache_redis_node_next(link)) != NULL;)
		cache_redis_link_close(link);
	memset(links, 0, sizeof(links[0]) * nlinks);
	nlinks = 0;
	main_link = NULL;
	if (is_cluster)
		memset(slot_owner, UNKNOWN, sizeof(slot_owner));
	is_cluster = false;
}

void
cache_redis_nodes_refresh(void)
{
	/* room for a cluster whose nodes have moved about */
	if (generation != cache_redis_url_generation() || nlinks > CACHE_REDIS_MAX_NODES / 2)
		forget_nodes();
	generation = cache_redis_url_generation();
}

/* The link of a node, made if need be; NULL if there is no room. */
static CacheRedisLink *
link_of_node(const CacheRedisNode *node)
{
	for (int i = 0; i < nlinks; i++)
	{
		if (links[i].node.port == node->port && strcmp(links[i].node.host, node->host) == 0)
			return &links[i];
	}
	if (nlinks == CACHE_REDIS_MAX_NODES)
		return NULL;
	memset(&links[nlinks], 0, sizeof(links[nlinks]));
	links[nlinks].node = *node;
	return &links[nlinks++];
}

static bool
is_resting(const CacheRedisLink *link)
{
	return is_cluster && link->rests_until != 0 && apibase_clock_now() < link->rests_until &&
		link->rests_until - apibase_clock_now() <= cache_redis_breaker_recovery * INT64CONST(1000);
}

void
cache_redis_node_failed(CacheRedisLink *link)
{
	if (link == main_link)
	{
		main_link = NULL;
		cache_redis_prefer_seed(cache_redis_preferred_seed(cache_redis_url()->nseeds) + 1);
	}
	if (!is_cluster)
		return;
	link->rests_until = apibase_clock_now() + cache_redis_breaker_recovery * INT64CONST(1000);
	for (int slot = 0; slot < SLOTS; slot++)
	{
		if (slot_owner[slot] == link - links + 1)
			slot_owner[slot] = UNKNOWN;
	}
}

CacheRedisLink *
cache_redis_node_open(CacheRedisLink *link)
{
	if (link->context)
		return link;
	if (is_resting(link) || !cache_redis_call_may_connect())
		return NULL;
	if (!cache_redis_link_open(link, 0))
	{
		cache_redis_node_failed(link);
		return NULL;
	}
	link->rests_until = 0;
	return link;
}

/* Ask a Sentinel for the address of the master. */
static bool
ask_sentinel(const CacheRedisNode *seed, CacheRedisNode *node)
{
	const char *words[] = {"SENTINEL", "get-master-addr-by-name", cache_redis_url()->master};
	redisReply *reply;
	bool		found = false;

	sentinel.node = *seed;
	if (!cache_redis_link_open(&sentinel, CACHE_REDIS_IS_SENTINEL))
		return false;
	reply = cache_redis_link_ask(&sentinel, lengthof(words), words);
	if (reply == NULL)
		return false;

	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_STRING)
	{
		strlcpy(node->host, reply->element[0]->str, sizeof(node->host));
		node->port = atoi(reply->element[1]->str);
		found = node->port > 0 && node->port <= 65535;
	}
	if (!found)
		cache_redis_call_failed(seed, "%s", reply->type == REDIS_REPLY_ERROR ? reply->str : "Sentinel does not know the master");
	freeReplyObject(reply);
	cache_redis_link_close(&sentinel);
	return found;
}

/* The main node, found by way of one seed. */
static CacheRedisLink *
open_seed(int seed)
{
	const CacheRedisUrl *url = cache_redis_url();
	CacheRedisNode node = url->seeds[seed];
	CacheRedisLink *link;

	if (url->mode == CACHE_REDIS_SENTINEL && !ask_sentinel(&url->seeds[seed], &node))
		return NULL;
	link = link_of_node(&node);
	if (link == NULL)
		return NULL;
	if (is_cluster || url->mode == CACHE_REDIS_CLUSTER)
		return cache_redis_node_open(link);
	return cache_redis_link_open(link, CACHE_REDIS_NO_REPLICA) ? link : NULL;
}

static CacheRedisLink *
open_main_node(void)
{
	int			nseeds = cache_redis_url()->nseeds;
	int			first = cache_redis_preferred_seed(nseeds);
	char		before[CACHE_REDIS_MAX_ERROR];

	if (main_link && main_link->context)
		return main_link;
	main_link = NULL;
	strlcpy(before, cache_redis_call_error(), sizeof(before));
	for (int i = 0; i < nseeds; i++)
	{
		int			seed = (first + i) % nseeds;

		if (!cache_redis_call_may_connect())
		{
			/* one that hangs has taken all the time: begin with the next one next time */
			cache_redis_prefer_seed(seed);
			break;
		}
		main_link = open_seed(seed);
		if (main_link)
		{
			/* that others did not serve is no failure */
			cache_redis_call_set_error(before);
			if (i > 0)
				cache_redis_prefer_seed(seed);
			break;
		}
	}
	return main_link;
}

/* ---- slots ---- */

/* The slot of a key: CRC16 (XMODEM) of it, or of what stands in its first braces. */
static int
slot_of_key(const char *key, int len)
{
	const char *open = memchr(key, '{', len);
	const char *close = open ? memchr(open + 1, '}', key + len - open - 1) : NULL;
	uint16		crc = 0;

	if (close && close > open + 1)
	{
		key = open + 1;
		len = close - key;
	}
	for (int i = 0; i < len; i++)
	{
		crc ^= (uint16) ((unsigned char) key[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16) (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
	}
	return crc % SLOTS;
}

CacheRedisLink *
cache_redis_node_of_key(const char *key, int key_len)
{
	if (is_cluster && key != NULL)
	{
		uint8		owner = slot_owner[slot_of_key(key, key_len)];

		if (owner != UNKNOWN)
			return cache_redis_node_open(&links[owner - 1]);
	}
	return open_main_node();
}

CacheRedisLink *
cache_redis_node_redirected(CacheRedisLink *from, const char *error)
{
	char		text[sizeof(((CacheRedisNode *) NULL)->host) + 32];
	CacheRedisNode node = from->node;
	CacheRedisLink *link;
	char	   *address;
	char	   *colon;
	int			slot;

	/* MOVED 3999 127.0.0.1:6381; the host may be missing, then it is the same */
	strlcpy(text, error, sizeof(text));
	address = strchr(text, ' ');
	slot = address ? atoi(address + 1) : -1;
	address = address ? strchr(address + 1, ' ') : NULL;
	colon = address ? strrchr(address, ':') : NULL;
	if (colon == NULL || slot < 0 || slot >= SLOTS)
		return NULL;
	*colon = '\0';
	node.port = atoi(colon + 1);
	if (address[1] != '\0' && address[1] != '?')
		strlcpy(node.host, address + 1, sizeof(node.host));
	if (node.port <= 0 || node.port > 65535)
		return NULL;

	is_cluster = true;
	link = link_of_node(&node);
	if (link && strncmp(error, "MOVED", 5) == 0)
		slot_owner[slot] = (uint8) (link - links + 1);
	return link;
}

/* The master of one range in the answer to CLUSTER SLOTS; false if it is malformed. */
static bool
read_range(const CacheRedisNode *from, const redisReply *range, int *first, int *last, CacheRedisNode *node)
{
	const redisReply *master;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
		range->element[0]->type != REDIS_REPLY_INTEGER || range->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	master = range->element[2];
	if (master->type != REDIS_REPLY_ARRAY || master->elements < 2 || master->element[1]->type != REDIS_REPLY_INTEGER ||
		range->element[0]->integer < 0 || range->element[1]->integer >= SLOTS ||
		master->element[1]->integer <= 0 || master->element[1]->integer > 65535)
		return false;

	*first = (int) range->element[0]->integer;
	*last = (int) range->element[1]->integer;
	*node = *from;
	node->port = (int) master->element[1]->integer;
	if (master->element[0]->type == REDIS_REPLY_STRING && master->element[0]->len > 0 &&
		strcmp(master->element[0]->str, "?") != 0)
		strlcpy(node->host, master->element[0]->str, sizeof(node->host));
	return true;
}

bool
cache_redis_nodes_load(CacheRedisLink *link)
{
	const char *words[] = {"CLUSTER", "SLOTS"};
	CacheRedisNode from = link->node;
	redisReply *reply = cache_redis_link_ask(link, lengthof(words), words);
	bool		good = reply != NULL;

	if (reply && reply->type == REDIS_REPLY_ERROR)
	{
		/* that is what a server says that is no cluster; it need not allow the question */
		good = strncmp(reply->str, "NOPERM", 6) == 0 || !cache_redis_link_is_refused(link, reply);
		if (!good)
			cache_redis_node_failed(link);
	}
	if (!good || reply->type != REDIS_REPLY_ARRAY)
	{
		freeReplyObject(reply);
		return good;
	}

	memset(slot_owner, UNKNOWN, sizeof(slot_owner));
	is_cluster = true;
	for (size_t i = 0; i < reply->elements; i++)
	{
		CacheRedisNode node;
		CacheRedisLink *owner;
		int			first;
		int			last;

		if (!read_range(&from, reply->element[i], &first, &last, &node))
			continue;
		owner = link_of_node(&node);
		for (int slot = first; owner && slot <= last; slot++)
			slot_owner[slot] = (uint8) (owner - links + 1);
	}
	freeReplyObject(reply);
	return true;
}

CacheRedisLink *
cache_redis_master_next(CacheRedisLink *link)
{
	if (!is_cluster)
		return link == NULL ? main_link : NULL;
	for (int i = link ? link - links + 1 : 0; i < nlinks; i++)
	{
		if (memchr(slot_owner, i + 1, SLOTS))
			return &links[i];
	}
	return NULL;
}
