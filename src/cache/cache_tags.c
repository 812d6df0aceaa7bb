/*-------------------------------------------------------------------------
 *
 * cache_tags.c
 *	  When each tag was last invalidated.
 *
 * A slot's state is one word: the number of its last invalidation, and in
 * the lowest bits how many transactions are committing one just now.  So a
 * reader sees both at once.  A transaction adds its mark before its commit
 * can be seen, and removes it together with giving the new number after the
 * commit can be seen: who reads a word without a mark and with an old number
 * has read it before anybody could see the commit.
 *
 * There are as many slots as the cache can have entries, rounded up; the
 * table is sparse where tags are few, and its use costs a reader one word.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_tags.h"

#include "common/hashfn.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"

#define MARK_BITS	18			/* more than there can be processes (MAX_BACKENDS) */
#define MARK_MASK	((UINT64CONST(1) << MARK_BITS) - 1)

typedef struct TagSlot
{
	pg_atomic_uint64 state;		/* number << MARK_BITS | marks */
	pg_atomic_uint64 xid;		/* the largest FullTransactionId that invalidated it */
	pg_atomic_uint64 queued;	/* position in the queue to level 2 */
	pg_atomic_uint64 entries;	/* that depend on it and were not invalidated; for people */
} TagSlot;

typedef struct TagTable
{
	pg_atomic_uint64 sequence;
	uint32		mask;
	TagSlot		slots[FLEXIBLE_ARRAY_MEMBER];
} TagTable;

static TagTable *table;

/* Number of slots: a power of 2. */
static uint32
slot_count(void)
{
	return pg_nextpower2_32(Max(apibase_cache_max_entries, 4096));
}

Size
cache_tags_size(void)
{
	return add_size(PG_CACHE_LINE_SIZE, add_size(sizeof(TagTable), mul_size(slot_count(), sizeof(TagSlot))));
}

void
cache_tags_init(void *area, bool found)
{
	/* The slots begin at a cache line, whatever comes before this table. */
	table = (TagTable *) (CACHELINEALIGN((char *) area + offsetof(TagTable, slots)) - offsetof(TagTable, slots));
	if (found)
		return;
	pg_atomic_init_u64(&table->sequence, 1);
	table->mask = slot_count() - 1;
	for (uint32 i = 0; i <= table->mask; i++)
	{
		pg_atomic_init_u64(&table->slots[i].state, 0);
		pg_atomic_init_u64(&table->slots[i].xid, 0);
		pg_atomic_init_u64(&table->slots[i].queued, 0);
		pg_atomic_init_u64(&table->slots[i].entries, 0);
	}
}

CacheSlot
cache_slot_of_tag(Oid database, const char *tag, int len)
{
	return (CacheSlot) hash_bytes_extended((const unsigned char *) tag, len, database) & table->mask;
}

int
cache_tag_of_parts(const char *tag, int len, char all_parts[APIBASE_CACHE_MAX_TAG + 2])
{
	const char *colon = memchr(tag, ':', len);
	int			n;

	if (colon == NULL)
		return 0;
	n = (int) (colon - tag) + 1;
	memcpy(all_parts, tag, n);
	strcpy(all_parts + n, "*");
	return n + 1;
}

CacheSlot
cache_slot_of_key(uint64 key_hash)
{
	/* Not the bits that choose the partition and the bucket. */
	return (CacheSlot) (key_hash >> 32) & table->mask;
}

CacheSlot
cache_slot_of_database(Oid database)
{
	return (CacheSlot) murmurhash32(database) & table->mask;
}

uint64
cache_tags_sequence(void)
{
	return pg_atomic_read_u64(&table->sequence);
}

/* Raise an atomic to at least a value. */
static void
raise_to(pg_atomic_uint64 *variable, uint64 value)
{
	uint64		old = pg_atomic_read_u64(variable);

	while (old < value && !pg_atomic_compare_exchange_u64(variable, &old, value))
		;
}

FullTransactionId
cache_last_xid(void)
{
	FullTransactionId xid = ReadNextFullTransactionId();

	FullTransactionIdRetreat(&xid);
	return xid;
}

void
cache_tag_mark(CacheSlot slot, FullTransactionId xid)
{
	raise_to(&table->slots[slot].xid, U64FromFullTransactionId(xid));
	pg_atomic_fetch_add_u64(&table->slots[slot].state, 1);
}

/* Give a slot a number, unless it has a higher one, and take marks away. */
static void
renumber(CacheSlot slot, uint64 number, uint64 marks)
{
	pg_atomic_uint64 *state = &table->slots[slot].state;
	uint64		old = pg_atomic_read_u64(state);
	uint64		new;

	do
	{
		new = (Max(number, old >> MARK_BITS) << MARK_BITS) | ((old & MARK_MASK) - marks);
	} while (!pg_atomic_compare_exchange_u64(state, &old, new));
	pg_atomic_write_u64(&table->slots[slot].entries, 0);
}

uint64
cache_tags_draw_number(void)
{
	return pg_atomic_fetch_add_u64(&table->sequence, 1) + 1;
}

void
cache_tag_invalidated(CacheSlot slot, uint64 number)
{
	renumber(slot, number, 1);
}

void
cache_tag_unmark(CacheSlot slot)
{
	pg_atomic_fetch_sub_u64(&table->slots[slot].state, 1);
}

void
cache_tag_invalidate_now(CacheSlot slot)
{
	raise_to(&table->slots[slot].xid, U64FromFullTransactionId(cache_last_xid()));
	renumber(slot, cache_tags_draw_number(), 0);
}

void
cache_tags_invalidate_all(void)
{
	uint64		number = cache_tags_draw_number();

	for (uint32 i = 0; i <= table->mask; i++)
		renumber(i, number, 0);
}

void
cache_tag_expect(CacheSlot slot)
{
	cache_expect_read(&table->slots[slot]);
}

bool
cache_tag_valid(CacheSlot slot, uint64 sequence)
{
	uint64		state = pg_atomic_read_u64(&table->slots[slot].state);

	return (state & MARK_MASK) == 0 && (state >> MARK_BITS) <= sequence;
}

bool
cache_tag_valid_but_mine(CacheSlot slot, uint64 sequence)
{
	uint64		state = pg_atomic_read_u64(&table->slots[slot].state);

	return (state & MARK_MASK) == 1 && (state >> MARK_BITS) <= sequence;
}

bool
cache_tag_marked(CacheSlot slot)
{
	return (pg_atomic_read_u64(&table->slots[slot].state) & MARK_MASK) != 0;
}

FullTransactionId
cache_tag_xid(CacheSlot slot)
{
	return FullTransactionIdFromU64(pg_atomic_read_u64(&table->slots[slot].xid));
}

void
cache_tag_set_queued(CacheSlot slot, uint64 position)
{
	raise_to(&table->slots[slot].queued, position);
}

uint64
cache_tag_queued(CacheSlot slot)
{
	return pg_atomic_read_u64(&table->slots[slot].queued);
}

void
cache_tag_entry_added(CacheSlot slot)
{
	pg_atomic_fetch_add_u64(&table->slots[slot].entries, 1);
}

void
cache_tag_entry_removed(CacheSlot slot, uint64 sequence)
{
	pg_atomic_uint64 *entries = &table->slots[slot].entries;
	uint64		old = pg_atomic_read_u64(entries);

	/* One that was invalidated is no more counted. */
	if ((pg_atomic_read_u64(&table->slots[slot].state) >> MARK_BITS) > sequence)
		return;
	while (old > 0 && !pg_atomic_compare_exchange_u64(entries, &old, old - 1))
		;
}

uint64
cache_tag_entries(CacheSlot slot)
{
	return pg_atomic_read_u64(&table->slots[slot].entries);
}
