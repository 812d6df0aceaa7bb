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
 *	order of a list, stamps, hits		the same, or shared with the partition's mutex
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
#include "storage/s_lock.h"

#define STORE_NONE			PG_UINT32_MAX
#define STORE_NO_STAMP		PG_UINT64_MAX	/* the oldest stamp of an empty list */
#define STORE_LINE			64	/* bytes of a line of the processor's cache */
#define STORE_CHUNK_DATA	124

/*
 * Ask for a line of memory before it is needed, to read or to write it.  Only
 * a hint: the address may be outdated, and is not looked at.
 */
#if defined(__GNUC__)
#define store_expect_read(address)	__builtin_prefetch((address), 0)
#define store_expect_write(address) __builtin_prefetch((address), 1)
#else
#define store_expect_read(address)	((void) (address))
#define store_expect_write(address) ((void) (address))
#endif

/* A piece of the arena. */
typedef struct StoreChunk
{
	char		data[STORE_CHUNK_DATA];
	uint32		next;			/* of the chain of an entry, or of free chunks */
} StoreChunk;

StaticAssertDecl(sizeof(StoreChunk) == 128, "a chunk is two lines of the processor's cache");

/*
 * An entry: what a get has to look at, in one line.  Its chain of chunks holds
 * a StoreRecord, then the tag slots, the key, the tags, the value.
 */
typedef struct StoreEntry
{
	uint64		hash;			/* of the key */
	uint64		sequence;		/* of the lease */
	TimestampTz expires;
	pg_atomic_uint64 stamp;		/* of the last use */
	uint32		bucket_next;	/* of its bucket */
	uint32		newer;			/* of its list, towards the head */
	uint32		older;			/* of its list, towards the tail; of free entries */
	uint32		chunk;			/* first of its chain */
	uint32		value_len;
	pg_atomic_uint32 hits;		/* approximately; stops at its largest value */
	uint16		key_len;
	uint16		tags_len;
	uint16		nspace;
	uint8		nslots;
	uint8		kind;
} StoreEntry;

StaticAssertDecl(sizeof(StoreEntry) == STORE_LINE, "an entry is one line of the processor's cache");
StaticAssertDecl(APIBASE_CACHE_MAX_SLOTS <= PG_UINT8_MAX, "the number of tag slots fits its field");
StaticAssertDecl(APIBASE_CACHE_MAX_TAGS * (APIBASE_CACHE_MAX_TAG + 1) <= PG_UINT16_MAX, "the length of the tags fits its field");
StaticAssertDecl(APIBASE_CACHE_MAX_KEY <= PG_UINT16_MAX, "the length of a key fits its field");

/* The rest of an entry, at the start of its first chunk. */
typedef struct StoreRecord
{
	uint64		version;
	TimestampTz created;
	TimestampTz dies;
	uint32		cost;
	Oid			database;
} StoreRecord;

/* The entries of one namespace in one partition, in the order of their stamps. */
typedef struct StoreList
{
	uint32		head;			/* the last one used */
	uint32		tail;
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
	uint32	   *buckets;		/* those of a partition together */
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
} StoreHands;

#define STORE_EMPTY_HANDS	{STORE_NONE, STORE_NONE, 0, STORE_NONE, STORE_NONE, 0, 0}

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
 * memcpy() for the pieces of a chain.  As compilers know that these are short,
 * they would make memcpy() a string instruction, whose start alone takes longer.
 */
static inline void
store_copy(char *to, const char *from, Size len)
{
	for (; len >= 16; len -= 16, to += 16, from += 16)
		memcpy(to, from, 16);
	if (len & 8)
	{
		memcpy(to, from, 8);
		to += 8;
		from += 8;
	}
	if (len & 4)
	{
		memcpy(to, from, 4);
		to += 4;
		from += 4;
	}
	for (len &= 3; len > 0; len--)
		*to++ = *from++;
}

static inline uint32
store_partition_of(uint64 hash)
{
	return (uint32) (hash >> 58);
}

StaticAssertDecl(APIBASE_CACHE_PARTITIONS == 64, "a partition is the upper six bits of a hash");

static inline uint32 *
store_bucket_of(uint64 hash)
{
	uint32		bits = cache_store.header->bucket_bits;

	return &cache_store.buckets[((hash >> 58) << bits) + (hash & ((UINT64CONST(1) << bits) - 1))];
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

static inline StoreRecord *
store_record(const StoreEntry *entry)
{
	return (StoreRecord *) cache_store.chunks[entry->chunk].data;
}

/* Where in the chain the parts of an entry begin. */
static inline Size
store_key_offset(const StoreEntry *entry)
{
	return sizeof(StoreRecord) + entry->nslots * sizeof(CacheSlot);
}

static inline Size
store_tags_offset(const StoreEntry *entry)
{
	return store_key_offset(entry) + entry->key_len;
}

static inline Size
store_value_offset(const StoreEntry *entry)
{
	return store_tags_offset(entry) + entry->tags_len;
}

static inline uint32
store_chunks_for(Size len)
{
	return (uint32) ((len + STORE_CHUNK_DATA - 1) / STORE_CHUNK_DATA);
}

static inline uint32
store_chunks_of(const StoreEntry *entry)
{
	return store_chunks_for(store_value_offset(entry) + entry->value_len);
}

/* What an entry counts in bytes. */
static inline uint64
store_bytes(uint32 nchunks)
{
	return (uint64) nchunks * sizeof(StoreChunk) + sizeof(StoreEntry);
}

#endif							/* APIBASE_CACHE_STORE_IMPL_H */
