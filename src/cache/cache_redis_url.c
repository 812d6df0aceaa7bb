/*-------------------------------------------------------------------------
 *
 * cache_redis_url.c
 *	  apibase.redis_url: read, kept, and shown without its password.
 *
 * The server itself would print the value of a setting in three places: when
 * it is refused, in the log when a reload changes it, and in
 * pg_settings.reset_val.  So the check hook keeps what it has read in a
 * variable of this file and empties the value, and the message of a refused
 * value is the hook's own.
 *
 * For the same reason a parallel worker, which is sent the leader's values,
 * keeps what it has inherited from the postmaster.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_redis_url.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/parallel.h"
#include "utils/guc.h"

#define REDIS_PORT		6379
#define SENTINEL_PORT	26379
#define MAX_SOCKET_PATH	107		/* of sun_path, without the terminator */

static CacheRedisUrl current;
static CacheRedisUrl checked;	/* what the check hook has read last, for the assign hook that follows */
static uint32 generation = 0;

static char *redis_url_value;	/* always empty */
static char *redis_password_file;

/* ---- reading ---- */

/* Decode %XX of n bytes into a buffer; false if it does not fit or is malformed. */
static bool
percent_decode(const char *text, size_t n, char *out, size_t size)
{
	size_t		used = 0;

	for (size_t i = 0; i < n; i++)
	{
		unsigned int c = (unsigned char) text[i];

		if (c == '%')
		{
			char		hex[3] = {0};

			if (i + 2 >= n || !isxdigit((unsigned char) text[i + 1]) || !isxdigit((unsigned char) text[i + 2]))
				return false;
			hex[0] = text[i + 1];
			hex[1] = text[i + 2];
			c = (unsigned int) strtoul(hex, NULL, 16);
			i += 2;
		}
		if (c == '\0' || used + 1 >= size)
			return false;
		out[used++] = (char) c;
	}
	out[used] = '\0';
	return true;
}

/* A number of decimal digits, at most max; -1 if it is none. */
static int
read_number(const char *text, size_t n, int max)
{
	long		value = 0;

	if (n == 0 || n > 9)
		return -1;
	for (size_t i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value <= max ? (int) value : -1;
}

/* user:password or :password */
static bool
read_userinfo(const char *text, size_t n, CacheRedisUrl *url, const char **problem)
{
	const char *colon = memchr(text, ':', n);

	/* a word without a colon would be the user here and the password there */
	if (colon == NULL)
	{
		*problem = "What stands before \"@\" must be \"user:password\" or \":password\".";
		return false;
	}
	if (!percent_decode(text, colon - text, url->user, sizeof(url->user)))
	{
		*problem = "The user name is too long or not properly percent-encoded.";
		return false;
	}
	if (!percent_decode(colon + 1, n - (colon + 1 - text), url->password, sizeof(url->password)))
	{
		*problem = "The password is too long or not properly percent-encoded.";
		return false;
	}
	if (url->user[0] != '\0' && url->password[0] == '\0')
	{
		*problem = "A user name needs a password.";
		return false;
	}
	return true;
}

/* host[:port] or [IPv6 address][:port] */
static bool
read_host(const char *text, size_t n, int default_port, CacheRedisNode *node, const char **problem)
{
	const char *end = text + n;
	const char *host = text;
	const char *host_end;
	const char *allowed = "-._";

	if (n > 0 && *text == '[')
	{
		host++;
		host_end = memchr(host, ']', end - host);
		allowed = ":.%-_";
		if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':'))
		{
			*problem = "An IPv6 address must stand in brackets.";
			return false;
		}
		text = host_end + 1;
	}
	else
	{
		host_end = memchr(host, ':', n);
		if (host_end == NULL)
			host_end = end;
		text = host_end;
	}

	if (host == host_end || (size_t) (host_end - host) >= sizeof(node->host))
	{
		*problem = "A host name is missing or too long.";
		return false;
	}
	for (const char *c = host; c < host_end; c++)
	{
		if (!isalnum((unsigned char) *c) && strchr(allowed, *c) == NULL)
		{
			*problem = "A host name has a character that is not allowed there. Special characters of a password must be percent-encoded.";
			return false;
		}
	}
	memcpy(node->host, host, host_end - host);
	node->host[host_end - host] = '\0';

	node->port = text < end ? read_number(text + 1, end - text - 1, 65535) : default_port;
	if (node->port <= 0)
	{
		*problem = "A port must be a number from 1 to 65535. Special characters of a password must be percent-encoded.";
		return false;
	}
	return true;
}

/* The hosts, comma separated. */
static bool
read_hosts(const char *text, const char *end, CacheRedisUrl *url, const char **problem)
{
	int			port = url->mode == CACHE_REDIS_SENTINEL ? SENTINEL_PORT : REDIS_PORT;

	for (;;)
	{
		const char *comma = memchr(text, ',', end - text);
		const char *host_end = comma ? comma : end;

		if (url->nseeds == CACHE_REDIS_MAX_SEEDS)
		{
			*problem = "At most 16 hosts can be named.";
			return false;
		}
		if (!read_host(text, host_end - text, port, &url->seeds[url->nseeds], problem))
			return false;
		url->nseeds++;
		if (comma == NULL)
			return true;
		text = comma + 1;
	}
}

/* What follows the hosts: [/database], or /master[/database]. */
static bool
read_path(const char *text, CacheRedisUrl *url, const char **problem)
{
	const char *slash;

	if (strpbrk(text, "?#") != NULL)
	{
		*problem = "Parameters after \"?\" are allowed with unix:// only.";
		return false;
	}
	if (*text == '/')
		text++;
	if (url->mode == CACHE_REDIS_SENTINEL)
	{
		slash = strchr(text, '/');
		if (!percent_decode(text, slash ? (size_t) (slash - text) : strlen(text), url->master, sizeof(url->master)) ||
			url->master[0] == '\0')
		{
			*problem = "The name of the master must follow the Sentinels: redis+sentinel://host,host/name.";
			return false;
		}
		text = slash ? slash + 1 : "";
	}
	url->database = *text ? read_number(text, strlen(text), INT_MAX / 2) : 0;
	if (url->database < 0)
	{
		*problem = "The database must be a number.";
		return false;
	}
	if (url->mode == CACHE_REDIS_CLUSTER && url->database != 0)
	{
		*problem = "A cluster has database 0 only.";
		return false;
	}
	return true;
}

/* unix://[user:password@]/path[?db=n] */
static bool
read_socket(const char *path, CacheRedisUrl *url, const char **problem)
{
	const char *question = strchr(path, '?');
	size_t		n = question ? (size_t) (question - path) : strlen(path);

	if (*path != '/' || !percent_decode(path, n, url->seeds[0].host, MAX_SOCKET_PATH + 1))
	{
		*problem = "The absolute path of a socket is expected, of at most 107 bytes.";
		return false;
	}
	url->nseeds = 1;
	if (question)
	{
		url->database = strncmp(question, "?db=", 4) == 0 ? read_number(question + 4, strlen(question + 4), INT_MAX / 2) : -1;
		if (url->database < 0)
		{
			*problem = "After the path only \"?db=\" and a number are allowed.";
			return false;
		}
	}
	return true;
}

/* The scheme; returns what follows it, or NULL. */
static const char *
read_scheme(const char *text, CacheRedisUrl *url, bool *is_socket)
{
	static const struct
	{
		const char *name;
		CacheRedisMode mode;
		bool		tls;
		bool		socket;
	}			schemes[] = {
		{"redis://", CACHE_REDIS_SERVER, false, false},
		{"rediss://", CACHE_REDIS_SERVER, true, false},
		{"redis+cluster://", CACHE_REDIS_CLUSTER, false, false},
		{"rediss+cluster://", CACHE_REDIS_CLUSTER, true, false},
		{"redis+sentinel://", CACHE_REDIS_SENTINEL, false, false},
		{"rediss+sentinel://", CACHE_REDIS_SENTINEL, true, false},
		{"unix://", CACHE_REDIS_SERVER, false, true},
	};

	for (size_t i = 0; i < lengthof(schemes); i++)
	{
		if (pg_strncasecmp(text, schemes[i].name, strlen(schemes[i].name)) != 0)
			continue;
		url->mode = schemes[i].mode;
		url->tls = schemes[i].tls;
		*is_socket = schemes[i].socket;
		return text + strlen(schemes[i].name);
	}
	return NULL;
}

/* Where the last @ before the path is: before it stands the user and the password. */
static const char *
find_at(const char *text, const char *end)
{
	const char *at = NULL;

	for (; text < end; text++)
	{
		if (*text == '@')
			at = text;
	}
	return at;
}

/* Keep the text with *** for the password. */
static void
keep_shown(CacheRedisUrl *url, const char *text, const char *userinfo, const char *at)
{
	const char *colon = at ? memchr(userinfo, ':', at - userinfo) : NULL;

	if (colon)
		snprintf(url->shown, sizeof(url->shown), "%.*s:***%s", (int) (colon - text), text, at);
	else
		strlcpy(url->shown, text, sizeof(url->shown));
}

/* Read the text of a URL.  On failure *problem says why, without quoting it. */
static bool
parse_url(const char *text, CacheRedisUrl *url, const char **problem)
{
	bool		is_socket;
	const char *authority;
	const char *path;
	const char *at;

	memset(url, 0, sizeof(*url));
	if (*text == '\0')
		return true;

	for (const char *c = text; *c; c++)
	{
		if (*c <= ' ' || *c > '~')
		{
			*problem = "Blanks and characters that are not ASCII must be percent-encoded.";
			return false;
		}
	}
	authority = read_scheme(text, url, &is_socket);
	if (authority == NULL)
	{
		*problem = "It must begin with redis://, rediss://, redis+cluster://, redis+sentinel:// or unix://.";
		return false;
	}
#ifndef APIBASE_REDIS_TLS
	if (url->tls)
	{
		*problem = "This build has no TLS for Redis: the hiredis it was built with has none.";
		return false;
	}
#endif
	path = authority + strcspn(authority, "/?#");
	at = find_at(authority, path);
	if (at && !read_userinfo(authority, at - authority, url, problem))
		return false;
	keep_shown(url, text, authority, at);
	if (is_socket)
	{
		if (path != (at ? at + 1 : authority))
		{
			*problem = "unix:// must be followed by the absolute path of a socket.";
			return false;
		}
		return read_socket(path, url, problem);
	}
	return read_hosts(at ? at + 1 : authority, path, url, problem) && read_path(path, url, problem);
}

/* ---- the settings ---- */

const CacheRedisUrl *
cache_redis_url(void)
{
	return current.nseeds > 0 ? &current : NULL;
}

uint32
cache_redis_url_generation(void)
{
	return generation;
}

void
cache_redis_url_renew(void)
{
	generation++;
}

bool
cache_redis_url_password(char *password, size_t size)
{
	ssize_t		n;
	int			fd;
	int			save_errno;

	if (redis_password_file == NULL || redis_password_file[0] == '\0')
	{
		strlcpy(password, current.password, size);
		return true;
	}

	/* read each time, so that a password can be changed without a reload */
	fd = open(redis_password_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, password, size - 1);
	save_errno = errno;
	close(fd);
	errno = save_errno;
	if (n < 0)
		return false;
	password[n] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return true;
}

static bool
check_redis_url(char **newval, void **extra, GucSource source)
{
	const char *problem = NULL;
	bool		good;

	if (InitializingParallelWorker)
		return true;
	good = parse_url(*newval, &checked, &problem);
	explicit_bzero(*newval, strlen(*newval));
	if (!good)
	{
		memset(&checked, 0, sizeof(checked));
		GUC_check_errmsg("invalid value for parameter \"apibase.redis_url\"");
		GUC_check_errdetail("%s", problem);
		GUC_check_errhint("The form is redis://[[user]:password@]host[:port][,...][/database] or unix://[[user]:password@]/path[?db=n].");
	}
	return good;
}

static void
assign_redis_url(const char *newval, void *extra)
{
	if (InitializingParallelWorker || memcmp(&current, &checked, sizeof(current)) == 0)
		return;
	memcpy(&current, &checked, sizeof(current));
	generation++;
}

static const char *
show_redis_url(void)
{
	return current.shown;
}

static void
assign_password_file(const char *newval, void *extra)
{
	cache_redis_url_renew();
}

void
cache_redis_url_define_gucs(void)
{
	DefineCustomStringVariable("apibase.redis_url",
							   "Where the second level of the cache is: a Redis server, a cluster, or Sentinels.",
							   "Such as redis://:password@10.0.0.5:6379/0. Addresses are better than names: looking up a name can block."
							   " The password is never shown. Empty: there is no second level.",
							   &redis_url_value,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE,
							   check_redis_url, assign_redis_url, show_redis_url);
	DefineCustomStringVariable("apibase.redis_password_file",
							   "File whose first line is the password for Redis.",
							   "It is read for each new connection, and counts instead of a password in apibase.redis_url.",
							   &redis_password_file,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE,
							   NULL, assign_password_file, NULL);
}
