/*-------------------------------------------------------------------------
 *
 * cache_config.c
 *	  The settings of the cache; those of level 2 are in cache_redis_conn.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache.h"
#include "cache/cache_config.h"
#include "cache/cache_redis.h"
#include "cache/cache_redis_conn.h"
#include "cache/cache_track.h"
#include "cache/cache_watch.h"
#include "core/guc.h"

int			apibase_cache_size = 64;
int			apibase_cache_max_entries = 100000;
int			apibase_cache_max_namespaces = 64;
bool		apibase_cache_enabled = true;
int			apibase_cache_default_ttl = 300;
int			apibase_cache_wait_limit = 5000;
int			apibase_cache_max_value_percent = 10;
int			apibase_cache_standby_ttl = 1;
int			apibase_cache_max_row_tags = 1000;

/* What sizes shared memory. */
static void
define_sizes(void)
{
	GucContext	postmaster = apibase_guc_postmaster_context();

	DefineCustomIntVariable("apibase.cache_size",
							"Shared memory for the keys and values of the cache.",
							"When it is full, the least recently used entries make room.",
							&apibase_cache_size,
							64, 1, 1024 * 1024,
							postmaster, GUC_UNIT_MB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_max_entries",
							"How many entries the cache can hold.",
							"The least recently used entry makes room for one more.",
							&apibase_cache_max_entries,
							100000, 1, 100000000,
							postmaster, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_max_namespaces",
							"How many namespaces of keys have a configuration and counters of their own, over all databases.",
							"Keys of further namespaces are counted together.",
							&apibase_cache_max_namespaces,
							64, 2, 4096,
							postmaster, 0,
							NULL, NULL, NULL);
}

/* What holds for one use, or one transaction. */
static void
define_limits(void)
{
	DefineCustomBoolVariable("apibase.cache_enabled",
							 "Use the cache.",
							 "When off, every get misses and nothing is set; invalidations work as ever.",
							 &apibase_cache_enabled,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_default_ttl",
							"Time to live of an entry where neither the call nor the namespace has one.",
							"0 means for ever.",
							&apibase_cache_default_ttl,
							300, 0, INT_MAX / 1000,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_wait_limit",
							"How long to wait for another session that computes the value of the same key.",
							"After that the value is computed once more. 0 does not wait.",
							&apibase_cache_wait_limit,
							5000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_max_value_percent",
							"Largest part of apibase.cache_size that one entry may take, in percent.",
							NULL,
							&apibase_cache_max_value_percent,
							10, 1, 100,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_standby_ttl",
							"Longest time to live of an entry on a server in recovery.",
							"Changes that arrive by replication invalidate nothing there. 0 keeps nothing.",
							&apibase_cache_standby_ttl,
							1, 0, INT_MAX / 1000,
							PGC_SUSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("apibase.cache_max_row_tags",
							"How many rows of a table one transaction invalidates one by one.",
							"One that writes more invalidates what depends on any row of the table.",
							&apibase_cache_max_row_tags,
							1000, 0, 1000000,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
}

void
apibase_cache_define_gucs(void)
{
	define_sizes();
	define_limits();
	cache_redis_conn_define_gucs();
	cache_redis_define_gucs();
	cache_track_install();
	cache_watch_install();
}
