/*-------------------------------------------------------------------------
 *
 * cache_store_set.c
 *	  The arena of level 1: set, and the eviction that it needs.
 *
 * A set takes an entry and chunks first ("in hands"; where the cache is full,
 * those of what it evicts), fills them without a lock, and links them under
 * the partition's lock.  It holds no second lock meanwhile: when something has
 * to go first, it lets go of the partition, evicts, and looks again.  An
 * eviction hands over what it frees (the chunks, the entry, the place among
 * apibase.cache_max_entries), so nobody can take it away, and a set ends.
 *
 * The least recently used entry is found without a lock, by looking for the
 * smallest of the oldest stamps of all lists.  Then the list's partition is
 * locked, and if the tail has another stamp by now, the search starts again.
 * Not all lists are looked at: of each namespace a floor is known, below which
 * it has no stamp.  The search finds the second oldest as well; a set that has
 * evicted asks for the memory of that one, for it is what the next set of a
 * series of them waits for most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_namespace.h"
#include "cache/cache_store_impl.h"

#include "utils/memutils.h"

/* How often the oldest entry may turn out to be used meanwhile, before any tail will do. */
#define STORE_EVICT_TRIES	100

/* How many chunks are taken while the lock of the free lists is held once. */
#define STORE_TAKE_AT_ONCE	256

/* ---- what is in hands ---- */

/* Take up to want free chunks that were used before; the caller holds the lock of the free lists. */
static void
take_used_chunks(StoreHands *hands, uint32 want)
{
	StoreFree  *chunks = &cache_store.header->chunks;
	uint32		first = chunks->first;
	uint32		last = first;

	want = Min(want, chunks->count);
	if (want == 0)
		return;
	for (uint32 i = 1; i < want; i++)
		last = cache_store.chunks[last].next;
	chunks->first = cache_store.chunks[last].next;
	chunks->count -= want;
	cache_store_keep_chain(hands, first, last, want);
}

/* The same, of those that were never used. */
static void
take_fresh_chunks(StoreHands *hands, uint32 want)
{
	StoreFree  *chunks = &cache_store.header->chunks;
	uint32		first = chunks->fresh;

	want = Min(want, chunks->total - chunks->fresh);
	if (want == 0)
		return;
	for (uint32 i = 0; i < want; i++)
		cache_store.chunks[first + i].next = first + i + 1;
	chunks->fresh += want;
	cache_store_keep_chain(hands, first, first + want - 1, want);
}

/* Take an entry, unless there is one in hands, and chunks until there are want, as far as there are free ones. */
static void
take(StoreHands *hands, uint32 want)
{
	StoreHeader *header = cache_store.header;
	bool		more;

	do
	{
		uint32		before = hands->nchunks;
		uint32		entries = 0;

		LWLockAcquire(&header->free_lock, LW_EXCLUSIVE);
		if (hands->entry == STORE_NONE)
		{
			if (header->entries.count > 0)
			{
				hands->entry = header->entries.first;
				header->entries.first = cache_store.entries[hands->entry].older;
				header->entries.count--;
			}
			else if (header->entries.fresh < header->entries.total)
				hands->entry = header->entries.fresh++;
			entries = (hands->entry != STORE_NONE);
			hands->nentries += entries;
		}
		if (hands->nchunks < want)
			take_used_chunks(hands, Min(want - hands->nchunks, STORE_TAKE_AT_ONCE));
		if (hands->nchunks < want)
			take_fresh_chunks(hands, Min(want - hands->nchunks, STORE_TAKE_AT_ONCE));
		more = hands->nchunks > before && hands->nchunks < want;
		pg_atomic_fetch_add_u64(&header->in_hands, STORE_IN_HANDS(entries, hands->nchunks - before));
		LWLockRelease(&header->free_lock);
	} while (more);
}

/* ---- eviction ---- */

/* Where the oldest entry of a namespace is, and where the next one after it, of another partition. */
typedef struct StoreOldest
{
	uint64		stamp;			/* STORE_NO_STAMP: there is none */
	uint32		nspace;
	uint32		partition;
	uint32		next_partition;
} StoreOldest;

/* Find the two oldest stamps of a namespace. */
static StoreOldest
oldest_of(uint32 nspace)
{
	pg_atomic_uint64 *stamps = store_oldest(0, nspace);
	uint64		first = STORE_NO_STAMP;
	uint64		second = STORE_NO_STAMP;
	uint32		partition = 0;
	uint32		next_partition = 0;

	for (uint32 p = 0; p < APIBASE_CACHE_PARTITIONS; p++)
	{
		uint64		stamp = pg_atomic_read_u64(&stamps[p]);

		if (likely(stamp >= second))
			continue;
		if (stamp < first)
		{
			second = first;
			next_partition = partition;
			first = stamp;
			partition = p;
		}
		else
		{
			second = stamp;
			next_partition = p;
		}
	}
	return (StoreOldest) {first, nspace, partition, next_partition};
}

/*
 * Nothing in a namespace is older than oldest: raise its floor to that.  The
 * stamps of a namespace only ever rise, but for one that comes into an empty
 * list.  Who puts it there looks at the floor afterwards, and here the stamps
 * are looked at again after the floor was raised, so one of both sees the other.
 */
static void
raise_floor(uint32 nspace, uint64 floor, uint64 oldest)
{
	if (pg_atomic_compare_exchange_u64(&cache_store.floors[nspace], &floor, oldest))
		store_lower_floor(nspace, oldest_of(nspace).stamp);
}

/*
 * Find the oldest stamp of all.  Only the namespace with the lowest floor is
 * looked at: if its oldest stamp is not above the floors of all others, that
 * is it, and if it is, its floor is raised.
 */
static StoreOldest
oldest_of_all(void)
{
	uint32		used = pg_atomic_read_u32(&cache_store.header->namespaces_used);

	for (;;)
	{
		uint64		lowest = STORE_NO_STAMP;
		uint64		second = STORE_NO_STAMP;
		uint32		nspace = 0;
		StoreOldest oldest;

		for (uint32 n = 0; n < used; n++)
		{
			uint64		floor = pg_atomic_read_u64(&cache_store.floors[n]);

			if (floor < lowest)
			{
				second = lowest;
				lowest = floor;
				nspace = n;
			}
			else if (floor < second)
				second = floor;
		}
		oldest = oldest_of(nspace);
		if (lowest == STORE_NO_STAMP || (oldest.stamp <= second && oldest.stamp != STORE_NO_STAMP))
			return oldest;
		raise_floor(nspace, lowest, oldest.stamp);
	}
}

/* Ask for the entry that is the tail of a list; read without the lock, as a hint. */
static pg_attribute_always_inline uint32
expect_tail(uint32 partition, uint32 nspace)
{
	uint32		number = store_partition(partition)->lists[nspace].tail;

	if (number != STORE_NONE)
		cache_expect_write(&cache_store.entries[number]);
	return number;
}

/* Ask for what else is touched to evict an entry, which may be another's by now. */
static pg_attribute_always_inline void
expect_victim(uint32 partition, uint32 number)
{
	const StoreEntry *entry;

	if (number == STORE_NONE)
		return;
	entry = &cache_store.entries[number];
	store_expect_chain(entry->chunk);
	cache_expect_write(store_bucket(partition, entry->hash));
}

/*
 * Evict the least recently used entry, of one namespace or (-1) of all.  What
 * it was is in hands then: its chunks, its place, and its entry.  False if
 * there is none.
 */
static bool
evict(int nspace, StoreHands *hands)
{
	StoreHeader *header = cache_store.header;
	StoreOldest oldest;
	uint32		number;

	for (int tries = 0;; tries++)
	{
		oldest = nspace < 0 ? oldest_of_all() : oldest_of((uint32) nspace);
		if (oldest.stamp == STORE_NO_STAMP)
			return false;
		expect_victim(oldest.partition, expect_tail(oldest.partition, oldest.nspace));
		LWLockAcquire(store_lock(oldest.partition), LW_EXCLUSIVE);
		number = store_partition(oldest.partition)->lists[oldest.nspace].tail;
		if (number != STORE_NONE &&
			(tries >= STORE_EVICT_TRIES || pg_atomic_read_u64(&cache_store.entries[number].stamp) == oldest.stamp))
			break;
		LWLockRelease(store_lock(oldest.partition));
	}
	cache_store_unlink(oldest.partition, number);
	LWLockRelease(store_lock(oldest.partition));

	hands->next_partition = oldest.next_partition;
	hands->next_victim = expect_tail(oldest.next_partition, oldest.nspace);
	cache_store_keep_chunks(hands, number);
	if (hands->entry == STORE_NONE)
	{
		hands->entry = number;
		hands->nentries++;
	}
	else
		cache_store_keep_entry(hands, number);
	if (++hands->places > 1)
	{
		/* More than one place is of no use here, but of use to others. */
		LWLockAcquire(&header->free_lock, LW_EXCLUSIVE);
		cache_store_free_others(hands);
		pg_atomic_fetch_sub_u32(&header->places, hands->places - 1);
		hands->places = 1;
		LWLockRelease(&header->free_lock);
	}
	cache_count((int) oldest.nspace, CACHE_LEVEL1, CACHE_EVICTIONS, 1);
	return true;
}

/* Whether all places are taken just now. */
static bool
no_place_left(void)
{
	return pg_atomic_read_u32(&cache_store.header->places) >= cache_store.header->max_entries;
}

/* Take one of the places that are free. */
static bool
take_place(StoreHands *hands)
{
	pg_atomic_uint32 *places = &cache_store.header->places;
	uint32		used = pg_atomic_read_u32(places);

	while (used < cache_store.header->max_entries)
	{
		if (pg_atomic_compare_exchange_u32(places, &used, used + 1))
		{
			hands->places = 1;
			return true;
		}
	}
	return false;
}

/* ---- set ---- */

/* Where a chain is being filled. */
typedef struct StoreWriter
{
	StoreChunk *chunk;
	Size		used;
} StoreWriter;

static void
chain_write(StoreWriter *writer, const void *data, Size len)
{
	while (len > 0)
	{
		Size		n;

		if (writer->used == STORE_CHUNK_DATA)
		{
			writer->chunk = &cache_store.chunks[writer->chunk->next];
			writer->used = 0;
		}
		n = Min(len, STORE_CHUNK_DATA - writer->used);
		store_copy(writer->chunk->data + writer->used, data, n);
		writer->used += n;
		data = (const char *) data + n;
		len -= n;
	}
}

/* What cache_store_set was called with. */
typedef struct StoreSet
{
	const CacheItem *item;
	uint64		expected;
	uint64		max_entries;	/* of the namespace; 0: no bound */
	uint64		max_bytes;
	bool		(*check) (void *arg);
	void	   *arg;
	TimestampTz now;
	uint32		partition;
	uint32		nchunks;		/* that the item needs */
} StoreSet;

/* How long the chain of an item is. */
static Size
item_len(const CacheItem *item)
{
	return STORE_RECORD_SIZE + item->nslots * sizeof(CacheSlot) + item->key.len + item->tags_len + item->value_len;
}

bool
cache_store_fits(const CacheItem *item, uint64 max_bytes)
{
	uint64		nchunks = store_chunks_for(item_len(item));

	Assert(item->nspace >= 0 && (uint32) item->nspace < cache_store.header->nnamespaces);
	if (item->key.len > APIBASE_CACHE_MAX_KEY || item->nslots > APIBASE_CACHE_MAX_SLOTS ||
		item->tags_len > PG_UINT16_MAX || item->value_len > MaxAllocSize - VARHDRSZ)
		return false;
	if (max_bytes > 0 && store_bytes(nchunks) > max_bytes)
		return false;
	return nchunks * 100 <= (uint64) cache_store.header->chunks.total * apibase_cache_max_value_percent;
}

/* Write an item to the entry and the chunks in hands; chunks that are too many stay in hands. */
static void
fill(const CacheItem *item, uint32 nchunks, StoreHands *hands)
{
	StoreEntry *entry = &cache_store.entries[hands->entry];
	StoreRecord record = {0};
	StoreWriter writer;

	pg_atomic_init_u64(&entry->stamp, 0);
	pg_atomic_init_u32(&entry->hits, 0);
	entry->hash = (uint32) item->key.hash;
	entry->chunk = hands->first;

	record.sequence = item->sequence;
	record.expires = item->expires;
	record.dies = Max(item->dies, item->expires);
	record.created = item->created;
	record.cost = item->cost;
	record.database = item->database;
	record.value_len = (uint32) item->value_len;
	record.key_len = (uint16) item->key.len;
	record.tags_len = (uint16) item->tags_len;
	record.nspace = (uint16) item->nspace;
	record.nslots = (uint8) item->nslots;
	record.kind = (uint8) item->kind;

	writer.chunk = &cache_store.chunks[hands->first];
	writer.used = 0;
	chain_write(&writer, &record, STORE_RECORD_SIZE);
	chain_write(&writer, item->slots, item->nslots * sizeof(CacheSlot));
	chain_write(&writer, item->key.name, (Size) item->key.len);
	chain_write(&writer, item->tags, item->tags_len);
	chain_write(&writer, item->value, item->value_len);

	hands->nchunks -= nchunks;
	if (hands->nchunks > 0)
		hands->first = writer.chunk->next;
}

/*
 * Whether the item may be stored, as far as check and the entry that is there
 * say: CACHE_STORED, CACHE_REPLACED, CACHE_REFUSED or CACHE_CONFLICT.  *worth is
 * what the old entry is worth.  The caller holds the lock of the partition.
 */
static CacheStored
may_store(const StoreSet *set, uint32 old, CacheFound *worth)
{
	*worth = CACHE_ABSENT;
	if (set->check != NULL && !set->check(set->arg))
		return CACHE_REFUSED;
	if (old == STORE_NONE)
		return set->expected == CACHE_ANY || set->expected == CACHE_NONE ? CACHE_STORED : CACHE_CONFLICT;

	*worth = cache_store_judge(&cache_store.entries[old], set->now);
	if (set->expected == CACHE_NONE && *worth == CACHE_FOUND)
		return CACHE_CONFLICT;
	if (set->expected != CACHE_ANY && set->expected != CACHE_NONE &&
		set->expected != store_record(&cache_store.entries[old])->version)
		return CACHE_CONFLICT;
	return *worth == CACHE_FOUND ? CACHE_REPLACED : CACHE_STORED;
}

/* Whether the item's namespace would be over its bounds with it. */
static bool
over_bounds(const StoreSet *set, uint32 old)
{
	const StoreNamespace *nspace = &cache_store.namespaces[set->item->nspace];
	uint64		entries = 1;
	uint64		bytes = store_bytes(set->nchunks);

	if (set->max_entries == 0 && set->max_bytes == 0)
		return false;
	entries += pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &nspace->entries));
	bytes += pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &nspace->bytes));
	if (old != STORE_NONE)
	{
		const StoreRecord *record = store_record(&cache_store.entries[old]);

		if (record->nspace == set->item->nspace)
		{
			entries--;
			bytes -= store_bytes(store_chunks_of(record));
		}
	}
	return (set->max_entries > 0 && entries > set->max_entries) || (set->max_bytes > 0 && bytes > set->max_bytes);
}

/*
 * Something will have to go.  Make sure first that it is not in vain, and let
 * the item's own namespace pay for its bounds, before anybody else has to.
 * *absent: whether the key has no entry yet.
 */
static CacheStored
prepare_to_evict(const StoreSet *set, StoreHands *hands, bool *absent)
{
	CacheStored result = CACHE_NO_ROOM;

	/* Others may take up the room meanwhile. */
	for (uint32 turn = 0; turn <= cache_store.header->max_entries; turn++)
	{
		CacheFound	worth;
		uint32		old;
		bool		over;

		LWLockAcquire(store_lock(set->partition), LW_SHARED);
		old = cache_store_find(set->item->database, &set->item->key);
		result = may_store(set, old, &worth);
		over = over_bounds(set, old);
		*absent = old == STORE_NONE;
		LWLockRelease(store_lock(set->partition));

		if (result == CACHE_REFUSED || result == CACHE_CONFLICT || !over || !evict(set->item->nspace, hands))
			break;
	}
	return result;
}

/*
 * Take all that the item needs into hands.  Where all places are taken, a new
 * key evicts first: what that leaves in hands (place, entry, chunks) is mostly
 * all that is needed, and the free lists need not be locked.
 */
static CacheStored
prepare(const StoreSet *set, StoreHands *hands)
{
	bool		checked = set->max_entries > 0 || set->max_bytes > 0 || no_place_left();
	bool		absent = false;
	CacheStored result;

	if (checked)
	{
		result = prepare_to_evict(set, hands, &absent);
		if (result == CACHE_REFUSED || result == CACHE_CONFLICT)
			return result;
		if (absent && hands->places == 0 && no_place_left())
			(void) evict(-1, hands);
	}
	if (hands->entry == STORE_NONE || hands->nchunks < set->nchunks)
		take(hands, set->nchunks);
	if (hands->nchunks < set->nchunks && !checked)
	{
		result = prepare_to_evict(set, hands, &absent);
		if (result == CACHE_REFUSED || result == CACHE_CONFLICT)
			return result;
	}
	while (hands->nchunks < set->nchunks)
	{
		if (!evict(-1, hands))
			return CACHE_NO_ROOM;
	}
	return hands->entry == STORE_NONE ? CACHE_NO_ROOM : CACHE_STORED;
}

/* Link what is in hands, instead of what is there.  That is in hands then. */
static CacheStored
link_item(const StoreSet *set, StoreHands *hands)
{
	const CacheItem *item = set->item;
	LWLock	   *lock = store_lock(set->partition);

	/* Each turn but the last evicts an entry; others may take up the room in the namespace meanwhile. */
	for (uint32 turn = 0; turn <= cache_store.header->max_entries; turn++)
	{
		uint32		old;
		CacheFound	worth;
		CacheStored result;
		int			scope;
		int			old_nspace = 0;

		LWLockAcquire(lock, LW_EXCLUSIVE);
		old = cache_store_find(item->database, &item->key);
		result = may_store(set, old, &worth);
		if (result == CACHE_REFUSED || result == CACHE_CONFLICT)
		{
			LWLockRelease(lock);
			return result;
		}
		if (over_bounds(set, old))
			scope = item->nspace;
		else if (old == STORE_NONE && hands->places == 0 && !take_place(hands))
			scope = -1;
		else
		{
			cache_store_link(set->partition, hands->entry, set->nchunks);
			hands->entry = STORE_NONE;
			hands->nentries--;
			if (old == STORE_NONE)
				hands->places--;
			else
			{
				old_nspace = store_record(&cache_store.entries[old])->nspace;
				cache_store_unlink(set->partition, old);
			}
			LWLockRelease(lock);
			if (old != STORE_NONE)
			{
				cache_store_keep_chunks(hands, old);
				cache_store_keep_entry(hands, old);
				cache_store_count_removed(old_nspace, worth);
			}
			return result;
		}
		LWLockRelease(lock);
		if (!evict(scope, hands))
			return CACHE_NO_ROOM;
	}
	return CACHE_NO_ROOM;
}

CacheStored
cache_store_set(const CacheItem *item, uint64 expected, uint64 max_entries, uint64 max_bytes,
				bool (*check) (void *arg), void *arg, TimestampTz now)
{
	StoreHands	hands = STORE_EMPTY_HANDS;
	StoreSet	set = {item, expected, max_entries, max_bytes, check, arg, now};
	CacheStored result;

	set.partition = store_partition_of(item->key.hash);
	set.nchunks = store_chunks_for(item_len(item));
	if (!cache_store_fits(item, max_bytes))
		return CACHE_NO_ROOM;
	cache_store_expect_key(&item->key);

	result = prepare(&set, &hands);
	if (result == CACHE_STORED)
	{
		fill(item, set.nchunks, &hands);
		result = link_item(&set, &hands);
		if (hands.entry != STORE_NONE)
			cache_store_keep_chunks(&hands, hands.entry);
	}
	cache_store_give_back(&hands);
	expect_victim(hands.next_partition, hands.next_victim);
	return result;
}
