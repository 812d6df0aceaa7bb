/*-------------------------------------------------------------------------
 *
 * cache_store.h
 *	  The arena of level 1: entries in shared memory.
 *
 * Everything lies in one piece of shared memory whose size is known at start:
 *
 *	entries		an array of apibase.cache_max_entries, and one spare for each
 *				process, so that replacing a value at the limit evicts nothing.
 *				It has the links only, so that following them, which is
 *				waiting for memory, touches little of it
 *	buckets		a hash table of entry numbers
 *	chunks		apibase.cache_size of pieces of 128 bytes, chained by number.
 *				An entry's chain holds, one after the other: what is known
 *				about it, the numbers of its tag slots, its key, its tags
 *				(terminated strings), its value
 *	partitions	64, by the key's hash: a lock, and for each namespace a list of
 *				its entries here, most recently used first, and its hits
 *
 * Exact LRU: each use stamps an entry with the next number of one counter,
 * inside the lock of the partition, so within a list entries are in the order
 * of their stamps.  An array of the oldest stamp of each list finds the
 * least recently used entry of a namespace, or of all.
 *
 * Error safety: memory is taken and filled before a lock is held, entries are
 * linked and unlinked under it, and nothing in between can throw.  Nobody
 * else's code runs under a lock.
 *
 * The store knows nothing of transactions.  It looks at the slots of an entry
 * (cache_tags.h) where it says so below.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_STORE_H
#define APIBASE_CACHE_STORE_H

#include "postgres.h"

#include "storage/lwlock.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#include "cache/cache_key.h"
#include "cache/cache_tags.h"

/* An entry to be stored, in memory of the caller. */
typedef struct CacheItem
{
	Oid			database;
	ApibaseCacheKey key;
	int			nspace;			/* number of the namespace */
	ApibaseCacheKind kind;
	const char *value;			/* the bytes of a varlena after its header */
	Size		value_len;
	const CacheSlot *slots;		/* that a get checks: of the tags, not of the key and the database */
	int			nslots;			/* at most APIBASE_CACHE_MAX_SLOTS */
	const char *tags;			/* their names, each terminated, for people and for level 2; at most 64 kB */
	Size		tags_len;
	uint64		sequence;		/* of the lease */
	TimestampTz created;
	TimestampTz expires;		/* DT_NOEND: never */
	TimestampTz dies;			/* until then it may be served stale; at least expires */
	uint32		cost;
} CacheItem;

/* An entry that was found, in palloc'd memory. */
typedef struct CacheHit
{
	ApibaseCacheKind kind;
	struct varlena *data;		/* NULL for NOTHING, and where the value was not asked for */
	TimestampTz created;
	TimestampTz expires;
	uint32		cost;
	int			nspace;
	uint64		version;		/* differs for each value that was ever stored in this server */
	char	   *tags;			/* with CACHE_GET_TAGS: the names, palloc'd */
	Size		tags_len;
	uint64		sequence;		/* of the lease */
} CacheHit;

typedef enum CacheFound
{
	CACHE_FOUND,
	CACHE_ABSENT,
	CACHE_EXPIRED,				/* was there; it is gone now, unless it may still be served stale */
	CACHE_STALE,				/* expired, still to be served to who takes stale values */
	CACHE_INVALID,				/* was there with a tag that was invalidated since; it is gone now */
	CACHE_UNDECIDED,			/* is there, but a tag of it is being invalidated this moment, or the filter said no */
} CacheFound;

typedef enum CacheStored
{
	CACHE_STORED,
	CACHE_REPLACED,				/* the same, and there was an entry that a get would have taken */
	CACHE_REFUSED,				/* the check said no */
	CACHE_CONFLICT,				/* another value is there than was expected */
	CACHE_NO_ROOM,				/* larger than the bound of its namespace or of a value */
} CacheStored;

/* What cache_store_set expects to find.  Otherwise a version. */
#define CACHE_ANY		UINT64_MAX
#define CACHE_NONE		0		/* no entry, or one that a get would not take */

/* How to get. */
#define CACHE_GET_STALE		0x01	/* stale ones too */
#define CACHE_GET_NO_VALUE	0x02	/* do not copy the value */
#define CACHE_GET_PEEK		0x04	/* do not count as a use */
#define CACHE_GET_TAGS		0x08	/* copy the names of its tags too */

/* For cache_store_scan: one entry, copied out; pointers are valid during the call. */
typedef struct CacheEntryInfo
{
	Oid			database;
	ApibaseCacheKey key;
	int			nspace;
	ApibaseCacheKind kind;
	Size		value_len;
	Size		bytes;			/* of the arena, with its entry */
	const char *tags;
	Size		tags_len;
	const CacheSlot *slots;
	int			nslots;
	uint64		sequence;
	TimestampTz created;
	TimestampTz expires;
	TimestampTz dies;
	uint64		hits;
	uint64		stamp;			/* of the last use: the larger, the later */
	uint64		version;
} CacheEntryInfo;

typedef bool (*CacheScanFunction) (const CacheEntryInfo *entry, void *arg); /* false: no more */

extern Size cache_store_size(void);
extern void cache_store_init(void *area, LWLockPadded *locks, bool found);

/*
 * Hints that a key is looked for soon: most of the time is waiting for memory
 * otherwise.  The first as soon as a key is known that is not looked for at
 * once, the second a little before a get.
 */
extern void cache_store_expect_key(const ApibaseCacheKey *key);
extern void cache_store_expect_entry(const ApibaseCacheKey *key);

/*
 * Get.  now is the clock's, here and below; it may be the coarse clock's, for
 * the exact one is asked where it matters.  An entry counts as expired from its
 * time on.  An entry that nobody can be served with any more is removed.  Slots
 * are checked by cache_tag_valid() with the number of the entry's lease.  filter,
 * where not NULL, is called under the lock with the slots of a valid entry: false
 * keeps the entry and does not serve it.  Without memory for the result: absent.
 */
typedef bool (*CacheSlotFilter) (const CacheSlot *slots, int nslots);
extern CacheFound cache_store_get(Oid database, const ApibaseCacheKey *key, TimestampTz now, int flags, CacheSlotFilter filter,
								  CacheHit *hit);

/*
 * Store.  check is called with the lock of the key's partition held (so that a
 * delete, which comes through the same lock, is before or after the whole), once
 * or more often, and must not do anything that can fail; NULL for none.  expected:
 * CACHE_ANY, CACHE_NONE or the version that must be there.  Evicts what must go,
 * in the namespace (max_entries, max_bytes; 0 for no bound) and over all, the
 * least recently used first; the item itself is not stored if it alone is over
 * a bound.
 */
extern CacheStored cache_store_set(const CacheItem *item, uint64 expected, uint64 max_entries, uint64 max_bytes,
								   bool (*check) (void *arg), void *arg, TimestampTz now);

/* Whether it can be stored at all, in a namespace with that bound (0: none). */
extern bool cache_store_fits(const CacheItem *item, uint64 max_bytes);

/* Remove; true if an entry was there (also one that a get would not take).  Cannot fail: for callbacks of transactions. */
extern bool cache_store_delete(Oid database, const ApibaseCacheKey *key);

/* Give it new times, which is a use; true if it is there, valid and not expired. */
extern bool cache_store_touch(Oid database, const ApibaseCacheKey *key, TimestampTz expires, TimestampTz dies, TimestampTz now);

/* Every entry, in no order.  The function may allocate and raise errors: no lock is held when it is called. */
extern void cache_store_scan(CacheScanFunction function, void *arg);

/*
 * Remove every entry of a database (InvalidOid: of all) whose key matches a
 * pattern (NULL: all) as in core/glob.h.  Cannot fail: for callbacks of transactions.
 */
extern uint64 cache_store_clear(Oid database, const char *pattern, int pattern_len);

/* What is there. */
extern uint64 cache_store_entries(void);
extern uint64 cache_store_chunks_free(void);
extern uint64 cache_store_chunks(void);
extern void cache_store_namespace_size(int nspace, uint64 *entries, uint64 *bytes);

/* Gets that have returned an entry and counted as a use, since the last reset. */
extern uint64 cache_store_hits(int nspace);
extern void cache_store_reset_hits(int nspace);

/* Check all structures; append one line for each fault.  Holds every lock of the store. */
extern int	cache_store_verify(StringInfo faults);

#endif							/* APIBASE_CACHE_STORE_H */
