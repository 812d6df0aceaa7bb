/*-------------------------------------------------------------------------
 *
 * cache_store.c
 *	  The arena of level 1: get, set, delete, and the eviction that set needs.
 *
 * A get takes the lock of the key's partition in shared mode, copies out, and
 * moves the entry to the head of its list under the partition's mutex, where
 * it is counted too.  Before, it asks for the memory that all this needs.  The
 * one thing that it allocates under the lock is the result, with the variant
 * of palloc that returns NULL instead of raising an error.
 *
 * How a set and an eviction go is in cache_store_set.c.
 *
 * What a failure leaves
 *
 * Nothing between the first change of shared memory and the last can raise an
 * error or look for interrupts, so a cancel, a termination or a time-out comes
 * before or after the whole: nothing is in hands then.  A process that is
 * killed (kill -9, a crash) makes the postmaster restart all processes with
 * new shared memory: the cache is empty, and correct.  Out of memory in a get
 * is a miss.  LWLocks that an error elsewhere finds held are released by the
 * abort of the transaction; there are none, for the functions called under a
 * lock (check, filter, the state of a slot) must not fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_namespace.h"
#include "cache/cache_store_impl.h"
#include "core/clock.h"
#include "core/compat.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/shmem.h"

CacheStore	cache_store;

/* ---- the memory ---- */

/* The number of entries: a process has at most one in hands that is not counted in places. */
static uint32
total_entries(void)
{
	return (uint32) apibase_cache_max_entries + (uint32) MaxBackends;
}

/* Buckets of one partition, as a power of two: at least one bucket for each entry. */
static uint32
bucket_bits(void)
{
	return pg_ceil_log2_32(Max(1, total_entries() / APIBASE_CACHE_PARTITIONS + 1));
}

static Size
partition_size(void)
{
	return TYPEALIGN(STORE_LINE, offsetof(StorePartition, lists) +
					 apibase_cache_max_namespaces * sizeof(StoreList));
}

static uint32
total_chunks(void)
{
	return (uint32) ((uint64) apibase_cache_size * 1024 * 1024 / sizeof(StoreChunk));
}

/* A part of the area, of count times size bytes; nothing but the offset moves while there is no area. */
static void *
part_of(char *area, Size *offset, Size count, Size size)
{
	void	   *part = area == NULL ? NULL : area + *offset;

	*offset = add_size(*offset, TYPEALIGN(sizeof(StoreChunk), mul_size(count, size)));
	return part;
}

/* Where everything is in the area; returns the size of the area. */
static Size
lay_out(CacheStore *store, char *area)
{
	Size		offset = 0;
	Size		nspaces = (Size) apibase_cache_max_namespaces;

	store->header = part_of(area, &offset, 1, sizeof(StoreHeader));
	store->entries = part_of(area, &offset, total_entries(), sizeof(StoreEntry));
	store->buckets = part_of(area, &offset, (Size) APIBASE_CACHE_PARTITIONS << bucket_bits(), sizeof(StoreBucket));
	store->partitions = part_of(area, &offset, APIBASE_CACHE_PARTITIONS, partition_size());
	store->namespaces = part_of(area, &offset, nspaces, sizeof(StoreNamespace));
	store->oldest = part_of(area, &offset, nspaces * APIBASE_CACHE_PARTITIONS, sizeof(pg_atomic_uint64));
	store->floors = part_of(area, &offset, nspaces, sizeof(pg_atomic_uint64));
	store->chunks = part_of(area, &offset, total_chunks(), sizeof(StoreChunk));
	return offset;
}

Size
cache_store_size(void)
{
	CacheStore	store;

	/* The area may begin anywhere, what is in it at a chunk's boundary. */
	return add_size(lay_out(&store, NULL), sizeof(StoreChunk));
}

/* Everything empty and free.  Chunks and entries are not touched before they are used. */
static void
init_shared(void)
{
	StoreHeader *header = cache_store.header;

	memset(header, 0, sizeof(StoreHeader));
	header->max_entries = (uint32) apibase_cache_max_entries;
	header->nnamespaces = (uint32) apibase_cache_max_namespaces;
	header->bucket_bits = bucket_bits();
	header->partition_size = (uint32) partition_size();
	pg_atomic_init_u64(&header->stamp, CACHE_NONE);
	LWLockInitialize(&header->free_lock, cache_store.locks[0].lock.tranche);
	header->entries = (StoreFree) {STORE_NONE, 0, 0, total_entries()};
	header->chunks = (StoreFree) {STORE_NONE, 0, 0, total_chunks()};
	pg_atomic_init_u64(&header->in_hands, 0);
	pg_atomic_init_u32(&header->places, 0);
	pg_atomic_init_u32(&header->namespaces_used, 0);

	memset(cache_store.buckets, 0xFF, ((Size) APIBASE_CACHE_PARTITIONS << header->bucket_bits) * sizeof(StoreBucket));
	for (uint32 p = 0; p < APIBASE_CACHE_PARTITIONS; p++)
	{
		StorePartition *partition = store_partition(p);

		SpinLockInit(&partition->mutex);
		for (uint32 n = 0; n < header->nnamespaces; n++)
			partition->lists[n] = (StoreList) {STORE_NONE, STORE_NONE, 0};
	}
	for (uint32 n = 0; n < header->nnamespaces; n++)
	{
		pg_atomic_init_u64(&cache_store.namespaces[n].entries, 0);
		pg_atomic_init_u64(&cache_store.namespaces[n].bytes, 0);
		pg_atomic_init_u64(&cache_store.floors[n], STORE_NO_STAMP);
		for (uint32 p = 0; p < APIBASE_CACHE_PARTITIONS; p++)
			pg_atomic_init_u64(store_oldest(p, n), STORE_NO_STAMP);
	}
}

void
cache_store_init(void *area, LWLockPadded *locks, bool found)
{
	lay_out(&cache_store, (char *) TYPEALIGN(sizeof(StoreChunk), area));
	cache_store.locks = locks;
	if (!found)
		init_shared();
}

/* ---- chains of chunks ---- */

/* Copy len bytes out of the chain of an entry, from offset on. */
static inline void
chain_read(const StoreEntry *entry, Size offset, char *to, Size len)
{
	const StoreChunk *chunk = &cache_store.chunks[entry->chunk];

	if (len == 0)
		return;					/* the chain may end before the offset */
	while (offset >= STORE_CHUNK_DATA)
	{
		chunk = &cache_store.chunks[chunk->next];
		offset -= STORE_CHUNK_DATA;
	}
	for (;;)
	{
		Size		n = Min(len, STORE_CHUNK_DATA - offset);

		store_copy(to, chunk->data + offset, n);
		len -= n;
		if (len == 0)
			return;
		to += n;
		offset = 0;
		chunk = &cache_store.chunks[chunk->next];
	}
}

void
cache_store_read(const StoreEntry *entry, Size offset, char *to, Size len)
{
	chain_read(entry, offset, to, len);
}

/* Whether the key in the chain of an entry, which is longer than the first chunk, is this one. */
static pg_noinline bool
long_chain_has_key(const StoreEntry *entry, const ApibaseCacheKey *key)
{
	char		name[APIBASE_CACHE_MAX_KEY];

	chain_read(entry, store_key_offset(store_record(entry)), name, key->len);
	return memcmp(name, key->name, key->len) == 0;
}

/* Whether an entry is that of a key. */
static inline bool
has_key(const StoreEntry *entry, Oid database, const ApibaseCacheKey *key)
{
	const StoreRecord *record = store_record(entry);
	Size		offset;

	if (record->database != database || record->key_len != key->len)
		return false;
	offset = store_key_offset(record);
	if (unlikely(offset + key->len > STORE_CHUNK_DATA))
		return long_chain_has_key(entry, key);
	return store_same((const char *) record + offset, key->name, key->len);
}

/* The slots of an entry: where they are, or copied to buffer. */
static const CacheSlot *
chain_slots(const StoreEntry *entry, CacheSlot *buffer)
{
	const StoreRecord *record = store_record(entry);

	if (likely(store_key_offset(record) <= STORE_CHUNK_DATA))
		return (const CacheSlot *) ((const char *) record + STORE_RECORD_SIZE);
	chain_read(entry, STORE_RECORD_SIZE, (char *) buffer, record->nslots * sizeof(CacheSlot));
	return buffer;
}

/* ---- lists and buckets ---- */

/* Take an entry out of its list, that of a namespace. */
static inline void
list_remove(uint32 partition, uint32 nspace, StoreEntry *entry)
{
	StoreList  *list = &store_partition(partition)->lists[nspace];

	if (entry->newer == STORE_NONE)
		list->head = entry->older;
	else
		cache_store.entries[entry->newer].older = entry->older;
	if (entry->older != STORE_NONE)
		cache_store.entries[entry->older].newer = entry->newer;
	else
	{
		list->tail = entry->newer;
		pg_atomic_write_u64(store_oldest(partition, nspace),
							list->tail == STORE_NONE ? STORE_NO_STAMP :
							pg_atomic_read_u64(&cache_store.entries[list->tail].stamp));
	}
}

/* Put an entry at the head of its list, with a new stamp, which is returned. */
static inline uint64
list_push(uint32 partition, uint32 nspace, StoreEntry *entry)
{
	StoreList  *list = &store_partition(partition)->lists[nspace];
	uint32		number = (uint32) (entry - cache_store.entries);
	uint64		stamp = pg_atomic_add_fetch_u64(&cache_store.header->stamp, 1);

	pg_atomic_write_u64(&entry->stamp, stamp);
	entry->newer = STORE_NONE;
	entry->older = list->head;
	if (list->head != STORE_NONE)
		cache_store.entries[list->head].newer = number;
	else
	{
		list->tail = number;
		pg_atomic_write_u64(store_oldest(partition, nspace), stamp);
		pg_memory_barrier();	/* as in raise_floor() */
		store_lower_floor(nspace, stamp);
	}
	list->head = number;
	return stamp;
}

/* Count a use; the caller holds the mutex. */
static inline void
count_hit(StoreEntry *entry)
{
	uint32		hits = pg_atomic_read_u32(&entry->hits);

	if (likely(hits != PG_UINT32_MAX))
		pg_atomic_write_u32(&entry->hits, hits + 1);
}

/* An entry is used: it gets the next stamp and goes to the head of its list. */
static inline void
use_entry(uint32 partition, uint32 nspace, StoreEntry *entry)
{
	StoreEntry *entries = cache_store.entries;
	StorePartition *part = store_partition(partition);
	StoreList  *list = &part->lists[nspace];
	uint64		stamp;

	SpinLockAcquire(&part->mutex);
	list->hits++;
	count_hit(entry);
	stamp = pg_atomic_add_fetch_u64(&cache_store.header->stamp, 1);
	pg_atomic_write_u64(&entry->stamp, stamp);
	if (entry->newer != STORE_NONE)
	{
		/* As list_remove() and list_push(), but for what cannot be: it is not the head. */
		uint32		number = (uint32) (entry - entries);

		entries[entry->newer].older = entry->older;
		if (likely(entry->older != STORE_NONE))
			entries[entry->older].newer = entry->newer;
		else
		{
			list->tail = entry->newer;
			pg_atomic_write_u64(store_oldest(partition, nspace), pg_atomic_read_u64(&entries[list->tail].stamp));
		}
		entries[list->head].newer = number;
		entry->newer = STORE_NONE;
		entry->older = list->head;
		list->head = number;
	}
	else if (entry->older == STORE_NONE)
		pg_atomic_write_u64(store_oldest(partition, nspace), stamp);
	SpinLockRelease(&part->mutex);
}

/* Find an entry; the caller holds the lock of the partition. */
static pg_attribute_always_inline uint32
find(Oid database, const ApibaseCacheKey *key)
{
	StoreEntry *entries = cache_store.entries;
	uint32		number = store_bucket_of(key->hash)->first;

	while (number != STORE_NONE)
	{
		const StoreEntry *entry = &entries[number];

		if (entry->hash == (uint32) key->hash && has_key(entry, database, key))
			return number;
		number = entry->bucket_next;
	}
	return STORE_NONE;
}

/* Find an entry; the caller holds the lock of the partition. */
uint32
cache_store_find(Oid database, const ApibaseCacheKey *key)
{
	return find(database, key);
}

/* Count an entry for its tags. */
static void
count_tags(const StoreEntry *entry, bool added)
{
	CacheSlot	buffer[APIBASE_CACHE_MAX_SLOTS];
	const CacheSlot *slots = chain_slots(entry, buffer);
	const StoreRecord *record = store_record(entry);

	for (int i = 0; i < record->nslots; i++)
	{
		if (added)
			cache_tag_entry_added(slots[i]);
		else
			cache_tag_entry_removed(slots[i], record->sequence);
	}
}

/* Link an entry in hands, with nchunks chunks; the caller holds the lock of the partition exclusively. */
void
cache_store_link(uint32 partition, uint32 number, uint32 nchunks)
{
	StoreEntry *entry = &cache_store.entries[number];
	StoreRecord *record = store_record(entry);
	StoreNamespace *nspace = &cache_store.namespaces[record->nspace];
	StoreBucket *bucket = store_bucket(partition, entry->hash);
	uint32		used = pg_atomic_read_u32(&cache_store.header->namespaces_used);

	while (used <= record->nspace &&
		   !pg_atomic_compare_exchange_u32(&cache_store.header->namespaces_used, &used, record->nspace + 1))
		;
	entry->bucket_next = bucket->first;
	bucket->first = number;
	bucket->chunk = entry->chunk;
	record->version = list_push(partition, record->nspace, entry);
	pg_atomic_fetch_add_u64(&nspace->entries, 1);
	pg_atomic_fetch_add_u64(&nspace->bytes, store_bytes(nchunks));
	pg_atomic_fetch_sub_u64(&cache_store.header->in_hands, STORE_IN_HANDS(1, nchunks));
	if (record->nslots > 0)
		count_tags(entry, true);
}

/* Unlink an entry, which is in hands then; the caller holds the lock of the partition exclusively. */
void
cache_store_unlink(uint32 partition, uint32 number)
{
	StoreEntry *entry = &cache_store.entries[number];
	const StoreRecord *record = store_record(entry);
	StoreNamespace *nspace = &cache_store.namespaces[record->nspace];
	uint32		nchunks = store_chunks_of(record);
	uint32	   *next = &store_bucket(partition, entry->hash)->first;

	while (*next != number)
		next = &cache_store.entries[*next].bucket_next;
	*next = entry->bucket_next;
	list_remove(partition, record->nspace, entry);
	pg_atomic_fetch_sub_u64(&nspace->entries, 1);
	pg_atomic_fetch_sub_u64(&nspace->bytes, store_bytes(nchunks));
	pg_atomic_fetch_add_u64(&cache_store.header->in_hands, STORE_IN_HANDS(1, nchunks));
	if (record->nslots > 0)
		count_tags(entry, false);
}

/* ---- hands ---- */

/* Keep an entry that was unlinked. */
void
cache_store_keep_entry(StoreHands *hands, uint32 number)
{
	cache_store.entries[number].older = hands->others;
	hands->others = number;
	hands->nentries++;
}

/* Keep a chain of chunks. */
void
cache_store_keep_chain(StoreHands *hands, uint32 first, uint32 last, uint32 nchunks)
{
	if (hands->nchunks == 0)
		hands->first = first;
	else
		cache_store.chunks[hands->last].next = first;
	hands->last = last;
	hands->nchunks += nchunks;
}

/* Keep the chunks of an entry that was unlinked. */
void
cache_store_keep_chunks(StoreHands *hands, uint32 number)
{
	const StoreEntry *entry = &cache_store.entries[number];
	uint32		nchunks = store_chunks_of(store_record(entry));
	uint32		last = entry->chunk;

	for (uint32 i = 1; i < nchunks; i++)
		last = cache_store.chunks[last].next;
	cache_store_keep_chain(hands, entry->chunk, last, nchunks);
}

/* Put the other entries of hands back; the caller holds the lock of the free lists. */
void
cache_store_free_others(StoreHands *hands)
{
	StoreHeader *header = cache_store.header;

	while (hands->others != STORE_NONE)
	{
		uint32		number = hands->others;

		hands->others = cache_store.entries[number].older;
		cache_store.entries[number].older = header->entries.first;
		header->entries.first = number;
		header->entries.count++;
		hands->nentries--;
		pg_atomic_fetch_sub_u64(&header->in_hands, STORE_IN_HANDS(1, 0));
	}
}

/* Give back all that is in hands.  There is no place without an entry. */
void
cache_store_give_back(StoreHands *hands)
{
	StoreHeader *header = cache_store.header;

	if (hands->entry != STORE_NONE)
	{
		hands->nentries--;
		cache_store_keep_entry(hands, hands->entry);
		hands->entry = STORE_NONE;
	}
	if (hands->nentries > 0 || hands->nchunks > 0)
	{
		LWLockAcquire(&header->free_lock, LW_EXCLUSIVE);
		cache_store_free_others(hands);
		if (hands->nchunks > 0)
		{
			cache_store.chunks[hands->last].next = header->chunks.first;
			header->chunks.first = hands->first;
			header->chunks.count += hands->nchunks;
			pg_atomic_fetch_sub_u64(&header->in_hands, STORE_IN_HANDS(0, hands->nchunks));
			hands->nchunks = 0;
		}
		/* Last: who gets a place finds an entry for it. */
		if (hands->places > 0)
			pg_atomic_fetch_sub_u32(&header->places, hands->places);
		hands->places = 0;
		LWLockRelease(&header->free_lock);
	}
}

/* ---- what an entry is worth ---- */

/* What the time says of an entry whose end is near: the exact clock is asked. */
static pg_noinline CacheFound
judge_time(const StoreEntry *entry, TimestampTz now)
{
	TimestampTz exact = apibase_clock_now();

	now = Max(now, exact);
	if (store_record(entry)->dies <= now)
		return CACHE_EXPIRED;
	return store_record(entry)->expires <= now ? CACHE_STALE : CACHE_FOUND;
}

/* What an entry is worth, found before, as far as its tags go. */
static CacheFound
judge_slots(const StoreEntry *entry, CacheFound found)
{
	CacheSlot	buffer[APIBASE_CACHE_MAX_SLOTS];
	const CacheSlot *slots = chain_slots(entry, buffer);
	const StoreRecord *record = store_record(entry);

	for (int i = 0; i < record->nslots; i++)
	{
		if (likely(cache_tag_valid(slots[i], record->sequence)))
			continue;
		if (!cache_tag_marked(slots[i]) && !cache_tag_valid(slots[i], record->sequence))
			return CACHE_INVALID;
		found = CACHE_UNDECIDED;
	}
	return found;
}

/*
 * CACHE_FOUND, CACHE_STALE, CACHE_EXPIRED (not even stale), CACHE_INVALID or
 * CACHE_UNDECIDED.  The caller holds the lock of the partition.  now may be the
 * coarse clock's: near the end of the entry's time the exact one is asked.
 */
static inline CacheFound
judge(const StoreEntry *entry, TimestampTz now)
{
	const StoreRecord *record = store_record(entry);
	CacheFound	found = CACHE_FOUND;

	if (unlikely(record->expires <= now + APIBASE_CLOCK_COARSENESS))
		found = judge_time(entry, now);
	if (record->nslots > 0 && found != CACHE_EXPIRED)
		found = judge_slots(entry, found);
	return found;
}

CacheFound
cache_store_judge(const StoreEntry *entry, TimestampTz now)
{
	return judge(entry, now);
}

/* Count an entry that was removed because of what it was worth. */
void
cache_store_count_removed(int nspace, CacheFound worth)
{
	if (worth == CACHE_EXPIRED || worth == CACHE_STALE)
		cache_count(nspace, CACHE_LEVEL1, CACHE_EXPIRATIONS, 1);
	else if (worth == CACHE_INVALID)
		cache_count(nspace, CACHE_LEVEL1, CACHE_INVALIDATIONS, 1);
}

/* Give back an entry that was unlinked, with its place. */
static void
drop_unlinked(uint32 number)
{
	StoreHands	hands = STORE_EMPTY_HANDS;

	cache_store_keep_chunks(&hands, number);
	cache_store_keep_entry(&hands, number);
	hands.places = 1;
	cache_store_give_back(&hands);
}

/* Remove the entry of a key if nobody can be served with it: look again, with the lock that it takes. */
static pg_noinline void
remove_worthless(Oid database, const ApibaseCacheKey *key, TimestampTz now)
{
	uint32		partition = store_partition_of(key->hash);
	uint32		number;
	CacheFound	worth = CACHE_ABSENT;
	int			nspace = 0;

	LWLockAcquire(store_lock(partition), LW_EXCLUSIVE);
	number = cache_store_find(database, key);
	if (number != STORE_NONE)
	{
		worth = cache_store_judge(&cache_store.entries[number], now);
		nspace = store_record(&cache_store.entries[number])->nspace;
		if (worth == CACHE_EXPIRED || worth == CACHE_INVALID)
			cache_store_unlink(partition, number);
		else
			number = STORE_NONE;
	}
	LWLockRelease(store_lock(partition));

	if (number != STORE_NONE)
	{
		drop_unlinked(number);
		cache_store_count_removed(nspace, worth);
	}
}

/* ---- get ---- */

/* Copy an entry out; false if there is no memory for it.  The caller holds the lock of the partition. */
static inline bool
copy_out(const StoreEntry *entry, int flags, CacheHit *hit)
{
	const StoreRecord *record = store_record(entry);

	hit->data = NULL;
	hit->tags = NULL;
	hit->tags_len = 0;
	if (unlikely(flags & CACHE_GET_TAGS))
	{
		hit->tags = palloc_extended(Max(record->tags_len, 1), MCXT_ALLOC_NO_OOM);
		if (hit->tags == NULL)
			return false;
		hit->tags_len = record->tags_len;
		chain_read(entry, store_tags_offset(record), hit->tags, record->tags_len);
	}
	if (record->kind != APIBASE_CACHE_NOTHING && !(flags & CACHE_GET_NO_VALUE))
	{
		hit->data = palloc_extended(VARHDRSZ + (Size) record->value_len, MCXT_ALLOC_NO_OOM);
		if (hit->data == NULL)
			return false;
		SET_VARSIZE(hit->data, VARHDRSZ + record->value_len);
		chain_read(entry, store_value_offset(record), VARDATA(hit->data), record->value_len);
	}
	hit->kind = (ApibaseCacheKind) record->kind;
	hit->created = record->created;
	hit->expires = record->expires;
	hit->cost = record->cost;
	hit->nspace = record->nspace;
	hit->sequence = record->sequence;
	hit->version = record->version;
	return true;
}

/* Whether a filter lets an entry pass. */
static pg_noinline bool
passes(const StoreEntry *entry, CacheSlotFilter filter)
{
	CacheSlot	buffer[APIBASE_CACHE_MAX_SLOTS];

	return filter(chain_slots(entry, buffer), store_record(entry)->nslots);
}

void
cache_store_expect_key(const ApibaseCacheKey *key)
{
	cache_expect_read(store_bucket_of(key->hash));
	cache_expect_write(store_lock(store_partition_of(key->hash)));
}

/* Ask for an entry, if there is one: an address that is nobody's takes long. */
static pg_attribute_always_inline void
expect_neighbour(uint32 number)
{
	if (number != STORE_NONE)
		cache_expect_write(&cache_store.entries[number]);
}

/* Read without the lock, while others may change it: at worst the hint is wrong. */
void
cache_store_expect_entry(const ApibaseCacheKey *key)
{
	const StoreBucket *bucket = store_bucket_of(key->hash);
	uint32		number = bucket->first;
	const StoreEntry *entry;

	if (number == STORE_NONE)
		return;
	store_expect_chain(bucket->chunk);
	entry = &cache_store.entries[number];
	expect_neighbour(entry->newer);
	expect_neighbour(entry->older);
}

CacheFound
cache_store_get(Oid database, const ApibaseCacheKey *key, TimestampTz now, int flags, CacheSlotFilter filter,
				CacheHit *hit)
{
	uint32		partition = store_partition_of(key->hash);
	LWLock	   *lock = store_lock(partition);
	CacheFound	found = CACHE_ABSENT;
	CacheFound	worth = CACHE_ABSENT;
	uint32		number;

	LWLockAcquire(lock, LW_SHARED);
	number = find(database, key);
	if (number != STORE_NONE)
	{
		StoreEntry *entry = &cache_store.entries[number];

		found = worth = judge(entry, now);
		if (worth == CACHE_STALE && !(flags & CACHE_GET_STALE))
			found = CACHE_EXPIRED;
		if (found == CACHE_FOUND || found == CACHE_STALE)
		{
			if (filter != NULL && !passes(entry, filter))
				found = CACHE_UNDECIDED;
			else if (!copy_out(entry, flags, hit))
				found = CACHE_ABSENT;
			else if (!(flags & CACHE_GET_PEEK))
				use_entry(partition, store_record(entry)->nspace, entry);
		}
	}
	LWLockRelease(lock);

	if (worth == CACHE_EXPIRED || worth == CACHE_INVALID)
		remove_worthless(database, key, now);
	return found;
}

/* ---- delete, touch ---- */

bool
cache_store_delete(Oid database, const ApibaseCacheKey *key)
{
	uint32		partition = store_partition_of(key->hash);
	uint32		number;

	LWLockAcquire(store_lock(partition), LW_EXCLUSIVE);
	number = cache_store_find(database, key);
	if (number != STORE_NONE)
		cache_store_unlink(partition, number);
	LWLockRelease(store_lock(partition));

	if (number == STORE_NONE)
		return false;
	drop_unlinked(number);
	return true;
}

bool
cache_store_touch(Oid database, const ApibaseCacheKey *key, TimestampTz expires, TimestampTz dies, TimestampTz now)
{
	uint32		partition = store_partition_of(key->hash);
	uint32		number;
	bool		touched = false;

	LWLockAcquire(store_lock(partition), LW_EXCLUSIVE);
	number = cache_store_find(database, key);
	if (number != STORE_NONE)
	{
		StoreEntry *entry = &cache_store.entries[number];
		StoreRecord *record = store_record(entry);

		if (cache_store_judge(entry, now) == CACHE_FOUND)
		{
			record->expires = expires;
			record->dies = Max(dies, expires);
			list_remove(partition, record->nspace, entry);
			list_push(partition, record->nspace, entry);
			touched = true;
		}
	}
	LWLockRelease(store_lock(partition));
	return touched;
}
