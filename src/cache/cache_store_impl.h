/*-------------------------------------------------------------------------
 *
 * cache_store_impl.h
 *	  What cache_store.c and cache_store_scan.c share: the layout of the arena.
 *
 * There are only numbers in shared memory, no pointers: entries, chunks and
 * namespaces are counted from 0, and STORE_NONE ends a chain.
 *
 * Who may change what:
 *
 *	a partition's buckets, and entries that are linked	the partition's lock, exclusively
 *	order of a list, stamps			the same, or shared with the partition's mutex
 *	hits							with the mutex
 *	free lists							free_lock
 *	oldest stamps						as the order of a list; they are read without a lock
 *	floors								anybody, see cache_store_set.c
 *	an entry or a chunk in hands		its process alone
 *
 * Nobody holds two of these locks, except who checks everything: it takes the
 * partitions in their order, then free_lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_STORE_IMPL_H
#define APIBASE_CACHE_STORE_IMPL_H

#include "cache/cache_store.h"

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define STORE_NONE			PG_UINT32_MAX
#define STORE_NO_STAMP		PG_UINT64_MAX	/* the oldest stamp of an empty list */
#define STORE_LINE			64	/* bytes of a line of the processor's cache */
#define STORE_CHUNK_DATA	124

/* A piece of the arena. */
typedef struct StoreChunk
{
	char		data[STORE_CHUNK_DATA];
	uint32		next;			/* of the chain of an entry, or of free chunks */
} StoreChunk;

StaticAssertDecl(sizeof(StoreChunk) == 128, "a chunk is two lines of the processor's cache");

/*
 * An entry: what is linked.  Two fit into a line of the processor's cache, so
 * that who follows links waits little for memory.  Its chain of chunks holds
 * a StoreRecord, then the tag slots, the key, the tags, the value.
 */
typedef struct StoreEntry
{
	pg_atomic_uint64 stamp;		/* of the last use */
	uint32		hash;			/* of the key, the lower half */
	uint32		bucket_next;	/* of its bucket */
	uint32		newer;			/* of its list, towards the head */
	uint32		older;			/* of its list, towards the tail; of free entries */
	uint32		chunk;			/* first of its chain */
	pg_atomic_uint32 hits;		/* of it; stops at its largest value */
} StoreEntry;

StaticAssertDecl(sizeof(StoreEntry) * 2 == STORE_LINE, "two entries are one line of the processor's cache");

/* The rest of an entry, at the start of its first chunk; where the last member ends its slots begin. */
typedef struct StoreRecord
{
	uint64		sequence;		/* of the lease */
	uint64		version;
	TimestampTz expires;
	TimestampTz dies;
	TimestampTz created;
	uint32		cost;
	Oid			database;
	uint32		value_len;
	uint16		key_len;
	uint16		tags_len;
	uint16		nspace;
	uint8		nslots;
	uint8		kind;
} StoreRecord;

#define STORE_RECORD_SIZE	(offsetof(StoreRecord, kind) + sizeof(uint8))

StaticAssertDecl(STORE_RECORD_SIZE % sizeof(CacheSlot) == 0, "the slots after a record are aligned");
StaticAssertDecl(APIBASE_CACHE_MAX_SLOTS <= PG_UINT8_MAX, "the number of tag slots fits its field");
StaticAssertDecl(APIBASE_CACHE_MAX_TAGS * (APIBASE_CACHE_MAX_TAG + 1) <= PG_UINT16_MAX, "the length of the tags fits its field");
StaticAssertDecl(APIBASE_CACHE_MAX_KEY <= PG_UINT16_MAX, "the length of a key fits its field");

/* Entries whose keys have the same hash here. */
typedef struct StoreBucket
{
	uint32		first;
	uint32		chunk;			/* a hint: that of the entry linked last, which is mostly the first one */
} StoreBucket;

/* The entries of one namespace in one partition, in the order of their stamps. */
typedef struct StoreList
{
	uint32		head;			/* the last one used */
	uint32		tail;
	uint64		hits;			/* of entries in this list; under the mutex */
} StoreList;

typedef struct StorePartition
{
	slock_t		mutex;
	StoreList	lists[FLEXIBLE_ARRAY_MEMBER];	/* by the number of the namespace */
} StorePartition;

/* How much of a namespace is there. */
typedef struct StoreNamespace
{
	pg_atomic_uint64 entries;
	pg_atomic_uint64 bytes;
	char		pad[STORE_LINE - 2 * sizeof(pg_atomic_uint64)];
} StoreNamespace;

/* What is free: those given back, chained, and those from fresh on, which were never used. */
typedef struct StoreFree
{
	uint32		first;
	uint32		count;
	uint32		fresh;
	uint32		total;
} StoreFree;

typedef struct StoreHeader
{
	/* fixed */
	uint32		max_entries;	/* that may be linked */
	uint32		nnamespaces;
	uint32		bucket_bits;	/* 2 ^ bucket_bits buckets in each partition */
	uint32		partition_size; /* bytes */
	char		pad1[STORE_LINE - 4 * sizeof(uint32)];

	pg_atomic_uint64 stamp;		/* the last one given */
	char		pad2[STORE_LINE - sizeof(pg_atomic_uint64)];

	LWLock		free_lock;
	StoreFree	entries;
	StoreFree	chunks;
	pg_atomic_uint64 in_hands;	/* neither free nor linked: STORE_IN_HANDS(entries, chunks) */
	pg_atomic_uint32 places;	/* of max_entries: of those linked, and of those about to be */
	pg_atomic_uint32 namespaces_used;	/* the largest number ever used, plus 1 */
} StoreHeader;

/* The two counts in one word: both change together, and always under a lock that the checker takes. */
#define STORE_IN_HANDS(entries, chunks)	(((uint64) (entries) << 32) + (chunks))

/* Where everything is in this process. */
typedef struct CacheStore
{
	StoreHeader *header;
	StoreEntry *entries;
	StoreBucket *buckets;		/* those of a partition together */
	StoreChunk *chunks;
	char	   *partitions;
	StoreNamespace *namespaces;
	pg_atomic_uint64 *oldest;	/* stamp of the tail of each list, those of a namespace together */
	pg_atomic_uint64 *floors;	/* of each namespace: none of its oldest stamps is below it */
	LWLockPadded *locks;
} CacheStore;

extern CacheStore cache_store;

/* What a process has taken out of the store, or not yet put into it. */
typedef struct StoreHands
{
	uint32		entry;			/* for what is to be stored */
	uint32		others;			/* more entries, chained by older */
	uint32		nentries;		/* all of these */
	uint32		first;			/* chain of chunks */
	uint32		last;
	uint32		nchunks;
	uint32		places;			/* of header->places */
	uint32		next_victim;	/* a hint: what will probably be evicted next, */
	uint32		next_partition; /* and where it is */
} StoreHands;

#define STORE_EMPTY_HANDS	{STORE_NONE, STORE_NONE, 0, STORE_NONE, STORE_NONE, 0, 0, STORE_NONE, 0}

extern uint32 cache_store_find(Oid database, const ApibaseCacheKey *key);
extern void cache_store_read(const StoreEntry *entry, Size offset, char *to, Size len);
extern CacheFound cache_store_judge(const StoreEntry *entry, TimestampTz now);
extern void cache_store_count_removed(int nspace, CacheFound worth);
extern void cache_store_link(uint32 partition, uint32 number, uint32 nchunks);
extern void cache_store_unlink(uint32 partition, uint32 number);
extern void cache_store_keep_chain(StoreHands *hands, uint32 first, uint32 last, uint32 nchunks);
extern void cache_store_keep_entry(StoreHands *hands, uint32 number);
extern void cache_store_keep_chunks(StoreHands *hands, uint32 number);
extern void cache_store_free_others(StoreHands *hands);
extern void cache_store_give_back(StoreHands *hands);

/*
 * memcpy() and memcmp() for the pieces of a chain.  As compilers know that
 * these are short, they would make memcpy() a string instruction, whose start
 * alone takes longer.  The last word is where the piece ends, over part of the
 * one before: so there are few branches that depend on the length.
 */
static inline void
store_copy(char *to, const char *from, Size len)
{
	if (len >= 16)
	{
		for (Size at = 0; at < len - 16; at += 16)
			memcpy(to + at, from + at, 16);
		memcpy(to + len - 16, from + len - 16, 16);
	}
	else if (len >= 8)
	{
		memcpy(to, from, 8);
		memcpy(to + len - 8, from + len - 8, 8);
	}
	else if (len >= 4)
	{
		memcpy(to, from, 4);
		memcpy(to + len - 4, from + len - 4, 4);
	}
	else
	{
		for (Size at = 0; at < len; at++)
			to[at] = from[at];
	}
}

static inline bool
store_same(const char *a, const char *b, Size len)
{
	uint64		x;
	uint64		y;

	if (len < 4)
		return memcmp(a, b, len) == 0;
	if (len < 8)
	{
		uint32		words[4];

		memcpy(&words[0], a, 4);
		memcpy(&words[1], b, 4);
		memcpy(&words[2], a + len - 4, 4);
		memcpy(&words[3], b + len - 4, 4);
		return words[0] == words[1] && words[2] == words[3];
	}
	for (Size at = 0; at < len - 8; at += 8)
	{
		memcpy(&x, a + at, 8);
		memcpy(&y, b + at, 8);
		if (x != y)
			return false;
	}
	memcpy(&x, a + len - 8, 8);
	memcpy(&y, b + len - 8, 8);
	return x == y;
}

static inline uint32
store_partition_of(uint64 hash)
{
	return (uint32) (hash >> 58);
}

StaticAssertDecl(APIBASE_CACHE_PARTITIONS == 64, "a partition is the upper six bits of a hash");

/* The bucket of a hash, of which only the lower half and the partition count. */
static inline StoreBucket *
store_bucket(uint32 partition, uint32 hash)
{
	uint32		bits = cache_store.header->bucket_bits;

	return &cache_store.buckets[((Size) partition << bits) + (hash & (((uint32) 1 << bits) - 1))];
}

static inline StoreBucket *
store_bucket_of(uint64 hash)
{
	return store_bucket(store_partition_of(hash), (uint32) hash);
}

static inline StorePartition *
store_partition(uint32 partition)
{
	return (StorePartition *) (cache_store.partitions + (Size) partition * cache_store.header->partition_size);
}

static inline LWLock *
store_lock(uint32 partition)
{
	return &cache_store.locks[partition].lock;
}

static inline pg_atomic_uint64 *
store_oldest(uint32 partition, uint32 nspace)
{
	return &cache_store.oldest[nspace * APIBASE_CACHE_PARTITIONS + partition];
}

/* A stamp has come into a namespace that may be below its floor. */
static inline void
store_lower_floor(uint32 nspace, uint64 stamp)
{
	uint64		floor = pg_atomic_read_u64(&cache_store.floors[nspace]);

	while (floor > stamp && !pg_atomic_compare_exchange_u64(&cache_store.floors[nspace], &floor, stamp))
		;
}

/* Ask for what a get reads of a chain: mostly its chunks were taken one after the other. */
static pg_attribute_always_inline void
store_expect_chain(uint32 number)
{
	const char *chunk = (const char *) &cache_store.chunks[number];

	cache_expect_read(chunk);
	cache_expect_read(chunk + STORE_LINE);
	cache_expect_read(chunk + 2 * STORE_LINE);
}

static inline StoreRecord *
store_record(const StoreEntry *entry)
{
	return (StoreRecord *) cache_store.chunks[entry->chunk].data;
}

/* Where in the chain the parts of an entry begin. */
static inline Size
store_key_offset(const StoreRecord *record)
{
	return STORE_RECORD_SIZE + record->nslots * sizeof(CacheSlot);
}

static inline Size
store_tags_offset(const StoreRecord *record)
{
	return store_key_offset(record) + record->key_len;
}

static inline Size
store_value_offset(const StoreRecord *record)
{
	return store_tags_offset(record) + record->tags_len;
}

static inline uint32
store_chunks_for(Size len)
{
	return (uint32) ((len + STORE_CHUNK_DATA - 1) / STORE_CHUNK_DATA);
}

static inline uint32
store_chunks_of(const StoreRecord *record)
{
	return store_chunks_for(store_value_offset(record) + record->value_len);
}

/* What an entry counts in bytes. */
static inline uint64
store_bytes(uint32 nchunks)
{
	return (uint64) nchunks * sizeof(StoreChunk) + sizeof(StoreEntry);
}

#endif							/* APIBASE_CACHE_STORE_IMPL_H */
