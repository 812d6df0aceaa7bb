/*-------------------------------------------------------------------------
 *
 * spec_fuzz.c
 *	  libFuzzer target for what reads specifications: the language, the JSON
 *	  form, field paths, order-by lists and the stored form.
 *
 * The first byte of an input says what it is:
 *
 *	@ order-by list		% path (names fold)		^ path (exact names)
 *	{ JSON form			* stored form (the bytes after the varlena header)
 *	anything else: a specification as text
 *
 * What is accepted must come back the same by every way (text, JSON, stored
 * form, type functions); what is refused must be refused with an expected
 * SQLSTATE, a message in the project's style and a position within the input.
 * For each accepted specification damaged copies of its stored form are
 * decoded as well.  Everything else is for the sanitizers to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "spec/spec.h"
#include "utils/fmgrprotos.h"

#include "backend_shim.h"

extern Datum apibase_spec_in(PG_FUNCTION_ARGS);
extern Datum apibase_spec_out(PG_FUNCTION_ARGS);
extern Datum apibase_spec_recv(PG_FUNCTION_ARGS);
extern Datum apibase_spec_send(PG_FUNCTION_ARGS);
extern Datum apibase_spec_cmp(PG_FUNCTION_ARGS);
extern Datum apibase_spec_hash(PG_FUNCTION_ARGS);

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DAMAGED_COPIES	4

/* The settings: depth as it is by default, size small enough for inputs to reach the limit. */
int			apibase_spec_max_depth = 100;
int			apibase_spec_max_size = 2;

/* The input of one run; text is NUL-terminated valid UTF-8. */
typedef struct Input
{
	const uint8_t *data;
	size_t		size;
	char	   *text;
	ApibaseSpec *stored;		/* damaged copy to decode */
} Input;

/* ---------- comparing ---------- */

static char *
text_of(const ApibaseSpecNode *node)
{
	StringInfoData buf;

	initStringInfo(&buf);
	apibase_spec_append_text(&buf, node);
	return buf.data;
}

static void
must_equal(const char *what, const char *a, const char *b)
{
	if (strcmp(a, b) != 0)
		shim_fail("%s changed the specification\n  from: %s\n  to:   %s", what, a, b);
}

static void
must_equal_stored(const char *what, const ApibaseSpec *a, const ApibaseSpec *b)
{
	if (VARSIZE(a) != VARSIZE(b) || memcmp(a, b, VARSIZE(a)) != 0)
		shim_fail("%s changed the stored form of: %s", what, text_of(apibase_spec_decode(a)));
}

static void
count_clause(const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg)
{
	if (clause->kind != APIBASE_SPEC_CLAUSE || pointer == NULL)
		shim_fail("the visitor was called for what is no clause");
	++*(int *) arg;
}

static int
clauses_of(const ApibaseSpecNode *node)
{
	int			n = node->kind == APIBASE_SPEC_CLAUSE ? 1 : 0;
	ListCell   *lc;

	foreach(lc, node->args)
		n += clauses_of(lfirst(lc));
	return n;
}

/* ---------- round trips ---------- */

/* The stored form through the type's own functions: out, in, send, recv. */
static void
check_type_functions(ApibaseSpec *stored, const char *text)
{
	Datum		d = PointerGetDatum(stored);
	bytea	   *sent;
	StringInfoData message;

	must_equal("spec_out", text, DatumGetCString(DirectFunctionCall1(apibase_spec_out, d)));
	must_equal_stored("spec_in",
					  stored,
					  DatumGetApibaseSpecP(DirectFunctionCall1(apibase_spec_in, CStringGetDatum(text))));
	sent = DatumGetByteaPP(DirectFunctionCall1(apibase_spec_send, d));
	initStringInfo(&message);
	appendBinaryStringInfo(&message, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
	must_equal_stored("spec_recv",
					  stored,
					  DatumGetApibaseSpecP(DirectFunctionCall1(apibase_spec_recv, PointerGetDatum(&message))));
}

/* Comparison with itself read anew, and with another. */
static void
check_comparison(ApibaseSpec *stored, const char *text)
{
	Datum		d = PointerGetDatum(stored);
	Datum		same = DirectFunctionCall1(apibase_spec_in, CStringGetDatum(text));
	Datum		other = DirectFunctionCall1(apibase_spec_in, CStringGetDatum("price >= 10"));

	if (DatumGetInt32(DirectFunctionCall2(apibase_spec_cmp, d, same)) != 0 ||
		DirectFunctionCall1(apibase_spec_hash, d) != DirectFunctionCall1(apibase_spec_hash, same))
		shim_fail("not equal to itself: %s", text);
	if (DatumGetInt32(DirectFunctionCall2(apibase_spec_cmp, d, other)) !=
		-DatumGetInt32(DirectFunctionCall2(apibase_spec_cmp, other, d)))
		shim_fail("comparison is not antisymmetric: %s", text);
}

/* All that holds for any specification that was accepted. */
static ApibaseSpec *
check_tree(const ApibaseSpecNode *node)
{
	ApibaseSpec *stored = apibase_spec_encode(node);
	char	   *text = text_of(node);
	int			clauses = 0;

	must_equal("reading the canonical text", text, text_of(apibase_spec_parse(text)));
	must_equal_stored("reading the canonical text", stored, apibase_spec_encode(apibase_spec_parse(text)));
	must_equal("decoding", text, text_of(apibase_spec_decode(stored)));
	must_equal_stored("decoding", stored, apibase_spec_encode(apibase_spec_decode(stored)));
	must_equal_stored("the JSON form",
					  stored,
					  apibase_spec_encode(apibase_spec_from_jsonb(apibase_spec_to_jsonb(node))));
	check_type_functions(stored, text);
	check_comparison(stored, text);
	if (apibase_spec_tree_depth(node) > apibase_spec_max_depth)
		shim_fail("depth %d was accepted, the limit is %d", apibase_spec_tree_depth(node), apibase_spec_max_depth);
	apibase_spec_visit(node, count_clause, &clauses);
	if (clauses != clauses_of(node))
		shim_fail("the visitor saw %d clauses of %d", clauses, clauses_of(node));
	return stored;
}

/* ---------- the kinds of input ---------- */

static void
run_text(void *arg)
{
	Input	   *input = arg;

	input->stored = check_tree(apibase_spec_parse(input->text));
}

static void
run_json(void *arg)
{
	Input	   *input = arg;
	Datum		json = DirectFunctionCall1(jsonb_in, CStringGetDatum(input->text));

	input->stored = check_tree(apibase_spec_from_jsonb(DatumGetJsonbP(json)));
}

static void
run_path(void *arg)
{
	Input	   *input = arg;
	bool		fold = input->data[0] == '%';
	List	   *path = apibase_spec_parse_path(input->text, fold);
	StringInfoData once;
	StringInfoData twice;

	initStringInfo(&once);
	apibase_spec_append_path(&once, path, fold);
	initStringInfo(&twice);
	apibase_spec_append_path(&twice, apibase_spec_parse_path(once.data, fold), fold);
	must_equal("reading the path", once.data, twice.data);
	(void) strlen(apibase_spec_path_text(path));
}

static void
run_order(void *arg)
{
	Input	   *input = arg;
	ListCell   *lc;

	foreach(lc, apibase_spec_parse_order(input->text))
	{
		ApibaseSpecOrder *item = lfirst(lc);

		if (item->path == NIL)
			shim_fail("an item of an order-by list without a path");
		(void) strlen(apibase_spec_path_text(item->path));
	}
}

/*
 * What decodes must be a whole tree: it prints, and is stored again as the same bytes (but for the number of
 * parameters in the header, which need not be the least).  Its strings can be anything, so they are not read.
 */
static void
run_stored(void *arg)
{
	Input	   *input = arg;
	size_t		size = VARSIZE(input->stored);
	ApibaseSpecNode *node = apibase_spec_decode(input->stored);
	ApibaseSpec *again;

	(void) text_of(node);
	again = apibase_spec_encode(node);
	if (VARSIZE(again) != size || memcmp(again->data, input->stored->data, size - offsetof(ApibaseSpec, data)) != 0)
		shim_fail("storing again changed the stored form of: %s", text_of(node));
}

/* ---------- errors ---------- */

static bool
expected_sqlstate(const Input *input, int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case APIBASE_ERRCODE_SPECIFICATION_TOO_DEEP:
		case APIBASE_ERRCODE_SPECIFICATION_TOO_LARGE:
		case ERRCODE_STATEMENT_TOO_COMPLEX:
			return true;
		case APIBASE_ERRCODE_INVALID_SPECIFICATION:
			return true;
		case ERRCODE_NULL_VALUE_NOT_ALLOWED:
			return strchr("@%^", input->data[0]) == NULL;
		case APIBASE_ERRCODE_INVALID_ORDER_BY:
			return input->data[0] == '@';
		case ERRCODE_DATA_CORRUPTED:
			return input->data[0] == '*' || input->stored != NULL;
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
			return input->data[0] != '*';
		case ERRCODE_INVALID_TEXT_REPRESENTATION:	/* jsonb_in's own */
		case ERRCODE_UNTRANSLATABLE_CHARACTER:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return input->data[0] == '{';
		default:
			return false;
	}
}

/* An error must be one that a user can understand. */
static void
check_error(const Input *input)
{
	const ErrorData *e = shim_error();
	size_t		len;

	if (!expected_sqlstate(input, e->sqlerrcode))
		shim_fail("unexpected SQLSTATE %s at %s:%d: %s",
				  unpack_sql_state(e->sqlerrcode), e->filename, e->lineno, e->message);
	len = e->message ? strlen(e->message) : 0;
	if (len == 0 || e->message[len - 1] == '.' || (e->message[0] >= 'A' && e->message[0] <= 'Z' &&
												   e->message[1] >= 'a' && e->message[1] <= 'z'))
		shim_fail("message is not in the project's style: %s", e->message);
	if (!pg_verify_mbstr(PG_UTF8, e->message, len, true) ||
		(e->detail && !pg_verify_mbstr(PG_UTF8, e->detail, strlen(e->detail), true)))
		shim_fail("message or detail splits a character: %s", e->message);
	if (input->text && (e->cursorpos < 0 || (size_t) e->cursorpos > strlen(input->text) + 1))
		shim_fail("position %d in a text of %zu bytes", e->cursorpos, strlen(input->text));
}

/* ---------- running ---------- */

/* The text of an input: up to the first NUL, with bytes that are no UTF-8 replaced. */
static char *
make_text(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);
	size_t		len = 0;

	while (len < size && data[len] != '\0')
	{
		int			n = pg_utf_mblen(data + len);

		if (len + n <= size && pg_utf8_islegal(data + len, n))
			memcpy(text + len, data + len, n);
		else
		{
			n = 1;
			text[len] = '?';
		}
		len += n;
	}
	text[len] = '\0';
	return realloc(text, len + 1);	/* exact, so that an overrun shows */
}

/* A stored form of exactly these bytes. */
static ApibaseSpec *
make_stored(const uint8_t *data, size_t size)
{
	ApibaseSpec *stored = malloc(VARHDRSZ + size);

	SET_VARSIZE(stored, VARHDRSZ + size);
	memcpy((char *) stored + VARHDRSZ, data, size);
	return stored;
}

static void
decode_damaged(Input *input, const ApibaseSpec *stored)
{
	uint32		seed = 2166136261u;

	for (size_t i = 0; i < input->size; i++)
		seed = (seed ^ input->data[i]) * 16777619u;
	for (int i = 0; i < DAMAGED_COPIES; i++)
	{
		size_t		size = VARSIZE(stored) - VARHDRSZ;
		ApibaseSpec *copy;

		seed = seed * 1664525u + 1013904223u;
		if (i == 0)
			size = (seed >> 8) % size;	/* cut off */
		copy = make_stored((const uint8_t *) stored + VARHDRSZ, size);
		if (i > 0)
			((char *) copy)[VARHDRSZ + (seed >> 8) % size] ^= 1 << (seed % 8);
		input->stored = copy;
		if (!shim_try(run_stored, input))
			check_error(input);
		free(copy);
	}
}

static void
run(Input *input, void (*fn) (void *arg))
{
	if (shim_try(fn, input))
	{
		if (input->stored != NULL)
			decode_damaged(input, input->stored);
	}
	else
		check_error(input);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	shim_init();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {data, size, NULL, NULL};

	if (size == 0)
		return 0;
	if (data[0] == '*')
	{
		input.stored = make_stored(data + 1, size - 1);
		if (!shim_try(run_stored, &input))
			check_error(&input);
		free(input.stored);
	}
	else if (strchr("@%^", data[0]) != NULL)
	{
		input.text = make_text(data + 1, size - 1);
		run(&input, data[0] == '@' ? run_order : run_path);
	}
	else
	{
		input.text = make_text(data, size);
		run(&input, data[0] == '{' ? run_json : run_text);
	}
	free(input.text);
	shim_reset();
	return 0;
}
