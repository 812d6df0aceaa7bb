/*-------------------------------------------------------------------------
 *
 * uuid.c
 *	  UUIDs of version 7.
 *
 * The random bits come from a generator of this backend's that is seeded with
 * strong randomness once, so that an id costs nanoseconds.  Ids are names, not
 * secrets: who has seen some can compute others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/uuid.h"

#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/fmgrprotos.h"

/* The time and the counter of the last one: milliseconds << 12 | counter. */
static uint64 last = 0;

static pg_prng_state prng;
static bool seeded = false;

void
apibase_uuid7(pg_uuid_t *uuid)
{
	uint64		milliseconds = (uint64) (GetCurrentTimestamp() / 1000 +
										 (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000);
	uint64		random;

	if (!seeded)
	{
		if (!pg_prng_strong_seed(&prng))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		seeded = true;
	}

	/*
	 * A new millisecond begins with a random counter in the lower half; within one, and when the clock went back,
	 * count on.
	 */
	random = pg_prng_uint64(&prng);
	last = Max(last + 1, milliseconds << 12 | (random & 0x7ff));
	random = pg_prng_uint64(&prng);

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (unsigned char) (last >> (52 - 8 * i));
	uuid->data[6] = (unsigned char) (0x70 | ((last >> 8) & 0x0f));
	uuid->data[7] = (unsigned char) last;
	memcpy(uuid->data + 8, &random, sizeof(random));
	uuid->data[8] = (unsigned char) (0x80 | (uuid->data[8] & 0x3f));
}

char *
apibase_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}
