/*-------------------------------------------------------------------------
 *
 * uuid.h
 *	  UUIDs of version 7 (RFC 9562): ordered by time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_UUID_H
#define APIBASE_UUID_H

#include "utils/uuid.h"

/*
 * A new one, of the present time.  Each is greater than those that this backend has
 * made before (method 1 of RFC 9562, section 6.2: 12 bits are a counter within the
 * millisecond, which borrows from the next when they do not suffice).
 */
extern void apibase_uuid7(pg_uuid_t *uuid);

/* As text, palloc'd. */
extern char *apibase_uuid_text(const pg_uuid_t *uuid);

#endif							/* APIBASE_UUID_H */
