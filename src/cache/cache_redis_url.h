/*-------------------------------------------------------------------------
 *
 * cache_redis_url.h
 *	  apibase.redis_url: where Redis is.
 *
 *	redis://[[user]:password@]host[:port][,host[:port]...][/database]
 *	redis+cluster://[[user]:password@]host[:port],...
 *	redis+sentinel://[[user]:password@]host[:port],.../master[/database]
 *	unix://[[user]:password@]/path[?db=database]
 *
 * rediss instead of redis: with TLS.  User, password, master and path are
 * percent-decoded.  Of several hosts after redis:// the first one that is
 * reached and is no replica is used.
 *
 * Nobody but the code that logs in to Redis gets to see the password: the
 * value that the server keeps for the setting is always empty, what SHOW
 * prints has *** in its place, and messages never quote the setting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_REDIS_URL_H
#define APIBASE_CACHE_REDIS_URL_H

#include "postgres.h"

#include "cache/cache_redis_conn.h"

#define CACHE_REDIS_MAX_SEEDS		16
#define CACHE_REDIS_MAX_PASSWORD	2048

typedef enum CacheRedisMode
{
	CACHE_REDIS_SERVER,
	CACHE_REDIS_CLUSTER,
	CACHE_REDIS_SENTINEL,
} CacheRedisMode;

/* A URL that was read.  What is not used is zero, so two are compared by memcmp. */
typedef struct CacheRedisUrl
{
	CacheRedisMode mode;
	bool		tls;
	int			nseeds;			/* 0: no URL */
	CacheRedisNode seeds[CACHE_REDIS_MAX_SEEDS];	/* servers, or Sentinels */
	char		user[256];		/* empty: the default user */
	char		password[CACHE_REDIS_MAX_PASSWORD]; /* empty: none */
	char		master[256];	/* the name that Sentinel knows */
	int			database;
	char		shown[1024];	/* the text without the password */
} CacheRedisUrl;

/* The current one, or NULL. */
extern const CacheRedisUrl *cache_redis_url(void);

/* Changes whenever connections must be made anew because of a setting. */
extern uint32 cache_redis_url_generation(void);
extern void cache_redis_url_renew(void);

/* The password to log in with: from apibase.redis_password_file, or from the URL.  False if the file cannot be read: see errno. */
extern bool cache_redis_url_password(char *password, size_t size);

extern void cache_redis_url_define_gucs(void);

#endif							/* APIBASE_CACHE_REDIS_URL_H */
