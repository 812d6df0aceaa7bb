/*-------------------------------------------------------------------------
 *
 * cache_xact.h
 *	  What the current transaction has invalidated and put, and leases.
 *
 * Everything here is this backend's own and follows transactions and
 * subtransactions: what a rolled back savepoint did is forgotten.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_XACT_H
#define APIBASE_CACHE_XACT_H

#include "postgres.h"

#include "cache/cache_namespace.h"
#include "cache/cache_store.h"
#include "core/compat.h"

/* ---- cache_xact.c: to be done at commit ---- */
extern void cache_xact_invalidate(const char *tag, int len);
extern void cache_xact_delete(const ApibaseCacheKey *key);
extern void cache_xact_clear(const char *pattern, int len);
extern void cache_xact_namespaces_changed(void);

/* Whether a get of the key, or of an entry with these slots, must miss because of what this transaction did. */
extern bool cache_xact_bypasses_key(const ApibaseCacheKey *key);
extern bool cache_xact_not_bypassed(const CacheSlot *slots, int nslots);	/* for cache_store_get */

/* Whether this transaction has invalidated anything, so that the two above have to be asked. */
extern bool cache_xact_pending(void);

/* Whether what is put now stays private until commit: whether this transaction has written or invalidated anything. */
extern bool cache_xact_is_private(void);

/*
 * Put privately; copies.  replaces: what the key has now is over in any case.  It is published at commit if the lease then still
 * allows, as far as others have invalidated anything.  False if there is no
 * room for more.
 */
extern bool cache_xact_put(const CacheItem *item, const ApibaseCacheLease *lease, bool only_if_absent, bool replaces,
						   const CacheNamespaceConfig *config);

/*
 * What was put privately; false if nothing was.  NULL if that was invalidated
 * since, by whomsoever: then there is nothing.  Valid until the end of the
 * subtransaction.
 */
extern bool cache_xact_get(const ApibaseCacheKey *key, const CacheItem **item);

/* New times for what was put privately; false if nothing was, otherwise *touched is whether it is still to be used. */
extern bool cache_xact_touch(const ApibaseCacheKey *key, TimestampTz expires, TimestampTz dies, bool *touched);

/* ---- cache_lease.c ---- */

/* What the active snapshot sees all transactions before. */
extern FullTransactionId cache_snapshot_xmin(void);

extern ApibaseCacheLease *cache_lease_take(void);
extern uint64 cache_lease_sequence(const ApibaseCacheLease *lease);

/* Keep it for the next put of this key in this transaction; the earlier of two counts. */
extern void cache_lease_remember(const ApibaseCacheKey *key, ApibaseCacheLease *lease);
extern ApibaseCacheLease *cache_lease_of(const ApibaseCacheKey *key);
extern void cache_lease_forget(const ApibaseCacheKey *key);

/* A put was refused under the lease: it stays the one of the key, until the next miss. */
extern void cache_lease_refused(const ApibaseCacheKey *key, ApibaseCacheLease *lease);

/* Whether a value that depends on the slot may be put under the lease.  Not under a lock. */
extern bool cache_lease_allows(const ApibaseCacheLease *lease, CacheSlot slot);

/* Store in level 1, if neither the key was deleted nor its database cleared after item->sequence.  Cannot fail. */
extern CacheStored cache_lease_store(const CacheItem *item, uint64 expected, const CacheNamespaceConfig *config,
									 TimestampTz now);

#endif							/* APIBASE_CACHE_XACT_H */
