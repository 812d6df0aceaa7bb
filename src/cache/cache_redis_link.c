/*-------------------------------------------------------------------------
 *
 * cache_redis_link.c
 *	  One connection to Redis: time limits, handshake, replies.
 *
 * hiredis makes and parses what goes over the wire; all waiting is done here,
 * on a socket that does not block.  So a time-out is one for the whole call,
 * also when the server sends a byte at a time, and interrupts are served while
 * waiting.  Errors that they raise leave hiredis alone: it is not on the stack
 * then, and a connection with replies to come is closed by who catches them.
 *
 * Only looking up a host name can block, which hiredis does; addresses and
 * sockets need none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_redis_impl.h"
#include "core/compat.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/latch.h"

/* hiredis makes room for the elements of an array before it has read them. */
#define MAX_ELEMENTS	(1 << 20)
#if HIREDIS_MAJOR >= 1
typedef size_t ElementCount;
#else
typedef int ElementCount;
#endif

int			cache_redis_connect_timeout = 200;
int			cache_redis_command_timeout = 100;

/* The current call.  Times are microseconds of a clock that nobody sets. */
typedef struct Call
{
	int64		deadline;
	int64		connect_left;	/* of the connect time-out */
	bool		latch_was_set;
	char		error[CACHE_REDIS_MAX_ERROR];
} Call;

static Call call;

static char password[CACHE_REDIS_MAX_PASSWORD]; /* the last that was used: never to be printed */

static uint32 connections = 0;	/* made by this process */
static uint32 wait_event = 0;
static redisReplyObjectFunctions reply_functions;
static void *(*create_array) (const redisReadTask *, ElementCount);

/* ---- calls ---- */

static int64
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

void
cache_redis_call_begin(void)
{
	if (wait_event == 0)
		wait_event = APIBASE_WAIT_EVENT("ApibaseCacheRedis");
	call.deadline = now_us() + cache_redis_command_timeout * INT64CONST(1000);
	call.connect_left = cache_redis_connect_timeout * INT64CONST(1000);
	call.latch_was_set = false;
	call.error[0] = '\0';
}

void
cache_redis_call_end(void)
{
	/* the latch may have been set for somebody further out */
	if (call.latch_was_set)
		SetLatch(MyLatch);
	call.latch_was_set = false;
}

bool
cache_redis_call_may_connect(void)
{
	return call.connect_left > 0;
}

const char *
cache_redis_call_error(void)
{
	return call.error;
}

void
cache_redis_call_set_error(const char *error)
{
	strlcpy(call.error, error, sizeof(call.error));
}

/* Put *** where a text has the password.  A server may say anything. */
static void
mask_password(char *text)
{
	size_t		len = strlen(password);
	char	   *found;

	if (len == 0)
		return;
	while ((found = strstr(text, password)) != NULL)
	{
		size_t		shown = Min(len, 3);

		memmove(found + shown, found + len, strlen(found + len) + 1);
		memset(found, '*', shown);
		/* a password of stars is as good as masked */
		if (strspn(password, "*") == len)
			return;
	}
}

void
cache_redis_call_failed(const CacheRedisNode *node, const char *format,...)
{
	char		text[2 * CACHE_REDIS_MAX_PASSWORD];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mask_password(text);
	for (char *c = text; *c; c++)
	{
		if ((unsigned char) *c < ' ' || (unsigned char) *c > '~')
			*c = '?';
	}
	if (node->port == 0)
		snprintf(call.error, sizeof(call.error), "%s: %s", node->host, text);
	else
		snprintf(call.error, sizeof(call.error), strchr(node->host, ':') ? "[%s]:%d: %s" : "%s:%d: %s", node->host,
				 node->port, text);
}

/* ---- waiting ---- */

/* Wait for the socket or the end of the call's time; false: it has passed. */
static bool
wait_for_socket(CacheRedisLink *link, int events)
{
	int64		left = call.deadline - now_us();
	int			event;

	if (left <= 0)
		return false;
	events = cache_redis_tls_events(link, events) | WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	event = WaitLatchOrSocket(MyLatch, events, link->context->fd, (long) ((left + 999) / 1000), wait_event);
	if (event & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		call.latch_was_set = true;
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* The call's time is up, or hiredis reports an error. */
static void
link_failed(CacheRedisLink *link, bool timeout)
{
	redisContext *c = link->context;
	int			error = errno;
	const char *tls_error = cache_redis_tls_error(link);

	if (tls_error)
		cache_redis_call_failed(&link->node, "%s", tls_error);
	else if (timeout)
		cache_redis_call_failed(&link->node, "no answer in time");
	else if (c->err == REDIS_ERR_OOM)
		cache_redis_call_failed(&link->node, "an answer too large for the memory there is");
	else
		cache_redis_call_failed(&link->node, "%s", c->errstr);

	link->cut = !timeout && link->received == 0 &&
		(c->err == REDIS_ERR_EOF || (c->err == REDIS_ERR_IO && (error == ECONNRESET || error == EPIPE)));
	cache_redis_link_close(link);
}

/* ---- the connection ---- */

void
cache_redis_link_close(CacheRedisLink *link)
{
	if (link->context && !link->lent)
	{
		redisFree(link->context);
		ReleaseExternalFD();
	}
	link->context = NULL;
	link->ssl = NULL;
	link->expected = 0;
	link->close = false;
}

redisContext *
cache_redis_link_give(CacheRedisLink *link)
{
	redisContext *c = link->context;

	if (c)
		ReleaseExternalFD();
	link->context = NULL;
	return c;
}

/* Instead of hiredis' own: an array of a size that no answer to us has is as if memory were short. */
static void *
create_bounded_array(const redisReadTask *task, ElementCount elements)
{
	return elements > MAX_ELEMENTS ? NULL : create_array(task, elements);
}

/* Have the reader of a connection be bounded. */
static void
bound_reader(redisContext *c)
{
	if (create_array == NULL)
	{
		reply_functions = *c->reader->fn;
		create_array = reply_functions.createArray;
		reply_functions.createArray = create_bounded_array;
	}
	c->reader->fn = &reply_functions;
}

/* Begin to connect, and wait until it is done. */
static bool
connect_socket(CacheRedisLink *link)
{
	const CacheRedisNode *node = &link->node;
	redisContext *c;
	struct pollfd ready = {.events = POLLOUT};
	int			error = 0;
	socklen_t	size = sizeof(error);

	if (!AcquireExternalFD())
	{
		cache_redis_call_failed(node, "this process has too many files open");
		return false;
	}
	c = node->port ? redisConnectNonBlock(node->host, node->port) : redisConnectUnixNonBlock(node->host);
	if (c == NULL)
	{
		ReleaseExternalFD();
		cache_redis_call_failed(node, "out of memory");
		return false;
	}
	link->context = c;
	link->close = true;			/* until the handshake is done */
	if (c->err)
	{
		link_failed(link, false);
		return false;
	}
	(void) fcntl(c->fd, F_SETFD, FD_CLOEXEC);
	ready.fd = c->fd;
	bound_reader(c);

	while (poll(&ready, 1, 0) <= 0)
	{
		if (!wait_for_socket(link, WL_SOCKET_CONNECTED))
		{
			link_failed(link, true);
			return false;
		}
	}
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error != 0)
	{
		cache_redis_call_failed(node, "%s", strerror(error));
		cache_redis_link_close(link);
		return false;
	}
	if (cache_redis_url()->tls && !cache_redis_tls_begin(link))
	{
		cache_redis_link_close(link);
		return false;
	}
	return true;
}

/* ---- commands and replies ---- */

bool
cache_redis_link_add(CacheRedisLink *link, int argc, const char **argv, const size_t *argvlen)
{
	if (redisAppendCommandArgv(link->context, argc, argv, argvlen) != REDIS_OK)
	{
		link_failed(link, false);
		return false;
	}
	link->expected++;
	return true;
}

/* Take what has come from the socket; false: failed. */
static bool
read_socket(CacheRedisLink *link)
{
	redisContext *c = link->context;
	size_t		before = c->reader->len;

	if (redisBufferRead(c) != REDIS_OK)
	{
		link_failed(link, false);
		return false;
	}
	link->received += c->reader->len - before;
	if (link->received > (size_t) apibase_cache_size * 1024 * 1024)
	{
		cache_redis_call_failed(&link->node, "an answer larger than the cache");
		cache_redis_link_close(link);
		return false;
	}
	return true;
}

bool
cache_redis_link_send(CacheRedisLink *link)
{
	int			done = 0;

	for (;;)
	{
		if (redisBufferWrite(link->context, &done) != REDIS_OK)
		{
			link_failed(link, false);
			return false;
		}
		if (done)
			return true;

		/* the server may not read on before we do */
		if (!wait_for_socket(link, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
		{
			link_failed(link, true);
			return false;
		}
		if (!read_socket(link))
			return false;
	}
}

redisReply *
cache_redis_link_receive(CacheRedisLink *link)
{
	for (;;)
	{
		void	   *reply = NULL;

		if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK)
		{
			link_failed(link, false);
			return NULL;
		}
		if (reply)
		{
			link->expected--;
			return reply;
		}
		if (!wait_for_socket(link, WL_SOCKET_READABLE))
		{
			link_failed(link, true);
			return NULL;
		}
		if (!read_socket(link))
			return NULL;
	}
}

bool
cache_redis_link_take(CacheRedisLink *link, redisReply **reply)
{
	struct pollfd ready = {.fd = link->context->fd, .events = POLLIN};

	for (bool has_read = false;; has_read = true)
	{
		void	   *next = NULL;

		if (redisGetReplyFromReader(link->context, &next) != REDIS_OK)
		{
			link_failed(link, false);
			return false;
		}
		*reply = next;
		if (next || has_read || poll(&ready, 1, 0) <= 0)
			return true;
		if (!read_socket(link))
			return false;
	}
}

redisReply *
cache_redis_link_ask(CacheRedisLink *link, int argc, const char **argv)
{
	if (!cache_redis_link_add(link, argc, argv, NULL) || !cache_redis_link_send(link))
		return NULL;
	return cache_redis_link_receive(link);
}

/* Whether a reply says that the server cannot serve; *close: and will not, over this connection. */
static bool
is_refusal(const redisReply *reply, bool *close)
{
	static const struct
	{
		const char *code;
		bool		close;
	}			refusals[] = {
		{"LOADING", true},
		{"READONLY", true},		/* a master that has become a replica */
		{"MASTERDOWN", true},
		{"NOAUTH", true},
		{"WRONGPASS", true},
		{"DENIED", true},
		{"NOPERM", false},
		{"CLUSTERDOWN", false},
		{"OOM", false},
		{"MISCONF", false},
		{"NOREPLICAS", false},
		{"TRYAGAIN", false},
		{"BUSY", false},
	};

	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	for (size_t i = 0; i < lengthof(refusals); i++)
	{
		size_t		len = strlen(refusals[i].code);

		if (strncmp(reply->str, refusals[i].code, len) == 0 && (reply->str[len] == ' ' || reply->str[len] == '\0'))
		{
			*close = refusals[i].close;
			return true;
		}
	}
	return false;
}

bool
cache_redis_link_is_refused(CacheRedisLink *link, const redisReply *reply)
{
	bool		close = false;

	if (!is_refusal(reply, &close))
		return false;
	cache_redis_call_failed(&link->node, "%s", reply->str);
	link->close |= close;
	return true;
}

/* ---- handshake ---- */

typedef enum Step
{
	STEP_AUTH,
	STEP_SELECT,
	STEP_NAME,
	STEP_ROLE,
} Step;

/* Send all of the handshake at once; steps gets what replies to expect. */
static int
send_handshake(CacheRedisLink *link, int how, Step *steps)
{
	const CacheRedisUrl *url = cache_redis_url();
	const char *words[3];
	char		number[16];
	int			n = 0;
	bool		good = true;

	if (password[0] != '\0')
	{
		int			argc = 0;

		words[argc++] = "AUTH";
		if (url->user[0] != '\0')
			words[argc++] = url->user;
		words[argc++] = password;
		good = cache_redis_link_add(link, argc, words, NULL);
		steps[n++] = STEP_AUTH;
	}
	if (how & CACHE_REDIS_IS_SENTINEL)
		return good ? n : -1;

	if (good && url->database != 0)
	{
		snprintf(number, sizeof(number), "%d", url->database);
		words[0] = "SELECT";
		words[1] = number;
		good = cache_redis_link_add(link, 2, words, NULL);
		steps[n++] = STEP_SELECT;
	}
	words[0] = "CLIENT";
	words[1] = "SETNAME";
	words[2] = "apibase";
	good = good && cache_redis_link_add(link, 3, words, NULL);
	steps[n++] = STEP_NAME;
	if (good && (how & CACHE_REDIS_NO_REPLICA))
	{
		words[0] = "ROLE";
		good = cache_redis_link_add(link, 1, words, NULL);
		steps[n++] = STEP_ROLE;
	}
	return good ? n : -1;
}

/* Whether the reply to a step lets us go on; if not, the reason is noted. */
static bool
step_succeeded(CacheRedisLink *link, int how, Step step, const redisReply *reply)
{
	bool		close;

	if (step == STEP_ROLE && reply->type == REDIS_REPLY_ARRAY)
	{
		if (reply->elements > 0 && reply->element[0]->type == REDIS_REPLY_STRING &&
			strcmp(reply->element[0]->str, "slave") == 0)
		{
			cache_redis_call_failed(&link->node, "the server is a replica");
			return false;
		}
		return true;
	}
	if (reply->type != REDIS_REPLY_ERROR)
		return true;

	/* noted in any case: a server that has no room for a client says so and closes the connection */
	cache_redis_call_failed(&link->node, "%s", reply->str);
	if (step == STEP_AUTH)
		return (how & CACHE_REDIS_IS_SENTINEL) != 0;	/* it may do without a password */
	if (step == STEP_SELECT)
		return false;
	/* name and role may be forbidden to the user */
	return strncmp(reply->str, "NOPERM", 6) == 0 || !is_refusal(reply, &close);
}

/* Log in.  On failure the link is closed. */
static bool
log_in(CacheRedisLink *link, int how)
{
	Step		steps[4];
	int			n;
	bool		good = true;
	char		before[sizeof(call.error)];

	if (!cache_redis_url_password(password, sizeof(password)))
	{
		cache_redis_call_failed(&link->node, "could not read apibase.redis_password_file: %s", strerror(errno));
		cache_redis_link_close(link);
		return false;
	}
	n = send_handshake(link, how, steps);
	if (n < 0 || !cache_redis_link_send(link))
		return false;

	memcpy(before, call.error, sizeof(before));
	call.error[0] = '\0';
	for (int i = 0; i < n && good; i++)
	{
		char		said[sizeof(call.error)];
		redisReply *reply;

		memcpy(said, call.error, sizeof(said));
		reply = cache_redis_link_receive(link);
		if (reply == NULL)
		{
			/* what the server said is more than that it then hung up */
			if (said[0] != '\0')
				memcpy(call.error, said, sizeof(said));
			return false;
		}
		good = step_succeeded(link, how, steps[i], reply);
		freeReplyObject(reply);
	}
	if (good)
		memcpy(call.error, before, sizeof(before));
	else
		cache_redis_link_close(link);
	return good;
}

bool
cache_redis_link_open(CacheRedisLink *link, int how)
{
	int64		begin = now_us();
	int64		deadline = call.deadline;
	bool		opened;

	if (link->context)
		return true;

	/* connecting has a time-out of its own, which does not shorten that of the commands */
	call.deadline = begin + call.connect_left;
	link->received = 0;
	link->cut = false;
	opened = connect_socket(link) && log_in(link, how);
	call.connect_left -= now_us() - begin;
	call.deadline = deadline + (now_us() - begin);
	if (!opened)
		return false;

	link->connection = ++connections;
	link->fresh = true;
	link->close = false;
	link->received = 0;
	cache_redis_count_connection();
	return true;
}
