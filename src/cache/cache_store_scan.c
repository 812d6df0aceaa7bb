/*-------------------------------------------------------------------------
 *
 * cache_store_scan.c
 *	  The arena of level 1 as a whole: all entries, clear, sizes, the checker.
 *
 * Who walks over entries walks over buckets: their chains change under the
 * exclusive lock of the partition only, while a get moves entries of a list
 * under the shared one.  The lists are for the checker, which holds all locks
 * exclusively.
 *
 * A scan copies one partition at a time.  Memory for the copy is allocated
 * without a lock: the partition is measured first, and measured again when it
 * has grown before it could be copied.  A clear allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_store_impl.h"
#include "core/glob.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Text of what the checker finds; more is only counted. */
#define MAX_FAULTS_TEXT		(64 * 1024)

/* ---- scan ---- */

/* A partition being copied: infos from the start, what they point to from the end. */
typedef struct ScanCopy
{
	char	   *memory;
	Size		size;
	Size		needed;
	uint32		count;
} ScanCopy;

/* What an entry needs in a copy. */
static Size
copy_size(const StoreRecord *record)
{
	return sizeof(CacheEntryInfo) +
		MAXALIGN(record->nslots * sizeof(CacheSlot) + record->key_len + record->tags_len);
}

/* Copy an entry: to info, and what that points to. */
static void
copy_entry(const StoreEntry *entry, CacheEntryInfo *info, char *to)
{
	const StoreRecord *record = store_record(entry);
	Size		slots_len = record->nslots * sizeof(CacheSlot);

	cache_store_read(entry, STORE_RECORD_SIZE, to, slots_len + record->key_len + record->tags_len);
	info->slots = (const CacheSlot *) to;
	info->nslots = record->nslots;
	info->key.name = to + slots_len;
	info->key.len = record->key_len;
	info->key.hash = apibase_cache_key_hash(record->database, info->key.name, record->key_len);
	info->tags = to + slots_len + record->key_len;
	info->tags_len = record->tags_len;

	info->database = record->database;
	info->nspace = record->nspace;
	info->kind = (ApibaseCacheKind) record->kind;
	info->value_len = record->value_len;
	info->bytes = store_bytes(store_chunks_of(record));
	info->sequence = record->sequence;
	info->created = record->created;
	info->expires = record->expires;
	info->dies = record->dies;
	info->hits = pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &entry->hits));
	info->stamp = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &entry->stamp));
	info->version = record->version;
}

/* Copy a partition as far as the memory goes, and measure what it needs; true if that is no more. */
static bool
copy_partition(uint32 partition, ScanCopy *copy)
{
	Size		nbuckets = (Size) 1 << cache_store.header->bucket_bits;
	const StoreBucket *buckets = cache_store.buckets + partition * nbuckets;
	CacheEntryInfo *infos = (CacheEntryInfo *) copy->memory;
	char	   *end = copy->memory + copy->size;

	copy->needed = 0;
	copy->count = 0;
	LWLockAcquire(store_lock(partition), LW_SHARED);
	for (Size b = 0; b < nbuckets; b++)
	{
		for (uint32 number = buckets[b].first; number != STORE_NONE; number = cache_store.entries[number].bucket_next)
		{
			const StoreEntry *entry = &cache_store.entries[number];
			Size		size = copy_size(store_record(entry));

			copy->needed += size;
			if (copy->memory == NULL || copy->needed > copy->size)
				continue;
			end -= size - sizeof(CacheEntryInfo);
			copy_entry(entry, &infos[copy->count++], end);
		}
	}
	LWLockRelease(store_lock(partition));
	return copy->needed <= copy->size;
}

void
cache_store_scan(CacheScanFunction function, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "apibase cache scan", ALLOCSET_DEFAULT_SIZES);
	bool		more = true;

	for (uint32 partition = 0; more && partition < APIBASE_CACHE_PARTITIONS; partition++)
	{
		ScanCopy	copy = {NULL, 0, 0, 0};

		CHECK_FOR_INTERRUPTS();
		while (!copy_partition(partition, &copy))
		{
			/* Some room for what comes meanwhile. */
			MemoryContextReset(context);
			copy.size = MAXALIGN(copy.needed + copy.needed / 8);
			copy.memory = MemoryContextAllocHuge(context, copy.size);
		}
		for (uint32 i = 0; more && i < copy.count; i++)
			more = function(&((CacheEntryInfo *) copy.memory)[i], arg);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/* ---- clear ---- */

/* Whether an entry is to be cleared. */
static bool
entry_matches(const StoreEntry *entry, Oid database, const char *pattern, int pattern_len)
{
	const StoreRecord *record = store_record(entry);
	char		key[APIBASE_CACHE_MAX_KEY];

	if (OidIsValid(database) && record->database != database)
		return false;
	if (pattern == NULL)
		return true;
	cache_store_read(entry, store_key_offset(record), key, record->key_len);
	return apibase_glob_matches(pattern, pattern_len, key, record->key_len);
}

/* Clear a partition; returns how many entries that were. */
static uint64
clear_partition(uint32 partition, Oid database, const char *pattern, int pattern_len)
{
	Size		nbuckets = (Size) 1 << cache_store.header->bucket_bits;
	const StoreBucket *buckets = cache_store.buckets + partition * nbuckets;
	StoreHands	hands = STORE_EMPTY_HANDS;
	uint64		cleared;

	LWLockAcquire(store_lock(partition), LW_EXCLUSIVE);
	for (Size b = 0; b < nbuckets; b++)
	{
		uint32		number = buckets[b].first;

		while (number != STORE_NONE)
		{
			uint32		next = cache_store.entries[number].bucket_next;

			if (entry_matches(&cache_store.entries[number], database, pattern, pattern_len))
			{
				cache_store_unlink(partition, number);
				cache_store_keep_entry(&hands, number);
			}
			number = next;
		}
	}
	LWLockRelease(store_lock(partition));

	for (uint32 number = hands.others; number != STORE_NONE; number = cache_store.entries[number].older)
		cache_store_keep_chunks(&hands, number);
	cleared = hands.nentries;
	hands.places = hands.nentries;
	cache_store_give_back(&hands);
	return cleared;
}

uint64
cache_store_clear(Oid database, const char *pattern, int pattern_len)
{
	uint64		cleared = 0;

	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		cleared += clear_partition(partition, database, pattern, pattern_len);
	return cleared;
}

/* ---- sizes ---- */

uint64
cache_store_entries(void)
{
	return pg_atomic_read_u32(&cache_store.header->places);
}

uint64
cache_store_chunks_free(void)
{
	StoreFree  *chunks = &cache_store.header->chunks;
	uint64		nfree;

	LWLockAcquire(&cache_store.header->free_lock, LW_SHARED);
	nfree = (uint64) chunks->count + chunks->total - chunks->fresh;
	LWLockRelease(&cache_store.header->free_lock);
	return nfree;
}

uint64
cache_store_chunks(void)
{
	return cache_store.header->chunks.total;
}

void
cache_store_namespace_size(int nspace, uint64 *entries, uint64 *bytes)
{
	*entries = pg_atomic_read_u64(&cache_store.namespaces[nspace].entries);
	*bytes = pg_atomic_read_u64(&cache_store.namespaces[nspace].bytes);
}

/* The hits of a namespace in one partition, which begin anew with reset. */
static uint64
hits_of(uint32 partition, int nspace, bool reset)
{
	StorePartition *part = store_partition(partition);
	uint64		hits;

	SpinLockAcquire(&part->mutex);
	hits = part->lists[nspace].hits;
	if (reset)
		part->lists[nspace].hits = 0;
	SpinLockRelease(&part->mutex);
	return hits;
}

uint64
cache_store_hits(int nspace)
{
	uint64		hits = 0;

	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		hits += hits_of(partition, nspace, false);
	return hits;
}

void
cache_store_reset_hits(int nspace)
{
	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		(void) hits_of(partition, nspace, true);
}

/* ---- the checker ---- */

/* Marks of an entry. */
#define SEEN_IN_LIST	0x01
#define SEEN_IN_BUCKET	0x02
#define SEEN_FREE		0x04

typedef struct Verify
{
	uint8	   *entries;		/* marks, by number */
	uint8	   *chunks;			/* bits */
	uint64		linked;			/* entries */
	uint64		linked_chunks;
	int			faults;
	char	   *text;
	Size		text_len;
} Verify;

static void fault(Verify *v, const char *format,...) pg_attribute_printf(2, 3);

/* Remember a fault.  Nothing is allocated: locks are held. */
static void
fault(Verify *v, const char *format,...)
{
	va_list		args;
	Size		room = MAX_FAULTS_TEXT - v->text_len;
	int			n;

	v->faults++;
	va_start(args, format);
	n = vsnprintf(v->text + v->text_len, room, format, args);
	va_end(args);
	if (n >= 0 && (Size) n + 1 < room)
	{
		v->text_len += n;
		v->text[v->text_len++] = '\n';
	}
	v->text[v->text_len] = '\0';
}

/* Mark an entry; false if it is none, or has the mark. */
static bool
see_entry(Verify *v, uint32 number, uint8 mark)
{
	if (number >= cache_store.header->entries.fresh || (v->entries[number] & mark) != 0)
		return false;
	v->entries[number] |= mark;
	return true;
}

/* Mark a chunk; false if it is none, or is marked. */
static bool
see_chunk(Verify *v, uint32 number)
{
	uint8		bit = (uint8) (1 << (number & 7));

	if (number >= cache_store.header->chunks.fresh || (v->chunks[number >> 3] & bit) != 0)
		return false;
	v->chunks[number >> 3] |= bit;
	return true;
}

/* What belongs to an entry that is linked. */
static void
verify_entry(Verify *v, uint32 partition, uint32 number)
{
	const StoreEntry *entry = &cache_store.entries[number];
	const StoreRecord *record = store_record(entry);
	uint32		nchunks = store_chunks_of(record);
	uint32		chunk = entry->chunk;
	char		key[APIBASE_CACHE_MAX_KEY];
	uint64		hash;

	if (record->key_len > APIBASE_CACHE_MAX_KEY || record->nslots > APIBASE_CACHE_MAX_SLOTS ||
		nchunks > cache_store.header->chunks.total)
	{
		fault(v, "entry %u: its lengths are impossible", number);
		return;
	}
	for (uint32 i = 0; i < nchunks; i++)
	{
		if (!see_chunk(v, chunk))
		{
			fault(v, "entry %u: chunk %u of %u, number %u, is not its own", number, i, nchunks, chunk);
			return;
		}
		chunk = cache_store.chunks[chunk].next;
	}
	v->linked_chunks += nchunks;

	cache_store_read(entry, store_key_offset(record), key, record->key_len);
	hash = apibase_cache_key_hash(record->database, key, record->key_len);
	if ((uint32) hash != entry->hash)
		fault(v, "entry %u: its hash is not that of its key", number);
	if (store_partition_of(hash) != partition)
		fault(v, "entry %u: it does not belong to partition %u", number, partition);
	if (record->version == CACHE_NONE ||
		record->version > pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &entry->stamp)))
		fault(v, "entry %u: its version is not older than its last use", number);
	if (record->dies < record->expires)
		fault(v, "entry %u: it dies before it expires", number);
}

/* One list; adds up what is in it. */
static void
verify_list(Verify *v, uint32 partition, uint32 nspace, uint64 *entries, uint64 *bytes)
{
	const StoreList *list = &store_partition(partition)->lists[nspace];
	uint64		stamp = pg_atomic_read_u64(&cache_store.header->stamp) + 1;
	uint32		newer = STORE_NONE;
	uint32		number;

	for (number = list->head; number != STORE_NONE; number = cache_store.entries[number].older)
	{
		StoreEntry *entry;

		if (!see_entry(v, number, SEEN_IN_LIST))
		{
			fault(v, "list %u/%u: entry %u is none, or is in a list already", partition, nspace, number);
			return;
		}
		entry = &cache_store.entries[number];
		if (entry->newer != newer)
			fault(v, "list %u/%u: entry %u does not link back to %u", partition, nspace, number, newer);
		if (entry->chunk >= cache_store.header->chunks.fresh)
		{
			fault(v, "list %u/%u: entry %u has no chunk", partition, nspace, number);
			return;
		}
		if (store_record(entry)->nspace != nspace)
			fault(v, "list %u/%u: entry %u does not belong here", partition, nspace, number);
		if (pg_atomic_read_u64(&entry->stamp) >= stamp)
			fault(v, "list %u/%u: entry %u has a stamp out of order", partition, nspace, number);
		stamp = pg_atomic_read_u64(&entry->stamp);
		newer = number;
		verify_entry(v, partition, number);
		*entries += 1;
		*bytes += store_bytes(store_chunks_of(store_record(entry)));
	}
	if (list->tail != newer)
		fault(v, "list %u/%u: the tail is %u and should be %u", partition, nspace, list->tail, newer);
	if (pg_atomic_read_u64(store_oldest(partition, nspace)) != (newer == STORE_NONE ? STORE_NO_STAMP : stamp))
		fault(v, "list %u/%u: its oldest stamp is wrong", partition, nspace);
}

/* The floor of a namespace.  Somebody may be about to lower it, without a lock. */
static void
verify_floor(Verify *v, uint32 nspace)
{
	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
	{
		uint64		oldest = pg_atomic_read_u64(store_oldest(partition, nspace));
		int			tries = 0;

		while (pg_atomic_read_u64(&cache_store.floors[nspace]) > oldest)
		{
			if (++tries > 100)
			{
				fault(v, "list %u/%u: its oldest stamp is below the floor", partition, nspace);
				break;
			}
			pg_usleep(1000);
		}
	}
}

/* All lists of a namespace, and its sums. */
static void
verify_namespace(Verify *v, uint32 nspace)
{
	uint64		entries = 0;
	uint64		bytes = 0;
	uint64		counted_entries;
	uint64		counted_bytes;

	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		verify_list(v, partition, nspace, &entries, &bytes);
	cache_store_namespace_size((int) nspace, &counted_entries, &counted_bytes);
	if (counted_entries != entries || counted_bytes != bytes)
		fault(v, "namespace %u: it counts " UINT64_FORMAT " entries and " UINT64_FORMAT " bytes, and has " UINT64_FORMAT
			  " and " UINT64_FORMAT, nspace, counted_entries, counted_bytes, entries, bytes);
	verify_floor(v, nspace);
	if (entries > 0 && nspace >= pg_atomic_read_u32(&cache_store.header->namespaces_used))
		fault(v, "namespace %u: it has entries and does not count as used", nspace);
	v->linked += entries;
}

/* All buckets. */
static void
verify_buckets(Verify *v)
{
	Size		nbuckets = (Size) APIBASE_CACHE_PARTITIONS << cache_store.header->bucket_bits;
	uint64		entries = 0;

	for (Size b = 0; b < nbuckets; b++)
	{
		for (uint32 number = cache_store.buckets[b].first; number != STORE_NONE;
			 number = cache_store.entries[number].bucket_next)
		{
			if (!see_entry(v, number, SEEN_IN_BUCKET))
			{
				fault(v, "bucket %zu: entry %u is none, or is in a bucket already", b, number);
				break;
			}
			if (store_bucket((uint32) (b >> cache_store.header->bucket_bits), cache_store.entries[number].hash) !=
				&cache_store.buckets[b])
				fault(v, "bucket %zu: entry %u does not belong here", b, number);
			if ((v->entries[number] & SEEN_IN_LIST) == 0)
				fault(v, "bucket %zu: entry %u is in no list", b, number);
			entries++;
		}
	}
	if (entries != v->linked)
		fault(v, UINT64_FORMAT " entries are in buckets, " UINT64_FORMAT " in lists", entries, v->linked);
}

/* The free lists, and that nothing is missing. */
static void
verify_free(Verify *v)
{
	StoreHeader *header = cache_store.header;
	uint64		in_hands = pg_atomic_read_u64(&header->in_hands);
	uint64		places = pg_atomic_read_u32(&header->places);
	uint32		number = header->entries.first;
	uint64		entries;
	uint64		chunks;

	for (uint32 i = 0; i < header->entries.count; i++)
	{
		if (!see_entry(v, number, SEEN_FREE) || v->entries[number] != SEEN_FREE)
		{
			fault(v, "free entry %u of %u, number %u, is none, or is not free", i, header->entries.count, number);
			break;
		}
		number = cache_store.entries[number].older;
	}
	number = header->chunks.first;
	for (uint32 i = 0; i < header->chunks.count; i++)
	{
		if (!see_chunk(v, number))
		{
			fault(v, "free chunk %u of %u, number %u, is none, or is not free", i, header->chunks.count, number);
			break;
		}
		number = cache_store.chunks[number].next;
	}

	entries = v->linked + header->entries.count + (in_hands >> 32);
	if (entries != header->entries.fresh)
		fault(v, "there are " UINT64_FORMAT " entries linked, free or in hands, and %u in use", entries, header->entries.fresh);
	chunks = v->linked_chunks + header->chunks.count + (in_hands & PG_UINT32_MAX);
	if (chunks != header->chunks.fresh)
		fault(v, "there are " UINT64_FORMAT " chunks linked, free or in hands, and %u in use", chunks, header->chunks.fresh);
	if (header->entries.fresh > header->entries.total || header->chunks.fresh > header->chunks.total)
		fault(v, "more entries or chunks are in use than there are");
	if (v->linked > places || places > header->max_entries || places > v->linked + (in_hands >> 32))
		fault(v, "there are " UINT64_FORMAT " entries linked, " UINT64_FORMAT " in hands, and " UINT64_FORMAT " of %u places taken",
			  v->linked, in_hands >> 32, places, header->max_entries);
}

int
cache_store_verify(StringInfo faults)
{
	StoreHeader *header = cache_store.header;
	Verify		v = {0};

	v.entries = palloc0(header->entries.total);
	v.chunks = MemoryContextAllocExtended(CurrentMemoryContext, header->chunks.total / 8 + 1,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	v.text = palloc(MAX_FAULTS_TEXT);
	v.text[0] = '\0';

	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		LWLockAcquire(store_lock(partition), LW_EXCLUSIVE);
	LWLockAcquire(&header->free_lock, LW_EXCLUSIVE);
	for (uint32 nspace = 0; nspace < header->nnamespaces; nspace++)
		verify_namespace(&v, nspace);
	verify_buckets(&v);
	verify_free(&v);
	LWLockRelease(&header->free_lock);
	for (uint32 partition = 0; partition < APIBASE_CACHE_PARTITIONS; partition++)
		LWLockRelease(store_lock(partition));

	appendStringInfoString(faults, v.text);
	pfree(v.entries);
	pfree(v.chunks);
	pfree(v.text);
	return v.faults;
}
