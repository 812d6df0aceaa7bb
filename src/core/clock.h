/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The clock that everything with a deadline or a time to live reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_CLOCK_H
#define APIBASE_CLOCK_H

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

/* Now, as the system's clock has it, plus the offset that a test has set. */
extern TimestampTz apibase_clock_now(void);

extern Size apibase_clock_shmem_size(void);
extern void apibase_clock_shmem_init(void *area, LWLockPadded *locks, bool found);

#endif							/* APIBASE_CLOCK_H */
