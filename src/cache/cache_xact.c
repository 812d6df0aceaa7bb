/*-------------------------------------------------------------------------
 *
 * cache_xact.c
 *	  What the current transaction has invalidated and put.
 *
 * Invalidations and puts are kept in two arrays in the order in which they
 * were made, each with the nesting level of its subtransaction.  When a
 * subtransaction commits, its level becomes its parent's; when it aborts,
 * what has its level is taken off the ends, and nothing else is touched.
 *
 * A put by hand that waits for the commit counts as a deletion of its key as
 * well: what was there before is over whatever becomes of the new value, and
 * nobody else's value of before the commit may come after it.
 *
 * All are numbered.  A slot knows the last invalidation that concerns it,
 * and a put is void if one of its slots has a higher number than the put.
 *
 * At commit:
 *
 *	before it can be seen		what is private is checked against its lease, all
 *								slots concerned are marked, keys are deleted
 *	after it can be seen		keys are deleted again (somebody may have put them
 *								between), level 2's share is queued, all slots get
 *								a new number, what is private is published
 *
 * Nothing after the commit can fail or allocate.  The marks keep gets and
 * puts away from what is concerned in between; only a get does not look at
 * the mark of a key, which is why keys are deleted before.  If the commit
 * then fails, these keys stay deleted: a miss, no more.
 *
 * Publishing is right if nobody else has invalidated a slot of the value
 * since its lease.  The number is drawn first and then the slots are looked
 * at: an invalidation of another transaction that ends later than this look
 * has a higher number and voids the entry, or keeps it from being stored; one
 * that had drawn its number before still has its mark.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_config.h"
#include "cache/cache_namespace.h"
#include "cache/cache_redis.h"
#include "cache/cache_xact.h"
#include "core/clock.h"
#include "core/glob.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* A transaction that invalidates more things than this clears the cache of its database. */
#define MAX_OPS		100000

/* Patterns that it clears one by one. */
#define MAX_CLEARS	16

#define NO_OP		(-1)

typedef enum OpKind
{
	OP_TAG,
	OP_KEY,
	OP_CLEAR,
	OP_NAMESPACES,				/* the configuration changed */
} OpKind;

typedef struct Op
{
	OpKind		kind;
	int			level;
	uint64		number;			/* of the last time that it was said */
	CacheSlot	slot;
	int			before;			/* the one before it with the same slot, or NO_OP */
	ApibaseCacheKey name;		/* of the tag or key, or the pattern */
	char		prefix[CACHE_MAX_NAMESPACE + 1];	/* OP_KEY: of its namespace in level 2 */
} Op;

typedef struct Private
{
	CacheItem	item;
	int			level;
	uint64		number;
	int			older;			/* an older put with the same hash, or -1 */
	const ApibaseCacheLease *lease;
	bool		only_if_absent;
	bool		allowed;		/* found before the commit */
	CacheNamespaceConfig config;
} Private;

/* A slot that is concerned, and the last operation on it. */
typedef struct SlotEntry
{
	uint32		slot;
	int			last;
	bool		marked;
	char		status;
} SlotEntry;

#define SH_PREFIX slotset
#define SH_ELEMENT_TYPE SlotEntry
#define SH_KEY_TYPE uint32
#define SH_KEY slot
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "common/hashfn.h"
#include "lib/simplehash.h"

/* Puts by the hash of their key. */
typedef struct PutEntry
{
	uint64		hash;
	int			newest;			/* number in the array */
	char		status;
} PutEntry;

#define SH_PREFIX putset
#define SH_ELEMENT_TYPE PutEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) ((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static MemoryContext xact_context;	/* NULL: this transaction did nothing */
static uint64 last_number;
static Op  *ops;
static int	nops;
static int	ops_size;
static slotset_hash *slots;
static Private *privates;
static int	nprivates;
static int	privates_size;
static Size private_bytes;
static putset_hash *putset;
static bool callbacks_registered;

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);

/* The first thing that this transaction does. */
static void
start_transaction(void)
{
	MemoryContext context;

	if (xact_context != NULL)
		return;
	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
	context = AllocSetContextCreate(TopTransactionContext, "apibase cache transaction", ALLOCSET_DEFAULT_SIZES);
	nops = nprivates = 0;
	last_number = 0;
	private_bytes = 0;
	ops_size = privates_size = 16;
	ops = MemoryContextAlloc(context, ops_size * sizeof(Op));
	privates = MemoryContextAlloc(context, privates_size * sizeof(Private));
	slots = slotset_create(context, 16, NULL);
	putset = putset_create(context, 16, NULL);
	xact_context = context;
}

/* The memory goes with the transaction's. */
static void
end_transaction(void)
{
	xact_context = NULL;
	nops = nprivates = 0;
}

bool
cache_xact_pending(void)
{
	return xact_context != NULL && nops > 0;
}

bool
cache_xact_is_private(void)
{
	return cache_xact_pending() || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

bool
cache_xact_not_bypassed(const CacheSlot *of, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (slotset_lookup(slots, of[i]) != NULL)
			return false;
	}
	return true;
}

bool
cache_xact_bypasses_key(const ApibaseCacheKey *key)
{
	CacheSlot	of[2];

	if (!cache_xact_pending())
		return false;
	of[0] = cache_slot_of_key(key->hash);
	of[1] = cache_slot_of_database(MyDatabaseId);
	return !cache_xact_not_bypassed(of, 2);
}

/* ---- collecting ---- */

static bool
same_key(const ApibaseCacheKey *a, const ApibaseCacheKey *b)
{
	return a->hash == b->hash && a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

static bool
same_op(const Op *a, const Op *b)
{
	return a->kind == b->kind && a->level == b->level && same_key(&a->name, &b->name);
}

/* If an operation is the last one on its slot once more, only its number is new. */
static bool
repeats(const Op *op)
{
	SlotEntry  *entry = slotset_lookup(slots, op->slot);

	if (entry == NULL || !same_op(&ops[entry->last], op))
		return false;
	ops[entry->last].number = op->number;
	return true;
}

/* Append an operation; there is room for it. */
static void
append(const Op *op)
{
	bool		found;
	SlotEntry  *entry = slotset_insert(slots, op->slot, &found);

	if (!found)
		entry->marked = false;
	ops[nops] = *op;
	ops[nops].before = found ? entry->last : NO_OP;
	entry->last = nops++;
}

/* Take the operations off again from a number on. */
static void
take_off(int first)
{
	while (nops > first)
	{
		Op		   *op = &ops[--nops];

		if (op->before == NO_OP)
			slotset_delete(slots, op->slot);
		else
			slotset_lookup(slots, op->slot)->last = op->before;
	}
}

static void
add_op(Op *op)
{
	start_transaction();
	if (nops >= MAX_OPS && op->kind != OP_NAMESPACES)
		*op = (Op)
	{
		.kind = OP_CLEAR, .slot = cache_slot_of_database(MyDatabaseId),.name =
		{
			.name = "*", .len = 1
		}
	};
	op->level = GetCurrentTransactionNestLevel();
	op->number = ++last_number;
	if (repeats(op))
		return;
	if (nops >= ops_size)
	{
		ops = repalloc_huge(ops, mul_size(ops_size, 2 * sizeof(Op)));
		ops_size *= 2;
	}
	op->name.name = memcpy(MemoryContextAlloc(xact_context, op->name.len + 1), op->name.name, op->name.len);
	append(op);
}

void
cache_xact_invalidate(const char *tag, int len)
{
	Op			op = {
		.kind = OP_TAG,
		.slot = cache_slot_of_tag(MyDatabaseId, tag, len),
		.name = {.name = tag, .len = len},
	};

	add_op(&op);
}

void
cache_xact_delete(const ApibaseCacheKey *key)
{
	Op			op = {.kind = OP_KEY, .slot = cache_slot_of_key(key->hash), .name = *key};
	CacheNamespaceConfig config;

	cache_namespace_config(cache_namespace_of(key), &config);
	strlcpy(op.prefix, config.key_prefix, sizeof(op.prefix));
	add_op(&op);
}

void
cache_xact_clear(const char *pattern, int len)
{
	Op			op = {
		.kind = OP_CLEAR,
		.slot = cache_slot_of_database(MyDatabaseId),
		.name = {.name = pattern, .len = len},
	};

	add_op(&op);
}

/* The database's slot is concerned: nothing of what is configured now is to be kept by what was. */
void
cache_xact_namespaces_changed(void)
{
	Op			op = {
		.kind = OP_NAMESPACES,
		.slot = cache_slot_of_database(MyDatabaseId),
		.name = {.name = "", .len = 0},
	};

	add_op(&op);
}

/* ---- private puts ---- */

/* Bytes of a copy: slots, key, tags, value, one after the other in one piece of memory that begins with the slots. */
static Size
copy_size(const CacheItem *item)
{
	return item->nslots * sizeof(CacheSlot) + item->key.len + item->tags_len + item->value_len;
}

/* Copy an item into memory of the transaction that is as large as that. */
static void
copy_item(CacheItem *copy, const CacheItem *item, char *to)
{
	*copy = *item;
	copy->slots = memcpy(to, item->slots, item->nslots * sizeof(CacheSlot));
	to += item->nslots * sizeof(CacheSlot);
	copy->key.name = memcpy(to, item->key.name, item->key.len);
	to += item->key.len;
	copy->tags = memcpy(to, item->tags, item->tags_len);
	copy->value = memcpy(to + item->tags_len, item->value, item->value_len);
}

static void
free_item(CacheItem *item)
{
	private_bytes -= copy_size(item);
	pfree(unconstify(CacheSlot *, item->slots));
}

/* Whether a put may take the place of another: of the same key and level. */
static bool
can_replace(const Private *put, const ApibaseCacheKey *key, bool only_if_absent)
{
	return put->level == GetCurrentTransactionNestLevel() && same_key(&put->item.key, key) &&
		!put->only_if_absent && !only_if_absent;
}

/* The place of a put: that of the newest put with the same hash, or a new one. */
static Private *
place_of_put(const ApibaseCacheKey *key, bool only_if_absent)
{
	PutEntry   *entry;
	Private    *put;
	bool		found;

	entry = putset_lookup(putset, key->hash);
	if (entry != NULL && can_replace(&privates[entry->newest], key, only_if_absent))
	{
		put = &privates[entry->newest];
		free_item(&put->item);
		return put;
	}
	if (nprivates >= privates_size)
	{
		privates = repalloc_huge(privates, mul_size(privates_size, 2 * sizeof(Private)));
		privates_size *= 2;
	}
	entry = putset_insert(putset, key->hash, &found);
	put = &privates[nprivates];
	put->older = found ? entry->newest : -1;
	entry->newest = nprivates++;
	return put;
}

bool
cache_xact_put(const CacheItem *item, const ApibaseCacheLease *lease, bool only_if_absent, bool replaces,
			   const CacheNamespaceConfig *config)
{
	Private    *put;
	char	   *memory;

	if (replaces && !only_if_absent)
		cache_xact_delete(&item->key);
	start_transaction();
	if (!cache_store_fits(item, config->max_bytes) || copy_size(item) + private_bytes > (Size) apibase_cache_size * 1024 * 1024)
		return false;
	memory = MemoryContextAllocHuge(xact_context, copy_size(item) + 1);
	put = place_of_put(&item->key, only_if_absent);
	copy_item(&put->item, item, memory);
	private_bytes += copy_size(item);
	put->level = GetCurrentTransactionNestLevel();
	put->number = ++last_number;
	put->lease = lease;
	put->only_if_absent = only_if_absent;
	put->allowed = false;
	put->config = *config;
	return true;
}

/* Whether the transaction has invalidated a slot after a number. */
static bool
invalidated_after(CacheSlot slot, uint64 number)
{
	SlotEntry  *entry = slotset_lookup(slots, slot);

	return entry != NULL && ops[entry->last].number > number;
}

/* Whether the transaction has deleted the key of a put after it, or cleared what its key matches. */
static bool
removed_after(const Private *put)
{
	SlotEntry  *entry = slotset_lookup(slots, cache_slot_of_database(put->item.database));

	if (invalidated_after(cache_slot_of_key(put->item.key.hash), put->number))
		return true;
	for (int i = entry ? entry->last : NO_OP; i != NO_OP && ops[i].number > put->number; i = ops[i].before)
	{
		if (ops[i].kind != OP_NAMESPACES &&
			apibase_glob_matches(ops[i].name.name, ops[i].name.len, put->item.key.name, put->item.key.len))
			return true;
	}
	return false;
}

/*
 * Whether a value may still be used: neither has this transaction invalidated
 * it, nor another; before this transaction marks anything.
 */
static bool
put_is_allowed(const Private *put)
{
	if (removed_after(put) || !cache_lease_allows(put->lease, cache_slot_of_key(put->item.key.hash)) ||
		!cache_lease_allows(put->lease, cache_slot_of_database(put->item.database)))
		return false;
	for (int i = 0; i < put->item.nslots; i++)
	{
		if (invalidated_after(put->item.slots[i], put->number) || !cache_lease_allows(put->lease, put->item.slots[i]))
			return false;
	}
	return true;
}

bool
cache_xact_get(const ApibaseCacheKey *key, const CacheItem **item)
{
	PutEntry   *entry;

	if (likely(xact_context == NULL || nprivates == 0))
		return false;
	entry = putset_lookup(putset, key->hash);
	for (int i = entry ? entry->newest : -1; i >= 0; i = privates[i].older)
	{
		if (same_key(&privates[i].item.key, key))
		{
			*item = put_is_allowed(&privates[i]) ? &privates[i].item : NULL;
			return true;
		}
	}
	return false;
}

bool
cache_xact_touch(const ApibaseCacheKey *key, TimestampTz expires, TimestampTz dies, bool *touched)
{
	const CacheItem *item;

	if (!cache_xact_get(key, &item))
		return false;
	*touched = item != NULL;
	if (item != NULL)
	{
		unconstify(CacheItem *, item)->expires = expires;
		unconstify(CacheItem *, item)->dies = dies;
	}
	return true;
}

/* ---- subtransactions ---- */

/* The first operation of a level; all after it have it too. */
static int
first_op(int level)
{
	int			first = nops;

	while (first > 0 && ops[first - 1].level >= level)
		first--;
	return first;
}

/*
 * What a level did is its parent's; what that has said itself is said once.
 * Nothing is allocated: there were as many before.
 */
static void
commit_level(int level)
{
	int			first = first_op(level);
	int			end = nops;

	take_off(first);
	for (int i = first; i < end; i++)
	{
		Op			op = ops[i];

		op.level = level - 1;
		if (!repeats(&op))
			append(&op);
	}
	for (int i = nprivates - 1; i >= 0 && privates[i].level >= level; i--)
		privates[i].level = level - 1;
}

/* What a level did is undone. */
static void
abort_level(int level)
{
	take_off(first_op(level));
	while (nprivates > 0 && privates[nprivates - 1].level >= level)
	{
		Private    *put = &privates[--nprivates];

		if (put->older >= 0)
			putset_lookup(putset, put->item.key.hash)->newest = put->older;
		else
			putset_delete(putset, put->item.key.hash);
		free_item(&put->item);
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (xact_context == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		commit_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_level(GetCurrentTransactionNestLevel());
}

/* ---- commit ---- */

/* Before the commit can be seen.  An error here is still possible, and aborts. */
static void
before_commit(void)
{
	FullTransactionId xid = GetTopFullTransactionIdIfAny();
	slotset_iterator scan;
	SlotEntry  *entry;

	if (!FullTransactionIdIsValid(xid))
		xid = cache_last_xid();
	for (int i = 0; i < nprivates; i++)
		privates[i].allowed = put_is_allowed(&privates[i]);
	slotset_start_iterate(slots, &scan);
	while ((entry = slotset_iterate(slots, &scan)) != NULL)
	{
		cache_tag_mark(entry->slot, xid);
		entry->marked = true;
	}
	for (int i = 0; i < nops; i++)
	{
		if (ops[i].kind == OP_KEY)
			cache_store_delete(MyDatabaseId, &ops[i].name);
	}
}

/* Tell level 2, and do what is to be done besides numbering. */
static void
apply_op(const Op *op)
{
	uint64		position = 0;

	switch (op->kind)
	{
		case OP_TAG:
			position = cache_redis_queue_tag(MyDatabaseId, op->name.name, op->name.len);
			break;
		case OP_KEY:
			position = cache_redis_queue_key(&op->name, op->prefix);
			cache_store_delete(MyDatabaseId, &op->name);
			break;
		case OP_CLEAR:
			position = cache_redis_queue_all(MyDatabaseId);
			break;
		case OP_NAMESPACES:
			/* What is in level 2 may be under another prefix from now on, or be found again under an older one. */
			position = cache_redis_queue_all(MyDatabaseId);
			cache_namespace_changed();
			break;
	}
	cache_tag_set_queued(op->slot, position);
}

/* Remove what the patterns of all clears match; with many patterns simply everything, for nobody can cancel this. */
static void
apply_clears(void)
{
	SlotEntry  *entry = slotset_lookup(slots, cache_slot_of_database(MyDatabaseId));
	int			n = 0;

	for (int i = entry ? entry->last : NO_OP; i != NO_OP; i = ops[i].before)
		n += ops[i].kind == OP_CLEAR;
	if (n > MAX_CLEARS)
	{
		cache_store_clear(MyDatabaseId, NULL, 0);
		return;
	}
	for (int i = entry ? entry->last : NO_OP; i != NO_OP; i = ops[i].before)
	{
		if (ops[i].kind == OP_CLEAR)
			cache_store_clear(MyDatabaseId, ops[i].name.name, ops[i].name.len);
	}
}

/* Whether nobody but this transaction has invalidated the slot. */
static bool
slot_is_mine(CacheSlot slot, uint64 sequence)
{
	if (slotset_lookup(slots, slot) != NULL)
		return cache_tag_valid_but_mine(slot, sequence);
	return cache_tag_valid(slot, sequence);
}

static bool
put_is_mine(const Private *put)
{
	uint64		sequence = cache_lease_sequence(put->lease);

	if (!slot_is_mine(cache_slot_of_key(put->item.key.hash), sequence) ||
		!slot_is_mine(cache_slot_of_database(put->item.database), sequence))
		return false;
	for (int i = 0; i < put->item.nslots; i++)
	{
		if (!slot_is_mine(put->item.slots[i], sequence))
			return false;
	}
	return true;
}

/* Publish a value. */
static void
publish(const Private *put, TimestampTz now)
{
	CacheStored stored = CACHE_NO_ROOM;

	if (put->config.level1)
		stored = cache_lease_store(&put->item, put->only_if_absent ? CACHE_NONE : CACHE_ANY, &put->config, now);
	if (stored == CACHE_STORED || stored == CACHE_REPLACED)
		cache_count(put->item.nspace, CACHE_LEVEL1, CACHE_SETS, 1);
	else if (put->config.level1 && stored == CACHE_NO_ROOM)
		cache_count(put->item.nspace, CACHE_LEVEL1, CACHE_ERRORS, 1);
	if (!put->config.level2 || (stored != CACHE_STORED && stored != CACHE_REPLACED))
		return;
	cache_tag_set_queued(cache_slot_of_key(put->item.key.hash),
						 cache_redis_queue_put(&put->item.key, put->config.key_prefix));
}

/* Of the puts of one hash, publish the newest of each key, if it is allowed. */
static void
publish_newest(const PutEntry *entry, TimestampTz now)
{
	for (int i = entry->newest; i >= 0; i = privates[i].older)
	{
		int			newer = entry->newest;

		while (newer != i && !same_key(&privates[newer].item.key, &privates[i].item.key))
			newer = privates[newer].older;
		if (newer == i && privates[i].allowed)
			publish(&privates[i], now);
	}
}

/* After the commit can be seen: nothing here can fail. */
static void
after_commit(void)
{
	uint64		number = cache_tags_draw_number();
	TimestampTz now = nprivates > 0 ? apibase_clock_now() : 0;
	slotset_iterator slot_scan;
	putset_iterator put_scan;
	SlotEntry  *slot;
	PutEntry   *put;

	for (int i = 0; i < nprivates; i++)
	{
		privates[i].allowed = privates[i].allowed && put_is_mine(&privates[i]);
		privates[i].item.sequence = number;
	}
	for (int i = 0; i < nops; i++)
		apply_op(&ops[i]);
	apply_clears();
	slotset_start_iterate(slots, &slot_scan);
	while ((slot = slotset_iterate(slots, &slot_scan)) != NULL)
	{
		/* Another callback may have invalidated something after ours was called before the commit. */
		if (!slot->marked)
			cache_tag_mark(slot->slot, cache_last_xid());
		cache_tag_invalidated(slot->slot, number);
	}
	putset_start_iterate(putset, &put_scan);
	while ((put = putset_iterate(putset, &put_scan)) != NULL)
		publish_newest(put, now);
}

/* The transaction failed: the marks go, if there are any. */
static void
after_abort(void)
{
	slotset_iterator scan;
	SlotEntry  *entry;

	slotset_start_iterate(slots, &scan);
	while ((entry = slotset_iterate(slots, &scan)) != NULL)
	{
		if (entry->marked)
			cache_tag_unmark(entry->slot);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (xact_context == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_COMMIT:
			after_commit();
			end_transaction();
			break;
		case XACT_EVENT_ABORT:
			after_abort();
			end_transaction();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (nops > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot prepare a transaction that has invalidated or set cache entries"),
						 errdetail("Both take effect at commit, and a prepared transaction may be committed by another session."),
						 errhint("Commit it without PREPARE TRANSACTION.")));
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			end_transaction();
			break;
		default:
			break;
	}
}
