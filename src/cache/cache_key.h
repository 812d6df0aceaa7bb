/*-------------------------------------------------------------------------
 *
 * cache_key.h
 *	  Keys, and the few types and limits that all parts of the cache share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_KEY_H
#define APIBASE_CACHE_KEY_H

#include "postgres.h"

/* Bytes of a key, of a tag; tags of an entry. */
#define APIBASE_CACHE_MAX_KEY	1024
#define APIBASE_CACHE_MAX_TAG	256
#define APIBASE_CACHE_MAX_TAGS	64

/* Slots of an entry: a tag "a:b" has that of "a:*" too. */
#define APIBASE_CACHE_MAX_SLOTS	(2 * APIBASE_CACHE_MAX_TAGS)

/* A key.  hash is of the current database and the name; apibase_cache_key() makes one. */
typedef struct ApibaseCacheKey
{
	const char *name;			/* not terminated */
	int			len;
	uint64		hash;
} ApibaseCacheKey;

/* What a value is: it is returned only to who asks for that kind. */
typedef enum ApibaseCacheKind
{
	APIBASE_CACHE_JSONB = 'j',	/* a jsonb */
	APIBASE_CACHE_DATUM = 'd',	/* bytes that the module which put them understands */
	APIBASE_CACHE_NOTHING = 'n',	/* it is known that there is nothing: a function returned NULL */
} ApibaseCacheKind;

/* What a value to be put must be consistent with.  Made by a miss, lives to the end of the transaction. */
typedef struct ApibaseCacheLease ApibaseCacheLease;

/* Make a key; raises PB020 for an empty one or one that is too long. */
extern void apibase_cache_key(ApibaseCacheKey *key, const char *name, int len);

/* The same for what is to be put by hand: raises PB020 for the namespace that is kept for functions, too. */
extern void cache_key_by_hand(ApibaseCacheKey *key, const char *name, int len);
#define APIBASE_CACHE_FUNCTIONS	"fn:"

extern uint64 apibase_cache_key_hash(Oid database, const char *name, int len);

/* Of the LWLocks in the tranche apibase_cache: one a partition, then the others. */
#define APIBASE_CACHE_PARTITIONS	64
#define APIBASE_CACHE_LOCK_NAMESPACES	(APIBASE_CACHE_PARTITIONS + 0)
#define APIBASE_CACHE_LOCK_FLIGHTS	(APIBASE_CACHE_PARTITIONS + 1)
#define APIBASE_CACHE_LOCK_QUEUE	(APIBASE_CACHE_PARTITIONS + 2)
#define APIBASE_CACHE_NLOCKS		(APIBASE_CACHE_PARTITIONS + 3)

/*
 * Ask for a line of memory before it is needed, to read or to write it.  Only
 * a hint: the address may be outdated, and is not looked at.  (Compilers drop
 * calls of functions that do nothing but ask, unless these are always inline.)
 */
#if defined(__GNUC__)
#define cache_expect_read(address)	__builtin_prefetch((address), 0)
#define cache_expect_write(address) __builtin_prefetch((address), 1)
#else
#define cache_expect_read(address)	((void) (address))
#define cache_expect_write(address) ((void) (address))
#endif

#endif							/* APIBASE_CACHE_KEY_H */
