/*-------------------------------------------------------------------------
 *
 * bus_idempotency.c
 *	  The layer that runs a command once for each key.
 *
 * The table apibase_internal.idempotency has a row for each key that a caller has
 * used with a command.  A dispatch
 *
 *	1. claims the key: inserts the row, without a result.  Where another
 *	   transaction has just inserted it, the unique index makes this one wait
 *	   until that one ends;
 *	2. runs the command;
 *	3. writes the result into the row, or deletes the row if the result says that
 *	   trying again may give another one (status 500 and above, serialization failures).
 *
 * All this is in the transaction of the command's effects, at the level outside
 * of its subtransaction.  So the effects and the stored result commit
 * together or not at all, whatever crashes in between, and who waited either
 * finds the result or has the key for himself.
 *
 * Who finds a row returns its result (replayed), unless it was made for another
 * payload.  A row that has expired is taken over.  Each claim deletes a few
 * other expired rows, so that the table does not grow with what nobody asks
 * for any more; idempotency_prune() deletes more of them.
 *
 * Under REPEATABLE READ and above, a row that was committed after the
 * transaction's snapshot is a serialization failure, as it is for every INSERT.
 *
 * The table is the extension's, so its statements run with the rights of its owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/bus_impl.h"
#include "context/context.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/errors.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(apibase_bus_sql_idempotency_prune);

#define MAX_KEY		255			/* characters of a key */
#define MAX_SUBJECT 255			/* bytes of a subject that is stored as it is */
#define PRUNE_ROWS	2			/* expired rows that each claim deletes */
#define MAX_ROUNDS	10			/* of claiming, while others prune and take over the same row */

#define HEADER		"idempotency-key"

/* One dispatch with a key. */
typedef struct Claim
{
	ApibaseInvocation *invocation;
	Datum		row[3];			/* caller, message, key */
	Datum		fingerprint;
	TimestampTz now;
	bool		mine;			/* it is this dispatch that runs the command */
	ApibaseResult *result;
} Claim;

/* ---------- statements ---------- */

typedef enum Statement
{
	STATEMENT_INSERT,
	STATEMENT_FIND,
	STATEMENT_TAKE_OVER,
	STATEMENT_STORE,
	STATEMENT_DELETE,
	STATEMENT_PRUNE,
	STATEMENTS
} Statement;

#define THE_ROW \
	"caller OPERATOR(pg_catalog.=) $1 AND message OPERATOR(pg_catalog.=) $2 AND key OPERATOR(pg_catalog.=) $3"

/* $1 to $3 are the row, but for STATEMENT_PRUNE. */
static const struct
{
	const char *text;
	int			nargs;
	Oid			types[6];
}			statements[] = {

	[STATEMENT_INSERT] = {
		"INSERT INTO apibase_internal.idempotency (caller, message, key, fingerprint, created_at, expires_at)"
		" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (caller, message, key) DO NOTHING",
		6, {TEXTOID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	},
	[STATEMENT_FIND] = {
		"SELECT fingerprint, expires_at, ok, value, error FROM apibase_internal.idempotency WHERE " THE_ROW,
		3, {TEXTOID, TEXTOID, TEXTOID}
	},
	[STATEMENT_TAKE_OVER] = {
		"UPDATE apibase_internal.idempotency SET fingerprint = $4, created_at = $5, expires_at = $6,"
		" ok = NULL, value = NULL, error = NULL WHERE " THE_ROW " AND expires_at OPERATOR(pg_catalog.<=) $5",
		6, {TEXTOID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	},
	[STATEMENT_STORE] = {
		"UPDATE apibase_internal.idempotency SET ok = $4, value = $5, error = $6 WHERE " THE_ROW,
		6, {TEXTOID, TEXTOID, TEXTOID, BOOLOID, JSONBOID, JSONBOID}
	},
	[STATEMENT_DELETE] = {
		"DELETE FROM apibase_internal.idempotency WHERE " THE_ROW,
		3, {TEXTOID, TEXTOID, TEXTOID}
	},
	[STATEMENT_PRUNE] = {
		"DELETE FROM apibase_internal.idempotency WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT ctid FROM apibase_internal.idempotency WHERE expires_at OPERATOR(pg_catalog.<=) $1 AND ok IS NOT NULL"
		" ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
		2, {TIMESTAMPTZOID, INT8OID}
	},
};

StaticAssertDecl(lengthof(statements) == STATEMENTS, "every statement has a text");

/* Run a statement, in an SPI connection with the owner's rights; gives the number of rows. */
static uint64
execute(Statement statement, Datum *values, const char *nulls)
{
	static SPIPlanPtr plans[STATEMENTS];
	int			code;

	if (plans[statement] == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(statements[statement].text, statements[statement].nargs,
											  unconstify(Oid *, &statements[statement].types[0]), CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare a statement of idempotency: %s", SPI_result_code_string(SPI_result));
		plans[statement] = plan;
	}
	code = SPI_execute_plan(plans[statement], values, nulls, false, 0);
	if (code < 0)
		elog(ERROR, "a statement of idempotency failed: %s", SPI_result_code_string(code));
	return SPI_processed;
}

/* The owner of the table. */
static Oid
table_owner(void)
{
	Oid			relation = get_relname_relid("idempotency", get_namespace_oid("apibase_internal", false));
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", "apibase_internal.idempotency")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Within a level of settings. */
static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Let the planner use nothing but indexes, in their order: plans are kept, and one that was made while the table was
 * small, or not analyzed, would read all of it.
 */
static void
prefer_indexes(void)
{
	static const char *const off[] = {"enable_seqscan", "enable_bitmapscan", "enable_sort"};

	for (size_t i = 0; i < lengthof(off); i++)
		set_locally(off[i], "off");
}

/* Call fn(arg) in an SPI connection with the owner's rights.  An error leaves these to the abort of its (sub)transaction. */
static void
as_owner(void (*fn) (void *arg), void *arg)
{
	int			nest_level = NewGUCNestLevel();
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(table_owner(), security | SECURITY_LOCAL_USERID_CHANGE);
	prefer_indexes();
	SPI_connect();
	fn(arg);
	SPI_finish();
	AtEOXact_GUC(true, nest_level);
	SetUserIdAndSecContext(user, security);
}

/* ---------- claiming ---------- */

/* A jsonb of the row that was found, in the context of who called as_owner; NULL for a null. */
static Jsonb *
found_jsonb(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	struct varlena *flat;
	Jsonb	   *copy;

	if (isnull)
		return NULL;
	flat = PG_DETOAST_DATUM(value);
	copy = SPI_palloc(VARSIZE(flat));
	memcpy(copy, flat, VARSIZE(flat));
	return copy;
}

static bool
same_bytes(Datum a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2(byteaeq, a, b));
}

static void
pg_attribute_noreturn()
raise_in_flight(void)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_IDEMPOTENCY_KEY_IN_FLIGHT),
			 errmsg("another call with this idempotency key is still running")));
}

/* Let the result be that of the row.  False: it has expired, or is not there any more. */
static bool
replay(Claim *claim)
{
	HeapTuple	row;
	TupleDesc	desc;
	Datum		fingerprint;
	bool		ok;
	bool		isnull;

	if (execute(STATEMENT_FIND, claim->row, NULL) == 0)
		return false;
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	ok = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
	if (isnull)
		raise_in_flight();		/* it is the row of a handler further out */
	if (DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull)) <= claim->now)
		return false;
	fingerprint = SPI_getbinval(row, desc, 1, &isnull);
	if (!same_bytes(fingerprint, claim->fingerprint))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_IDEMPOTENCY_KEY_REUSED),
				 errmsg("this idempotency key was used with another payload")));
	*claim->result = (ApibaseResult)
	{
		.ok = ok,
			.replayed = true,
			.value = found_jsonb(4),
			.error = found_jsonb(5)
	};
	return true;
}

/* Delete expired rows that nobody is busy with, be it a handler further out, whose row has no result yet. */
static uint64
prune(TimestampTz now, int64 rows)
{
	Datum		values[2] = {TimestampTzGetDatum(now), Int64GetDatum(rows)};

	return execute(STATEMENT_PRUNE, values, NULL);
}

/* For as_owner: claim the key, or take its result. */
static void
claim_row(void *arg)
{
	Claim	   *claim = arg;
	int64		ttl = Min(claim->invocation->registered->idempotency_ttl, APIBASE_DURATION_MAX);
	Datum		values[6] = {
		claim->row[0], claim->row[1], claim->row[2], claim->fingerprint,
		TimestampTzGetDatum(claim->now), TimestampTzGetDatum(claim->now + ttl)
	};

	for (int round = 0; !claim->mine; round++)
	{
		CHECK_FOR_INTERRUPTS();
		if (round == MAX_ROUNDS)
			raise_in_flight();
		if (execute(STATEMENT_INSERT, values, NULL) > 0)
			claim->mine = true;
		else if (replay(claim))
			return;
		else
			claim->mine = execute(STATEMENT_TAKE_OVER, values, NULL) > 0;
	}
	/* under a snapshot, rows that others have pruned since would be serialization failures */
	if (!IsolationUsesXactSnapshot())
		(void) prune(claim->now, PRUNE_ROWS);
}

/* The name of a role: in quotes where it has anything else than what plain names have.  No setting matters. */
static void
append_role(StringInfo text, Oid role)
{
	const char *name = GetUserNameFromId(role, false);

	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0')
	{
		appendStringInfoString(text, name);
		return;
	}
	appendStringInfoChar(text, '"');
	for (const char *p = name; *p; p++)
	{
		if (*p == '"')
			appendStringInfoChar(text, '"');
		appendStringInfoChar(text, *p);
	}
	appendStringInfoChar(text, '"');
}

/* Who dispatches: the role, and after a space the subject of the claims where there is one. */
static char *
caller_text(Oid role)
{
	Jsonb	   *claims = apibase_context_document(APIBASE_CONTEXT_CLAIMS);
	JsonbValue	buf;
	JsonbValue *subject = claims ? getKeyJsonValueFromContainer(&claims->root, "sub", 3, &buf) : NULL;
	StringInfoData text;
	Jsonb	   *json;
	bytea	   *digest;
	int			start;

	initStringInfo(&text);
	append_role(&text, role);
	if (subject == NULL || subject->type == jbvNull)
		return text.data;
	start = text.len + 1;
	appendStringInfoChar(&text, ' ');
	json = JsonbValueToJsonb(subject);
	JsonbToCString(&text, &json->root, VARSIZE(json));
	if (text.len - start <= MAX_SUBJECT)
		return text.data;

	/* the index has no room for subjects of any length; JSON never begins with # */
	digest = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(text.data + start)));
	text.len = start;
	appendStringInfoChar(&text, '#');
	enlargeStringInfo(&text, VARSIZE_ANY_EXHDR(digest) * 2);
	text.len += hex_encode(VARDATA_ANY(digest), VARSIZE_ANY_EXHDR(digest), text.data + text.len);
	text.data[text.len] = '\0';
	return text.data;
}

/*
 * SHA-256 of the payload, whose members jsonb has in one order.  Made anew, with settings that are always the same: the
 * same values are another document in another time zone, and others may look the same with fewer digits.
 */
static Datum
payload_fingerprint(ApibaseInvocation *invocation)
{
	static const char *const settings[][2] = {
		{"TimeZone", "UTC"}, {"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"bytea_output", "hex"},
		{"extra_float_digits", "1"}, {"lc_monetary", "C"},
	};
	int			nest_level = NewGUCNestLevel();
	ApibaseToJsonb to_jsonb;
	Jsonb	   *payload;

	for (size_t i = 0; i < lengthof(settings); i++)
		set_locally(settings[i][0], settings[i][1]);
	apibase_to_jsonb_prepare(&to_jsonb, invocation->type, CurrentMemoryContext);
	payload = apibase_to_jsonb(&to_jsonb, invocation->message, false);
	AtEOXact_GUC(true, nest_level);
	return DirectFunctionCall1(sha256_bytea, PointerGetDatum(payload));
}

static bool
is_key(const char *key)
{
	size_t		len = strlen(key);

	for (size_t i = 0; i < len; i++)
	{
		if (key[i] < 0x21 || key[i] > 0x7e)
			return false;
	}
	return len >= 1 && len <= MAX_KEY;
}

/* For bus_in_time: it may have to wait for another transaction. */
static void
claim_as_owner(void *arg)
{
	as_owner(claim_row, arg);
}

/* Claim the key, or take its result.  An error may leave everything as it is: the subtransaction is the caller's. */
static void
claim_key(Claim *claim)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		bus_in_time(&claim->invocation->frame, claim_as_owner, claim);
	}
	PG_CATCH();
	{
		/* lock_timeout has ended the wait for the other transaction */
		if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		{
			MemoryContextSwitchTo(context);
			FlushErrorState();
			raise_in_flight();
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* ---------- storing ---------- */

/* Whether trying again with the same key should run the command again. */
static bool
is_passing(const ApibaseResult *result)
{
	int			sqlstate;

	if (result->ok)
		return false;
	sqlstate = apibase_problem_sqlstate(result->error);
	return apibase_problem_status(result->error) >= 500 || apibase_sqlstate_is_retryable(sqlstate) ||
		sqlstate == APIBASE_ERRCODE_IDEMPOTENCY_KEY_IN_FLIGHT;	/* of a command that the handler has dispatched */
}

/* For as_owner. */
static void
store_result(void *arg)
{
	Claim	   *claim = arg;
	const ApibaseResult *result = claim->result;
	Datum		values[6] = {
		claim->row[0], claim->row[1], claim->row[2],
		BoolGetDatum(result->ok), PointerGetDatum(result->value), PointerGetDatum(result->error)
	};
	char		nulls[7] = "      ";
	Statement	statement = is_passing(result) ? STATEMENT_DELETE : STATEMENT_STORE;

	if (!result->ok || result->value == NULL)
		nulls[4] = 'n';
	if (result->ok)
		nulls[5] = 'n';
	if (execute(statement, values, nulls) != 1)
		elog(ERROR, "the row of an idempotent command is not there any more");
}

void
bus_idempotency_run(ApibaseInvocation *invocation, void (*next) (void *arg, ApibaseResult *result), void *arg,
					ApibaseResult *result)
{
	const ApibaseFrame *frame = &invocation->frame;
	Claim		claim = {.invocation = invocation, .result = result};

	if (!is_key(frame->idempotency_key))
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_IDEMPOTENCY_KEY),
				 errmsg("an idempotency key must have 1 to %d visible ASCII characters", MAX_KEY)));
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("the result of an idempotent command cannot be kept in a read-only transaction")));
	claim.row[0] = CStringGetTextDatum(caller_text(frame->caller));
	claim.row[1] = CStringGetTextDatum(frame->name);
	claim.row[2] = CStringGetTextDatum(frame->idempotency_key);
	claim.fingerprint = payload_fingerprint(invocation);
	claim.now = apibase_clock_now();
	claim_key(&claim);
	if (!claim.mine)
		return;
	next(arg, result);
	/* what fails here undoes what next has done: no effect is there without its result */
	as_owner(store_result, &claim);
}

/* ---------- the header ---------- */

static void
pg_attribute_noreturn()
malformed_header(void)
{
	ereport(ERROR,
			(errcode(APIBASE_ERRCODE_INVALID_IDEMPOTENCY_KEY),
			 errmsg("malformed header Idempotency-Key"),
			 errdetail("It must be 1 to %d visible ASCII characters, in quotes (RFC 8941) or without.", MAX_KEY)));
}

/* The string of a structured field in place: its quotes and backslashes removed. */
static void
unquote(char *text)
{
	char	   *to = text;
	char	   *from = text + 1;

	for (; *from != '"'; from++)
	{
		if (*from == '\\' && *++from != '"' && *from != '\\')
			malformed_header();
		if (*from == '\0')
			malformed_header();
		*to++ = *from;
	}
	if (from[1] != '\0')
		malformed_header();
	*to = '\0';
}

char *
bus_idempotency_key_of_request(void)
{
	char	   *key = apibase_context_header(HEADER);
	size_t		len;

	if (key == NULL)
		return NULL;
	key += strspn(key, " \t");
	len = strlen(key);
	while (len > 0 && (key[len - 1] == ' ' || key[len - 1] == '\t'))
		key[--len] = '\0';
	if (key[0] == '"')
		unquote(key);
	if (!is_key(key))
		malformed_header();
	return key;
}

/* ---------- SQL ---------- */

typedef struct Pruning
{
	int64		rows;			/* at most; then, how many it were */
} Pruning;

/* For as_owner. */
static void
prune_rows(void *arg)
{
	Pruning    *pruning = arg;

	pruning->rows = prune(apibase_clock_now(), pruning->rows);
}

/* idempotency_prune(max_rows integer): delete expired results. */
Datum
apibase_bus_sql_idempotency_prune(PG_FUNCTION_ARGS)
{
	Pruning		pruning = {.rows = PG_GETARG_INT32(0)};

	if (pruning.rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must not be negative")));
	as_owner(prune_rows, &pruning);
	PG_RETURN_INT64(pruning.rows);
}
