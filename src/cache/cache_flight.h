/*-------------------------------------------------------------------------
 *
 * cache_flight.h
 *	  Single flight: of those that miss a key together, one computes.
 *
 * A flight is a slot in shared memory with the hash of a key, its owner and a
 * condition variable.  Who finds no flight for the key starts one and owns it;
 * who finds one waits until it has landed, and then looks into the cache.
 * A flight ends with its owner's (sub)transaction at the latest, so an owner
 * that fails or dies wakes those who wait, and one of them takes over.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CACHE_FLIGHT_H
#define APIBASE_CACHE_FLIGHT_H

#include "postgres.h"

#include "storage/lwlock.h"

#include "cache/cache_key.h"

typedef enum CacheFlightOutcome
{
	CACHE_FLIGHT_MINE,			/* compute, then land */
	CACHE_FLIGHT_LANDED,		/* another's has ended, well or not: look again */
	CACHE_FLIGHT_TIMEOUT,		/* waited for as long as allowed: compute without a flight */
	CACHE_FLIGHT_ALONE,			/* compute without one: no slot is free, waiting would be waiting for oneself, or
								 * another's has ended without a value to share */
	CACHE_FLIGHT_BUSY,			/* another's is under way, and the caller did not want to wait */
} CacheFlightOutcome;

extern Size cache_flight_size(void);
extern void cache_flight_init(void *area, LWLock *lock, bool found);

/* Start or join.  limit: milliseconds to wait; 0: not at all.  Cancellable, obeys statement_timeout. */
extern CacheFlightOutcome cache_flight_begin(const ApibaseCacheKey *key, int limit);

/*
 * Mine has ended.  shared: its value can be found in the cache now, or could
 * be by the next who tries.  If not, those who wait compute at once, each for
 * itself, instead of one after the other.
 */
extern void cache_flight_land(const ApibaseCacheKey *key, bool shared);

/*
 * A number that changes when a flight of the key has landed (or one of another
 * key, seldom): who missed, and then owns a flight, must look again if it did.
 */
extern uint64 cache_flight_landings(const ApibaseCacheKey *key);

#endif							/* APIBASE_CACHE_FLIGHT_H */
