/*-------------------------------------------------------------------------
 *
 * cache_config.h
 *	  The settings of the cache.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_CONFIG_H
#define APIBASE_CACHE_CONFIG_H

/* Sizes, fixed when the server starts. */
extern int	apibase_cache_size; /* MB, of the chunks that hold keys and values */
extern int	apibase_cache_max_entries;
extern int	apibase_cache_max_namespaces;

/* Anybody's. */
extern bool apibase_cache_enabled;
extern int	apibase_cache_default_ttl;	/* seconds; 0: for ever */
extern int	apibase_cache_wait_limit;	/* milliseconds */

/* Superusers'. */
extern int	apibase_cache_max_value_percent;	/* of apibase.cache_size, one value with its key and tags */
extern int	apibase_cache_standby_ttl;	/* seconds, the most on a server in recovery; 0: nothing is kept there */
extern int	apibase_cache_max_row_tags; /* of one table in one transaction; more become one for all its rows */

#endif							/* APIBASE_CACHE_CONFIG_H */
