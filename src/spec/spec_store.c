/*-------------------------------------------------------------------------
 *
 * spec_store.c
 *	  The stored form of specifications: trees to bytes and back.
 *
 * The stored form is the tree in preorder.  Counts, lengths and numbers are
 * varints: seven bits a byte, lowest first, the high bit set on all but the
 * last.  A string is its length and its bytes.
 *
 *	node	byte: kind, plus NODE_FLAG for true or negated
 *			CLAUSE: byte operator; count of steps, steps; count of values, values
 *			AND, OR: count of arguments, arguments
 *			NOT: argument
 *	step	string of a name: length * 2, bytes; an index: zigzag * 2 + 1
 *	value	byte: kind
 *			NUMBER, STRING: string
 *			TYPED: string of the schema (empty: pg_catalog), string of the name, string
 *			ARRAY: count of elements, elements
 *			PARAM: number
 *
 * One tree has one encoding, so comparing encodings compares structures.
 * Decoding checks every length against what is left, every number against its
 * range and the invariants of the tree: damaged data is an error, no crash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "core/errors.h"
#include "spec/spec.h"

#define NODE_FLAG	0x10
#define NODE_KIND	0x0f

/* ---------- encoding ---------- */

static void
put_number(StringInfo buf, uint32 number)
{
	while (number >= 0x80)
	{
		appendStringInfoCharMacro(buf, (char) (number | 0x80));
		number >>= 7;
	}
	appendStringInfoCharMacro(buf, (char) number);
}

static void
put_string(StringInfo buf, const char *string)
{
	size_t		length = strlen(string);

	put_number(buf, (uint32) length);
	appendBinaryStringInfo(buf, string, (int) length);
}

static void
put_step(StringInfo buf, const ApibaseSpecStep *step)
{
	if (step->name)
	{
		size_t		length = strlen(step->name);

		put_number(buf, (uint32) length * 2);
		appendBinaryStringInfo(buf, step->name, (int) length);
	}
	else
	{
		uint32		magnitude = step->index < 0 ? -(step->index + 1) : step->index;

		put_number(buf, (magnitude * 2 + (step->index < 0)) * 2 + 1);
	}
}

static void
put_value(StringInfo buf, const ApibaseSpecValue *value, int *nparams)
{
	ListCell   *lc;

	appendStringInfoCharMacro(buf, (char) value->kind);
	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			break;
		case APIBASE_SPEC_NUMBER:
		case APIBASE_SPEC_STRING:
			put_string(buf, value->text);
			break;
		case APIBASE_SPEC_TYPED:
			put_string(buf, value->type_schema ? value->type_schema : "");
			put_string(buf, value->type_name);
			put_string(buf, value->text);
			break;
		case APIBASE_SPEC_ARRAY:
			put_number(buf, list_length(value->elements));
			foreach(lc, value->elements)
				put_value(buf, lfirst(lc), nparams);
			break;
		case APIBASE_SPEC_PARAM:
			put_number(buf, value->param);
			*nparams = Max(*nparams, value->param);
			break;
	}
}

static void
put_node(StringInfo buf, const ApibaseSpecNode *node, int *nparams)
{
	ListCell   *lc;
	bool		flag = node->kind == APIBASE_SPEC_BOOL ? node->value : node->negated;

	check_stack_depth();
	appendStringInfoCharMacro(buf, (char) (node->kind | (flag ? NODE_FLAG : 0)));
	switch (node->kind)
	{
		case APIBASE_SPEC_BOOL:
			return;
		case APIBASE_SPEC_CLAUSE:
			appendStringInfoCharMacro(buf, (char) node->op);
			put_number(buf, list_length(node->path));
			foreach(lc, node->path)
				put_step(buf, lfirst(lc));
			put_number(buf, list_length(node->values));
			foreach(lc, node->values)
				put_value(buf, lfirst(lc), nparams);
			return;
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			put_number(buf, list_length(node->args));
			break;
		case APIBASE_SPEC_NOT:
			break;
	}
	foreach(lc, node->args)
		put_node(buf, lfirst(lc), nparams);
}

/* Raise PB012 for a text of this length, if it is too long. */
void
apibase_spec_check_size(size_t length)
{
	if (length > (size_t) apibase_spec_max_size * 1024)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_SPECIFICATION_TOO_LARGE),
				 errmsg("specification is too large"),
				 errdetail("It has %zu bytes as text.", length),
				 errhint("The limit is %d kB, set by apibase.spec_max_size.", apibase_spec_max_size)));
}

/*
 * Check depth and size of a tree.  The size that counts is that of the text,
 * so that whatever can be stored can be dumped and restored.  A stored byte
 * makes at most TEXT_PER_BYTE bytes of text ("false and " is the worst), so
 * small ones need not be printed for that.
 */
#define TEXT_PER_BYTE 16

static void
check_limits(const ApibaseSpecNode *node, size_t encoded_length)
{
	int			depth = apibase_spec_tree_depth(node);
	StringInfoData text;

	if (depth > apibase_spec_max_depth)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_SPECIFICATION_TOO_DEEP),
				 errmsg("specification is nested too deeply"),
				 errdetail("It is %d deep.", depth),
				 errhint("The limit is %d, set by apibase.spec_max_depth.", apibase_spec_max_depth)));
	if (encoded_length > (size_t) apibase_spec_max_size * 1024 / TEXT_PER_BYTE)
	{
		initStringInfo(&text);
		apibase_spec_append_text(&text, node);
		apibase_spec_check_size(text.len);
		pfree(text.data);
	}
}

/* The stored form of a tree, if it is within the limits. */
ApibaseSpec *
apibase_spec_encode(const ApibaseSpecNode *node)
{
	StringInfoData buf;
	ApibaseSpec *spec;
	ApibaseSpec header = {.version = APIBASE_SPEC_VERSION};
	int			nparams = 0;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (const char *) &header, offsetof(ApibaseSpec, data));
	put_node(&buf, node, &nparams);
	check_limits(node, buf.len);
	spec = (ApibaseSpec *) buf.data;
	spec->nparams = (uint16) nparams;
	SET_VARSIZE(spec, buf.len);
	return spec;
}

/* ---------- decoding ---------- */

typedef struct Reader
{
	const unsigned char *at;
	const unsigned char *end;
	int			nparams;
} Reader;

static void
corrupted(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("stored specification is damaged")));
}

static inline int
get_byte(Reader *reader)
{
	if (reader->at >= reader->end)
		corrupted();
	return *reader->at++;
}

static uint32
get_number(Reader *reader)
{
	uint64		number = 0;

	for (int shift = 0; shift < 35; shift += 7)
	{
		int			byte = get_byte(reader);

		number |= (uint64) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			if (number > PG_UINT32_MAX || (byte == 0 && shift > 0))
				break;
			return (uint32) number;
		}
	}
	corrupted();
	return 0;					/* keep compiler quiet */
}

/* A count of things that take a byte or more each. */
static int
get_count(Reader *reader)
{
	uint32		count = get_number(reader);

	if (count > (size_t) (reader->end - reader->at))
		corrupted();
	return (int) count;
}

static char *
get_bytes(Reader *reader, uint32 length)
{
	char	   *string;

	if (length > (size_t) (reader->end - reader->at) || memchr(reader->at, '\0', length))
		corrupted();
	string = pnstrdup((const char *) reader->at, length);
	reader->at += length;
	return string;
}

static char *
get_string(Reader *reader)
{
	return get_bytes(reader, get_number(reader));
}

/* A name of a step or type, which is never empty. */
static char *
get_name(Reader *reader, uint32 length)
{
	if (length == 0)
		corrupted();
	return get_bytes(reader, length);
}

static ApibaseSpecStep *
get_step(Reader *reader)
{
	uint32		number = get_number(reader);
	uint32		index = number >> 1;

	if (number & 1)
		return apibase_spec_make_step(NULL, index & 1 ? -(int32) (index >> 1) - 1 : (int32) (index >> 1));
	return apibase_spec_make_step(get_name(reader, index), 0);
}

static ApibaseSpecValue *
get_value(Reader *reader, bool element)
{
	ApibaseSpecValue *value = apibase_spec_make_value(get_byte(reader));

	switch (value->kind)
	{
		case APIBASE_SPEC_NULL:
		case APIBASE_SPEC_TRUE:
		case APIBASE_SPEC_FALSE:
			return value;
		case APIBASE_SPEC_NUMBER:
			value->text = get_string(reader);
			if (value->text[0] == '\0' || value->text[strspn(value->text, "-.0123456789e")] != '\0')
				break;
			return value;
		case APIBASE_SPEC_STRING:
			value->text = get_string(reader);
			return value;
		case APIBASE_SPEC_TYPED:
			value->type_schema = get_string(reader);
			if (*value->type_schema == '\0')
				value->type_schema = NULL;
			value->type_name = get_name(reader, get_number(reader));
			value->text = get_string(reader);
			return value;
		case APIBASE_SPEC_ARRAY:
			if (element)
				break;
			for (int n = get_count(reader); n > 0; n--)
				value->elements = lappend(value->elements, get_value(reader, true));
			return value;
		case APIBASE_SPEC_PARAM:
			value->param = (int) get_number(reader);
			if (value->param < 1 || value->param > reader->nparams)
				break;
			return value;
	}
	corrupted();
	return NULL;				/* keep compiler quiet */
}

static void
get_clause(Reader *reader, ApibaseSpecNode *node)
{
	int			op = get_byte(reader);
	int			nsteps = get_count(reader);
	int			nvalues;

	if (op >= APIBASE_SPEC_NOPS || nsteps == 0)
		corrupted();
	node->op = op;
	while (nsteps-- > 0)
		node->path = lappend(node->path, get_step(reader));
	if (((ApibaseSpecStep *) linitial(node->path))->name == NULL)
		corrupted();
	nvalues = get_count(reader);
	if (!apibase_spec_op_takes(node->op, nvalues))
		corrupted();
	while (nvalues-- > 0)
	{
		ApibaseSpecValue *value = get_value(reader, false);

		if (value->kind == APIBASE_SPEC_NULL && op != APIBASE_SPEC_IN)
			corrupted();
		node->values = lappend(node->values, value);
	}
}

static ApibaseSpecNode *
get_node(Reader *reader, ApibaseSpecKind parent)
{
	int			byte = get_byte(reader);
	ApibaseSpecNode *node = palloc0(sizeof(ApibaseSpecNode));
	int			nargs = 1;

	check_stack_depth();
	if (byte & ~(NODE_KIND | NODE_FLAG))
		corrupted();
	node->kind = byte & NODE_KIND;
	switch (node->kind)
	{
		case APIBASE_SPEC_BOOL:
			node->value = (byte & NODE_FLAG) != 0;
			return node;
		case APIBASE_SPEC_CLAUSE:
			node->negated = (byte & NODE_FLAG) != 0;
			get_clause(reader, node);
			return node;
		case APIBASE_SPEC_AND:
		case APIBASE_SPEC_OR:
			nargs = get_count(reader);
			if (nargs < 2 || parent == node->kind)
				corrupted();
			break;
		case APIBASE_SPEC_NOT:
			if (parent == APIBASE_SPEC_NOT)
				corrupted();
			break;
		default:
			corrupted();
	}
	if (byte & NODE_FLAG)
		corrupted();
	while (nargs-- > 0)
		node->args = lappend(node->args, get_node(reader, node->kind));
	if (node->kind == APIBASE_SPEC_NOT)
	{
		ApibaseSpecKind negated = ((ApibaseSpecNode *) linitial(node->args))->kind;

		if (negated != APIBASE_SPEC_AND && negated != APIBASE_SPEC_OR)
			corrupted();
	}
	return node;
}

/* The tree of a stored specification, with no pointer into it. */
ApibaseSpecNode *
apibase_spec_decode(const ApibaseSpec *spec)
{
	Reader		reader;
	ApibaseSpecNode *node;

	if (VARSIZE(spec) < offsetof(ApibaseSpec, data))
		corrupted();
	if (spec->version != APIBASE_SPEC_VERSION || spec->flags != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored specification has unknown version %d", spec->version)));
	reader.at = (const unsigned char *) spec->data;
	reader.end = (const unsigned char *) spec + VARSIZE(spec);
	reader.nparams = spec->nparams;
	node = get_node(&reader, APIBASE_SPEC_BOOL);
	if (reader.at != reader.end)
		corrupted();
	return node;
}
