/*-------------------------------------------------------------------------
 *
 * decorate_key.c
 *	  Keys made of the arguments of a call, or of the columns of a row.
 *
 * A key is text:
 *
 *	fn:app.quote(16421.<state>)7,'3:abc,x0b00,~@16384.16384.10.<environment>;<setting>
 *
 * The function and its state come first, so that a function that is altered or
 * replaced has other keys.  Then there is each argument by the image that it has
 * in memory: a number where it is passed by value, the length and the bytes of a
 * text, other bytes in hexadecimal, a row column by column, ~ for NULL.  Values
 * with different images have different keys, also where the type has them for
 * equal (1.0 and 1.00): functions can tell them apart.  No other function is
 * called for this, so nothing depends on settings.
 *
 * Then the collation, if it is not the default one: c950.
 *
 * Then, unless the key is for everybody, what results are known to depend on:
 * roles, claims, and settings, as a digest.  It is made only when one of these
 * has changed since the last call.  A key for everybody has the schemas of the
 * search path (/2200): else anybody could let the function find tables of his own,
 * and so choose what everybody gets.  A function with its own SET search_path has
 * the same in all sessions.
 *
 * A key that would be too long for the cache keeps its first part; the rest is
 * the SHA-256 of all.
 *
 * What is not made by a call of a decorated function, but by a function that is
 * given a row, has a key of the same form, with a word for what it is and the row's
 * columns in place of arguments:
 *
 *	fn:app.handle_get_order(16421.<state>)query:7,'3:abc,@16384.16384.10.<environment>
 *
 * No decorated call has such a key: in none does a word with a colon follow the state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "pgtime.h"
#include "tsearch/ts_cache.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/typcache.h"
#include "utils/xml.h"

#include "cache/cache.h"
#include "decorate/decorate_chain.h"

/* Declared in utils/pg_locale.h, which wants the headers of ICU too. */
extern PGDLLIMPORT char *locale_monetary;
extern PGDLLIMPORT char *locale_numeric;
extern PGDLLIMPORT char *locale_time;

/* The setting in which PostgREST leaves the claims of the request. */
#define CLAIMS_SETTING	"request.jwt.claims"

/* ---------- pieces ---------- */

void
decorate_digest(const void *data, Size len, uint8 *digest)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, data, len) < 0 ||
		pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(context));
	pg_cryptohash_free(context);
}

static void
append_hex(StringInfo key, const void *bytes, Size len)
{
	enlargeStringInfo(key, len * 2);
	hex_encode(bytes, len, key->data + key->len);
	key->len += len * 2;
	key->data[key->len] = '\0';
}

static void
append_number(StringInfo key, int64 number)
{
	enlargeStringInfo(key, MAXINT8LEN + 1);
	key->len += pg_lltoa(number, key->data + key->len);
}

static void
append_text(StringInfo key, const char *bytes, int len)
{
	appendStringInfoChar(key, '\'');
	append_number(key, len);
	appendStringInfoChar(key, ':');
	appendBinaryStringInfo(key, bytes, len);
}

/* ---------- arguments ---------- */

static void append_value(StringInfo key, const DecorateType *type, Datum value);

/* Columns of a row.  What an anonymous row looks like belongs to its value. */
static void
append_row(StringInfo key, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	bool		anonymous = HeapTupleHeaderGetTypeId(header) == RECORDOID;

	heap_deform_tuple(&tuple, desc, values, nulls);
	appendStringInfoChar(key, '(');
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		DecorateType type;

		if (att->attisdropped)
			continue;
		if (anonymous)
		{
			append_text(key, NameStr(att->attname), strlen(NameStr(att->attname)));
			append_number(key, att->atttypid);
			appendStringInfoChar(key, '=');
		}
		if (nulls[i])
			appendStringInfoChar(key, '~');
		else
		{
			decorate_describe_type(&type, att->atttypid);
			append_value(key, &type, values[i]);
		}
		appendStringInfoChar(key, ',');
	}
	appendStringInfoChar(key, ')');
	ReleaseTupleDesc(desc);
}

/* An array of anonymous rows: its shape, then the rows. */
static void
append_rows(StringInfo key, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, RECORDOID, -1, false, TYPALIGN_DOUBLE, &values, &nulls, &n);
	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		appendStringInfoChar(key, '[');
		append_number(key, ARR_LBOUND(array)[i]);
		appendStringInfoChar(key, '+');
		append_number(key, ARR_DIMS(array)[i]);
		appendStringInfoChar(key, ']');
	}
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			appendStringInfoChar(key, '~');
		else
			append_row(key, values[i]);
	}
}

static void
append_by_value(StringInfo key, int16 typlen, Datum value)
{
	switch (typlen)
	{
		case 1:
			append_number(key, (int8) DatumGetChar(value));
			break;
		case 2:
			append_number(key, DatumGetInt16(value));
			break;
		case 4:
			append_number(key, DatumGetInt32(value));
			break;
		default:
			append_number(key, DatumGetInt64(value));
			break;
	}
}

static void
append_value(StringInfo key, const DecorateType *type, Datum value)
{
	struct varlena *bytes;

	switch (type->form)
	{
		case DECORATE_NUMBER:
			append_by_value(key, type->typlen, value);
			return;
		case DECORATE_ROW:
			append_row(key, value);
			return;
		case DECORATE_ROWS:
			append_rows(key, value);
			return;
		case DECORATE_TEXT:
		case DECORATE_BYTES:
			break;
	}
	if (type->typlen > 0)
	{
		appendStringInfoChar(key, 'x');
		append_hex(key, DatumGetPointer(value), type->typlen);
		return;
	}
	if (type->typlen == -2)		/* a string, as a literal without a type is one for "any" and in ROW() */
	{
		append_text(key, DatumGetCString(value), strlen(DatumGetCString(value)));
		return;
	}
	bytes = PG_DETOAST_DATUM_PACKED(value);
	if (type->form == DECORATE_TEXT)
		append_text(key, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	else
	{
		appendStringInfoChar(key, 'x');
		append_hex(key, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

static void
append_arguments(StringInfo key, const ApibaseDecoratedCall *call, const Bitmapset *args)
{
	const DecorateTypes *types = call->site->types;
	FunctionCallInfo fcinfo = call->fcinfo;

	for (int i = 0; i < fcinfo->nargs; i++)
	{
		if (args && i < call->function->nargs && !bms_is_member(i, args))
			continue;
		if (fcinfo->args[i].isnull)
			appendStringInfoChar(key, '~');
		else if (OidIsValid(types->args[i].type))
			append_value(key, &types->args[i], fcinfo->args[i].value);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine the type of argument %d of function %s", i + 1, call->function->name)));
		appendStringInfoChar(key, ',');
	}
}

/* ---------- environment ---------- */

/* Settings that results may depend on. */
typedef struct Environment
{
	int			numbers[9];
	const char *texts[7];		/* NULL: not set */
} Environment;

static void
look_around(Environment *environment)
{
	environment->numbers[0] = DateStyle;
	environment->numbers[1] = DateOrder;
	environment->numbers[2] = IntervalStyle;
	environment->numbers[3] = extra_float_digits;
	environment->numbers[4] = bytea_output;
	environment->numbers[5] = xmlbinary;
	environment->numbers[6] = xmloption;
	environment->numbers[7] = Array_nulls;
	environment->numbers[8] = row_security;
	environment->texts[0] = namespace_search_path;
	environment->texts[1] = pg_get_timezone_name(session_timezone);
	environment->texts[2] = TSCurrentConfig;
	environment->texts[3] = locale_monetary;
	environment->texts[4] = locale_numeric;
	environment->texts[5] = locale_time;
	environment->texts[6] = GetConfigOption(CLAIMS_SETTING, true, false);
}

/* Whether it is what an image was made of. */
static bool
same_environment(const Environment *environment, const StringInfoData *image)
{
	const char *p = image->data + sizeof(environment->numbers);

	if (image->len == 0 || memcmp(environment->numbers, image->data, sizeof(environment->numbers)) != 0)
		return false;
	for (size_t i = 0; i < lengthof(environment->texts); i++)
	{
		const char *text = environment->texts[i];

		if (*p++ != (text ? '+' : '-'))
			return false;
		if (text == NULL)
			continue;
		/* both end with a zero byte, so neither is read beyond its end */
		if (strcmp(p, text) != 0)
			return false;
		p += strlen(text) + 1;
	}
	return true;
}

static void
make_environment_image(const Environment *environment, StringInfo image)
{
	appendBinaryStringInfo(image, (const char *) environment->numbers, sizeof(environment->numbers));
	for (size_t i = 0; i < lengthof(environment->texts); i++)
	{
		appendStringInfoChar(image, environment->texts[i] ? '+' : '-');
		if (environment->texts[i])
			appendBinaryStringInfo(image, environment->texts[i], strlen(environment->texts[i]) + 1);
	}
}

static void
append_environment(StringInfo key)
{
	static StringInfoData last = {NULL};
	static char hex[PG_SHA256_DIGEST_LENGTH * 2];
	Environment environment;

	appendStringInfoChar(key, '@');
	append_number(key, GetUserId());
	appendStringInfoChar(key, '.');
	append_number(key, GetOuterUserId());
	appendStringInfoChar(key, '.');
	append_number(key, GetSessionUserId());
	appendStringInfoChar(key, '.');

	if (last.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&last);
		MemoryContextSwitchTo(old);
	}
	look_around(&environment);
	if (!same_environment(&environment, &last))
	{
		StringInfoData image;
		uint8		digest[PG_SHA256_DIGEST_LENGTH];

		initStringInfo(&image);
		make_environment_image(&environment, &image);
		decorate_digest(image.data, image.len, digest);
		resetStringInfo(&last); /* nothing, until it is complete */
		enlargeStringInfo(&last, image.len);
		hex_encode((char *) digest, sizeof(digest), hex);
		appendBinaryStringInfo(&last, image.data, image.len);
	}
	appendBinaryStringInfo(key, hex, sizeof(hex));
}

static void
append_search_path(StringInfo key)
{
	List	   *path = fetch_search_path(false);
	ListCell   *lc;

	foreach(lc, path)
	{
		appendStringInfoChar(key, '/');
		append_number(key, lfirst_oid(lc));
	}
	list_free(path);
}

/* ---------- all together ---------- */

/*
 * What follows the values in the key that begins at start: whom it is for.  A key
 * that is too long then keeps its prefix.
 */
static void
finish_key(StringInfo key, int start, int prefix_len, ApibaseDecorateScope scope, const List *vary)
{
	ListCell   *lc;

	if (scope == APIBASE_DECORATE_ROLE)
		append_environment(key);
	else
		append_search_path(key);
	foreach(lc, vary)
	{
		const char *value = GetConfigOption(lfirst(lc), true, true);

		appendStringInfoChar(key, ';');
		if (value)
			append_text(key, value, strlen(value));
	}
	if (key->len - start > APIBASE_CACHE_MAX_KEY)
	{
		uint8		digest[PG_SHA256_DIGEST_LENGTH];

		decorate_digest(key->data + start, key->len - start, digest);
		key->len = start + prefix_len;
		appendStringInfoChar(key, '#');
		append_hex(key, digest, sizeof(digest));
	}
}

void
apibase_decorate_key(StringInfo key, const ApibaseDecoratedCall *call, const Bitmapset *args,
					 ApibaseDecorateScope scope, const List *vary)
{
	const DecorateTypes *types = call->site->types;
	int			start = key->len;

	appendBinaryStringInfo(key, types->prefix, types->prefix_len);
	append_arguments(key, call, args);
	if (OidIsValid(call->fcinfo->fncollation) && call->fcinfo->fncollation != DEFAULT_COLLATION_OID)
	{
		appendStringInfoChar(key, 'c');
		append_number(key, call->fcinfo->fncollation);
	}
	finish_key(key, start, types->prefix_len, scope, vary);
}

/* ---------- of a row ---------- */

struct ApibaseRowKey
{
	uint64		generation;		/* decorate_generation when it was made */
	char	   *prefix;
	int			prefix_len;
	ApibaseDecorateScope scope;
	TupleDesc	desc;
	Datum	   *values;			/* room for a row */
	bool	   *nulls;
	int			ncolumns;
	int		   *columns;		/* numbers (from 0) of those that belong to the key */
	DecorateType *types;		/* of these */
};

/* The column of that name, from 0. */
static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("type %s has no field \"%s\" to make keys of", format_type_be(desc->tdtypeid), name)));
}

/* Which columns belong to the key. */
static void
choose_columns(ApibaseRowKey *row, const List *names)
{
	ListCell   *lc;

	row->columns = palloc((Max(row->desc->natts, list_length(names)) + 1) * sizeof(int));
	foreach(lc, names)
		row->columns[row->ncolumns++] = find_column(row->desc, lfirst(lc));
	for (int i = 0; names == NIL && i < row->desc->natts; i++)
	{
		if (!TupleDescAttr(row->desc, i)->attisdropped)
			row->columns[row->ncolumns++] = i;
	}
	row->types = palloc((row->ncolumns + 1) * sizeof(DecorateType));
	for (int i = 0; i < row->ncolumns; i++)
		decorate_describe_type(&row->types[i], TupleDescAttr(row->desc, row->columns[i])->atttypid);
}

ApibaseRowKey *
apibase_row_key_make(const char *kind, FmgrInfo *function, Oid type, const List *columns, ApibaseDecorateScope scope)
{
	LOCAL_FCINFO(fcinfo, 1);
	ApibaseRowKey *row = palloc0(sizeof(ApibaseRowKey));
	DecorateChain *chain;
	DecorateTypes *types;

	/* before anything is looked up: what changes meanwhile makes it outdated */
	row->generation = decorate_generation;
	chain = decorate_chain_get(function->fn_oid);
	InitFunctionCallInfoData(*fcinfo, function, 1, InvalidOid, NULL, NULL);
	types = decorate_types_get(fcinfo, chain);
	row->prefix = psprintf("%s%s:", types->prefix, kind);
	row->prefix_len = strlen(row->prefix);
	row->scope = scope;
	row->desc = lookup_rowtype_tupdesc_copy(type, -1);
	row->values = palloc((row->desc->natts + 1) * sizeof(Datum));
	row->nulls = palloc((row->desc->natts + 1) * sizeof(bool));
	choose_columns(row, columns);
	return row;
}

bool
apibase_row_key_is_valid(const ApibaseRowKey *row)
{
	return row->generation == decorate_generation;
}

void
apibase_row_key_append(StringInfo key, ApibaseRowKey *row, HeapTupleHeader header)
{
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	int			start = key->len;

	heap_deform_tuple(&tuple, row->desc, row->values, row->nulls);
	appendBinaryStringInfo(key, row->prefix, row->prefix_len);
	for (int i = 0; i < row->ncolumns; i++)
	{
		int			column = row->columns[i];

		if (row->nulls[column])
			appendStringInfoChar(key, '~');
		else
			append_value(key, &row->types[i], row->values[column]);
		appendStringInfoChar(key, ',');
	}
	finish_key(key, start, row->prefix_len, row->scope, NIL);
}
