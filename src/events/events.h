/*-------------------------------------------------------------------------
 *
 * events.h
 *	  Domain events: emitted in a transaction, handled in it by subscribers, and
 *	  left in the outbox for everybody else, in the order of commits.
 *
 * The order of commits
 *
 * A row of apibase.outbox is inserted when the event is emitted.  It names its
 * transaction by a number drawn for it (batch) and its place in it (ordinal).
 * Just before the commit the transaction draws a position and inserts it with its batch
 * into apibase_internal.outbox_commit.  Who reads orders by that position.
 *
 * Why nothing comes after what it caused: who has seen an effect of
 * another's has seen it after that one's commit, so after it had drawn its
 * position; and draws its own position later.  (A sequence or a transaction id that
 * is drawn at the first write does not have this property.)
 *
 * Why nothing is skipped: a transaction announces in shared memory that
 * it will draw a position before it draws it, and takes that back when its
 * commit can be seen by everybody or it has aborted.  A reader
 *
 *	1. reads the last position that was drawn (from the sequence itself),
 *	2. reads the announcements, and takes the lowest: the horizon is what is below,
 *	3. takes a new snapshot and reads up to the horizon.
 *
 * Each position up to that of step 1 was announced before it was drawn.  So in step 2 it
 * is either still announced, and then the horizon is below it; or its
 * transaction has ended, and the snapshot of step 3 sees it if it has committed.
 * An announcement is a lower bound (the last position drawn before it, plus
 * one) until the position is known: too low is always safe.
 *
 * What a crash, a standby, a prepared transaction and a dump do to this is told in docs/events.md.
 *
 * The parts, lower ones first:
 *
 *	events_table.c		the tables and sequences: which they are, inserting rows
 *	events_position.c	announcements in shared memory, the horizon, the commit
 *	events_outbox.c		reading the outbox
 *	events_registry.c	what a backend knows of types and subscriptions
 *	events_register.c	declaring events, subscribing
 *	events_subscribe.c	calling subscribers
 *	events_emit.c		emit()
 *	events_record.c		events that accumulate for an aggregate
 *	events.c			settings
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_EVENTS_H
#define APIBASE_EVENTS_H

#include "core/module.h"

extern void apibase_events_define_gucs(void);
extern Size apibase_events_shmem_size(void);
extern void apibase_events_shmem_init(void *area, LWLockPadded *locks, bool found);

#endif							/* APIBASE_EVENTS_H */
