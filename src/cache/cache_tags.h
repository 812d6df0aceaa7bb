/*-------------------------------------------------------------------------
 *
 * cache_tags.h
 *	  When each tag was last invalidated.  (See cache.h for the idea.)
 *
 * A fixed table of slots; a tag is the slot that its hash falls on.  All
 * operations are atomic, take no lock and cannot fail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_TAGS_H
#define APIBASE_CACHE_TAGS_H

#include "postgres.h"

#include "cache/cache_key.h"

#include "access/transam.h"
#include "utils/snapshot.h"

/* Number of a slot. */
typedef uint32 CacheSlot;

extern Size cache_tags_size(void);
extern void cache_tags_init(void *area, bool found);

/* The slot of a tag of a database, of a key, and of the database itself (what cache_clear invalidates). */
extern CacheSlot cache_slot_of_tag(Oid database, const char *tag, int len);
extern CacheSlot cache_slot_of_key(uint64 key_hash);
extern CacheSlot cache_slot_of_database(Oid database);

/*
 * The tag "a:*" of all parts of "a", into all_parts, for a tag "a:b" (a name
 * ends at its first colon): its length, 0 if the tag is no part of anything.
 * Who invalidates either reaches who depends on the other.
 */
extern int	cache_tag_of_parts(const char *tag, int len, char all_parts[APIBASE_CACHE_MAX_TAG + 2]);

/* The number of the last invalidation in this server. */
extern uint64 cache_tags_sequence(void);

/*
 * Committing: mark before the commit can be seen, with the transaction's id;
 * one without invalidates for all that have come before (cache_last_xid):
 * it may be about what one of them wrote.  Afterwards draw a number and give it to all slots, which takes
 * the marks away; or, aborted, only take the marks away.
 */
extern void cache_tag_mark(CacheSlot slot, FullTransactionId xid);
extern FullTransactionId cache_last_xid(void);
extern uint64 cache_tags_draw_number(void);
extern void cache_tag_invalidated(CacheSlot slot, uint64 number);
extern void cache_tag_unmark(CacheSlot slot);

/* As cache_tag_valid(), by who has marked the slot itself: nobody else must have. */
extern bool cache_tag_valid_but_mine(CacheSlot slot, uint64 sequence);

/* An invalidation that no transaction of this server commits: another node's. */
extern void cache_tag_invalidate_now(CacheSlot slot);
extern void cache_tags_invalidate_all(void);

/* Whether an entry with this lease number may be used, as far as this slot goes. */
extern bool cache_tag_valid(CacheSlot slot, uint64 sequence);

/* A hint that one of these is asked soon. */
extern void cache_tag_expect(CacheSlot slot);

/* Whether somebody is committing an invalidation of it. */
extern bool cache_tag_marked(CacheSlot slot);

/* The largest transaction id that has invalidated it, or InvalidFullTransactionId. */
extern FullTransactionId cache_tag_xid(CacheSlot slot);

/*
 * Level 2: the position in the queue of the last invalidation that is to be
 * sent, see cache_redis.h; 0, where there is no queue, changes nothing.
 */
extern void cache_tag_set_queued(CacheSlot slot, uint64 position);
extern uint64 cache_tag_queued(CacheSlot slot);

/*
 * How many entries depend on it.  Not exact while an invalidation is under
 * way, until the next one.
 */
extern void cache_tag_entry_added(CacheSlot slot);
extern void cache_tag_entry_removed(CacheSlot slot, uint64 sequence);
extern uint64 cache_tag_entries(CacheSlot slot);

#endif							/* APIBASE_CACHE_TAGS_H */
