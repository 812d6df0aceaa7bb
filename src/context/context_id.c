/*-------------------------------------------------------------------------
 *
 * context_id.c
 *	  The id of the request.
 *
 * It is, in this order,
 *
 *	- the header that apibase.request_id_header names, if it is 1 to 200
 *	  visible ASCII characters: what comes from outside ends in logs and
 *	  headers, so anything else is ignored;
 *	- the trace id of the header traceparent, if that is valid (W3C Trace
 *	  Context);
 *	- made up, one for each transaction.
 *
 * A made-up id looks like a UUID version 7.  It must be the same for the whole
 * transaction, in its parallel workers too, and on a hot standby, so nothing
 * is drawn and stored: it is computed from what is the same in all of them and
 * different for any other transaction.  The start of the transaction gives the
 * time.  The rest is a hash of that start in microseconds, the process and
 * local transaction id of the lock group's leader (the leader of a parallel
 * query, otherwise the backend itself), the database and the system.  It can
 * be guessed, and is no secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "context/context.h"
#include "core/compat.h"
#include "core/guc.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define MAX_ID_LENGTH	200
#define TRACE_ID_LENGTH	32

static char *request_id_header;

PG_FUNCTION_INFO_V1(apibase_context_sql_id);

void
apibase_context_define_gucs(void)
{
	DefineCustomStringVariable("apibase.request_id_header",
							   "Name of the header that carries the id of a request.",
							   "Empty: no header is read.",
							   &request_id_header,
							   "x-request-id",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
}

/* Whether an id from outside can be taken as it is. */
static bool
id_is_sane(const char *id)
{
	size_t		len = strlen(id);

	if (len == 0 || len > MAX_ID_LENGTH)
		return false;
	for (const char *p = id; *p; p++)
	{
		if (*p <= 0x20 || *p >= 0x7f)
			return false;
	}
	return true;
}

/* Whether len characters are lower-case hexadecimal digits, and not all zero unless zero is allowed. */
static bool
is_hex(const char *text, int len, bool zero)
{
	for (int i = 0; i < len; i++)
	{
		bool		digit = text[i] >= '0' && text[i] <= '9';

		if (!digit && !(text[i] >= 'a' && text[i] <= 'f'))
			return false;
		if (text[i] != '0')
			zero = true;
	}
	return zero;
}

/* version-traceid-parentid-flags, and in versions to come perhaps more. */
bool
apibase_context_is_traceparent(const char *text)
{
	size_t		len = strlen(text);

	if (len < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-')
		return false;
	if (!is_hex(text, 2, true) || !is_hex(text + 3, TRACE_ID_LENGTH, false) ||
		!is_hex(text + 36, 16, false) || !is_hex(text + 53, 2, true))
		return false;
	if (strncmp(text, "ff", 2) == 0)
		return false;
	return len == 55 || (strncmp(text, "00", 2) != 0 && text[55] == '-');
}

char *
apibase_context_traceparent(void)
{
	char	   *header = apibase_context_header("traceparent");

	return header != NULL && apibase_context_is_traceparent(header) ? header : NULL;
}

/* The id of a transaction that serves a request without one. */
static char *
transaction_id(void)
{
	PGPROC	   *leader = MyProc->lockGroupLeader ? MyProc->lockGroupLeader : MyProc;
	TimestampTz start = GetCurrentTransactionStartTimestamp();
	uint64		msecs;
	uint64		high;
	uint64		low;
	struct
	{
		int64		start;
		uint64		system;
		int32		pid;
		uint32		lxid;
		uint32		database;
		uint32		unused;
	}			key = {0};

	key.start = start;
	key.system = GetSystemIdentifier();
	key.pid = leader->pid;
	key.lxid = APIBASE_PROC_LXID(leader);
	key.database = MyDatabaseId;

	high = hash_bytes_extended((unsigned char *) &key, sizeof(key), 1);
	low = hash_bytes_extended((unsigned char *) &key, sizeof(key), 2);
	msecs = (uint64) (start / 1000) +
		(uint64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	/* RFC 9562: 48 bits of time, version 7, 12 bits, variant 10, 62 bits */
	return psprintf("%08x-%04x-7%03x-%04x-%012llx",
					(unsigned int) ((msecs >> 16) & 0xffffffff),
					(unsigned int) (msecs & 0xffff),
					(unsigned int) (high & 0xfff),
					(unsigned int) (0x8000 | (low >> 50)),
					(unsigned long long) (low & UINT64CONST(0xffffffffffff)));
}

char *
apibase_context_request_id(void)
{
	char	   *header;

	if (request_id_header && request_id_header[0] != '\0')
	{
		header = apibase_context_header(request_id_header);
		if (header && id_is_sane(header))
			return header;
	}
	header = apibase_context_traceparent();
	return header ? pnstrdup(header + 3, TRACE_ID_LENGTH) : transaction_id();
}

/* apibase.request_id() */
Datum
apibase_context_sql_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(apibase_context_request_id()));
}
