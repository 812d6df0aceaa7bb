/*-------------------------------------------------------------------------
 *
 * cache_put.h
 *	  What the ways to put something share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_PUT_H
#define APIBASE_CACHE_PUT_H

#include "postgres.h"

#include "cache/cache_namespace.h"
#include "cache/cache_redis.h"
#include "cache/cache_store.h"

#include "utils/array.h"

/* The tags of an entry: their slots, those of "a:*" for "a:b" too, and their names, each terminated. */
typedef struct CacheTagList
{
	CacheSlot	slots[APIBASE_CACHE_MAX_SLOTS];
	int			nslots;
	char	   *names;
	Size		names_len;
} CacheTagList;

/* Raises PB021 for a tag that is none, and for too many. */
extern void cache_tag_list(CacheTagList *list, const char *const *tags, int ntags);

/* An array of text as terminated strings; raises 22004 for a NULL in it. */
extern const char **cache_strings_of(ArrayType *array, int *n);

/* Length of a tag; raises PB021. */
extern int	cache_tag_length(const char *tag);

/* The times of an entry; ttl, grace and jitter as in ApibaseCachePut. */
extern void cache_set_times(CacheItem *item, int64 ttl, int64 grace, double jitter, const CacheNamespaceConfig *config);

/* Store in level 1 if the lease allows; NULL: whatever was invalidated. */
extern CacheStored cache_put_level1(const CacheItem *item, uint64 expected, const CacheNamespaceConfig *config,
									const ApibaseCacheLease *lease);

/* Whether a get would take an entry that a scan has found (cache_views.c). */
extern bool cache_entry_is_valid(const CacheEntryInfo *entry, TimestampTz now);

/* A value that level 2 has. */
extern void cache_put_from_level2(const ApibaseCacheKey *key, int nspace, const CacheNamespaceConfig *config,
								  const CacheRedisValue *found, const CacheTagList *tags, const ApibaseCacheLease *lease);

#endif							/* APIBASE_CACHE_PUT_H */
