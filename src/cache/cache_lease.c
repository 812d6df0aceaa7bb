/*-------------------------------------------------------------------------
 *
 * cache_lease.c
 *	  Leases: what a value to be put must be consistent with.
 *
 * A lease keeps the number that the sequence of invalidations had, and what
 * of the snapshot decides whether it sees a transaction.  (A snapshot itself
 * is not kept: that would hold back vacuum until the end of the transaction.)
 * Leases that were taken with the same snapshot share its copy.
 *
 * A miss leaves its lease to the next put of the same key.  What is kept for
 * that is bounded: when there are too many, puts of keys whose lease was
 * dropped get the oldest lease of the transaction, which is stricter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/cache_xact.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "storage/procarray.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define MAX_REMEMBERED	1024

/* Transactions that began after a snapshot, to be looked at one by one; if there are more, they are taken to have ended. */
#define MAX_LOOKED_AT	64

/* What a snapshot does not see: xid >= xmax, and those in xip. */
typedef struct LeaseSnapshot
{
	FullTransactionId xmin;
	FullTransactionId xmax;
	bool		recovery;		/* taken on a standby, without xip */
	uint32		xcnt;
	TransactionId xip[FLEXIBLE_ARRAY_MEMBER];
} LeaseSnapshot;

struct ApibaseCacheLease
{
	uint64		sequence;
	bool		recovery;		/* taken on a standby, where replication invalidates nothing */
	LeaseSnapshot *snapshot;	/* NULL: there was none, it will be a later one */
};

typedef struct Remembered
{
	uint64		hash;			/* of the key; keys that collide share the older lease */
	ApibaseCacheLease *lease;
	bool		refused;		/* a put was refused under it */
} Remembered;

/* All in TopTransactionContext. */
static LeaseSnapshot *last_snapshot;
static HTAB *remembered;
static ApibaseCacheLease *oldest;	/* when some had to be dropped */
static LocalTransactionId lease_lxid = InvalidLocalTransactionId;

/* Forget what a former transaction left: its memory is gone. */
static void
start_transaction(void)
{
	LocalTransactionId lxid = APIBASE_PROC_LXID(MyProc);

	if (lease_lxid == lxid)
		return;
	lease_lxid = lxid;
	last_snapshot = NULL;
	remembered = NULL;
	oldest = NULL;
}

/* The full form of an id that is not in the future, and not long past. */
static FullTransactionId
full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();

	if (!TransactionIdIsNormal(xid))
		return FirstNormalFullTransactionId;
	return FullTransactionIdFromU64(U64FromFullTransactionId(next) - (uint32) (XidFromFullTransactionId(next) - xid));
}

/* A copy of what counts of a snapshot, or the last one if that says the same. */
static LeaseSnapshot *
copy_snapshot(Snapshot snapshot)
{
	uint32		xcnt = snapshot->takenDuringRecovery ? 0 : snapshot->xcnt;
	LeaseSnapshot *copy;

	if (last_snapshot != NULL && last_snapshot->xcnt == xcnt &&
		last_snapshot->recovery == snapshot->takenDuringRecovery &&
		XidFromFullTransactionId(last_snapshot->xmax) == snapshot->xmax &&
		XidFromFullTransactionId(last_snapshot->xmin) == snapshot->xmin &&
		(xcnt == 0 || memcmp(last_snapshot->xip, snapshot->xip, xcnt * sizeof(TransactionId)) == 0))
		return last_snapshot;

	copy = MemoryContextAlloc(TopTransactionContext, offsetof(LeaseSnapshot, xip) + xcnt * sizeof(TransactionId));
	copy->xmin = full_xid(snapshot->xmin);
	copy->xmax = full_xid(snapshot->xmax);
	copy->recovery = snapshot->takenDuringRecovery;
	copy->xcnt = xcnt;
	if (xcnt > 0)
		memcpy(copy->xip, snapshot->xip, xcnt * sizeof(TransactionId));
	last_snapshot = copy;
	return copy;
}

FullTransactionId
cache_snapshot_xmin(void)
{
	return full_xid(GetActiveSnapshot()->xmin);
}

ApibaseCacheLease *
cache_lease_take(void)
{
	ApibaseCacheLease *lease;

	start_transaction();
	lease = MemoryContextAlloc(TopTransactionContext, sizeof(ApibaseCacheLease));
	lease->sequence = cache_tags_sequence();
	lease->recovery = RecoveryInProgress();
	lease->snapshot = ActiveSnapshotSet() ? copy_snapshot(GetActiveSnapshot()) : NULL;
	return lease;
}

uint64
cache_lease_sequence(const ApibaseCacheLease *lease)
{
	return lease->sequence;
}

/* Make a lease at least as old as another, in both parts. */
static void
age(ApibaseCacheLease *lease, const ApibaseCacheLease *other)
{
	LeaseSnapshot *mine = lease->snapshot;
	LeaseSnapshot *its = other->snapshot;

	lease->sequence = Min(lease->sequence, other->sequence);
	if (its != NULL &&
		(mine == NULL || FullTransactionIdPrecedes(its->xmax, mine->xmax) ||
		 (FullTransactionIdEquals(its->xmax, mine->xmax) && its->xcnt > mine->xcnt)))
		lease->snapshot = its;
}

/* Too many: from now on one lease, the oldest, stands for all. */
static void
forget_all(void)
{
	HASH_SEQ_STATUS scan;
	Remembered *entry;

	oldest = cache_lease_take();
	hash_seq_init(&scan, remembered);
	while ((entry = hash_seq_search(&scan)) != NULL)
		age(oldest, entry->lease);
	hash_destroy(remembered);
	remembered = NULL;
}

void
cache_lease_remember(const ApibaseCacheKey *key, ApibaseCacheLease *lease)
{
	Remembered *entry;
	bool		found;

	start_transaction();
	if (oldest == NULL && remembered == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(uint64), .entrysize = sizeof(Remembered), .hcxt = TopTransactionContext};

		remembered = hash_create("apibase cache leases", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (oldest != NULL)
	{
		age(oldest, lease);
		return;
	}
	entry = hash_search(remembered, &key->hash, HASH_ENTER, &found);
	if (!found || entry->refused)
		entry->lease = lease;
	entry->refused = false;
	if (hash_get_num_entries(remembered) >= MAX_REMEMBERED)
		forget_all();
}

ApibaseCacheLease *
cache_lease_of(const ApibaseCacheKey *key)
{
	Remembered *entry = NULL;

	start_transaction();
	if (remembered != NULL)
		entry = hash_search(remembered, &key->hash, HASH_FIND, NULL);
	return entry ? entry->lease : oldest;
}

void
cache_lease_refused(const ApibaseCacheKey *key, ApibaseCacheLease *lease)
{
	Remembered *entry;

	cache_lease_remember(key, lease);
	entry = remembered ? hash_search(remembered, &key->hash, HASH_FIND, NULL) : NULL;
	if (entry != NULL)
	{
		entry->lease = lease;
		entry->refused = true;
	}
}

void
cache_lease_forget(const ApibaseCacheKey *key)
{
	start_transaction();
	if (remembered != NULL)
		hash_search(remembered, &key->hash, HASH_REMOVE, NULL);
}

/* Whether a transaction that the snapshot does not see may have invalidated something: whether it has ended since. */
static bool
ended_since(TransactionId xid)
{
	return !TransactionIdIsInProgress(xid);
}

/*
 * Whether the snapshot sees all transactions that have invalidated a slot,
 * of which xid is the largest.  Of the smaller ones nothing is known, so any
 * that has ended since the snapshot was taken may have been one.  (One that
 * has not ended is no matter: if it invalidates, it is still to be marked.)
 */
static bool
snapshot_sees(const LeaseSnapshot *snapshot, FullTransactionId xid)
{
	TransactionId largest = XidFromFullTransactionId(xid);
	uint64		beyond;

	if (!FullTransactionIdIsValid(xid) || FullTransactionIdPrecedes(xid, snapshot->xmin))
		return true;
	if (snapshot->recovery)
		return false;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
	{
		if (TransactionIdPrecedesOrEquals(snapshot->xip[i], largest) && ended_since(snapshot->xip[i]))
			return false;
	}
	if (FullTransactionIdPrecedes(xid, snapshot->xmax))
		return true;
	beyond = U64FromFullTransactionId(xid) - U64FromFullTransactionId(snapshot->xmax);
	if (beyond >= MAX_LOOKED_AT)
		return false;
	for (uint64 i = 0; i <= beyond; i++)
	{
		TransactionId later = largest - (TransactionId) i;

		if (TransactionIdIsNormal(later) && ended_since(later))
			return false;
	}
	return true;
}

bool
cache_lease_allows(const ApibaseCacheLease *lease, CacheSlot slot)
{
	if (lease->recovery && !RecoveryInProgress())
		return false;
	return cache_tag_valid(slot, lease->sequence) &&
		(lease->snapshot == NULL || snapshot_sees(lease->snapshot, cache_tag_xid(slot)));
}

/* ---- storing ---- */

typedef struct CurrentCheck
{
	uint64		sequence;
	CacheSlot	key;
	CacheSlot	database;
} CurrentCheck;

/*
 * Under the lock: whether the key has been deleted, or the database cleared,
 * since.  (Tags are looked at by every get; these are not, so a put and a
 * delete exclude each other.)
 */
static bool
is_current(void *arg)
{
	CurrentCheck *check = arg;

	return cache_tag_valid(check->key, check->sequence) && cache_tag_valid(check->database, check->sequence);
}

CacheStored
cache_lease_store(const CacheItem *item, uint64 expected, const CacheNamespaceConfig *config, TimestampTz now)
{
	CurrentCheck check = {
		.sequence = item->sequence,
		.key = cache_slot_of_key(item->key.hash),
		.database = cache_slot_of_database(item->database),
	};

	return cache_store_set(item, expected, config->max_entries, config->max_bytes, is_current, &check, now);
}
