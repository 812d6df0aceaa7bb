/*-------------------------------------------------------------------------
 *
 * spec_parse.c
 *	  The way into the parser, its keywords and its errors.
 *
 * A parse has no state outside of its ApibaseSpecParser, the scanner included,
 * and takes all memory from the current context: an error leaves nothing
 * behind.  An error of the language names the place in four ways: the token in
 * the message; line and character in the detail, under them the line itself
 * (an excerpt where it is long) and a caret below the token.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "core/errors.h"
#include "spec/spec_parse.h"

#include "spec/spec_gram.h"

/* of the scanner, which has no header */
extern int	apibase_spec_yylex_init_extra(ApibaseSpecParser *parser, void **scanner);
extern void *apibase_spec_yy_scan_buffer(char *base, size_t size, void *scanner);
extern int	apibase_spec_yylex_destroy(void *scanner);

/* How much of a token and of a line an error shows, in characters. */
#define TOKEN_SHOWN 40
#define LINE_SHOWN_BEFORE 60
#define LINE_SHOWN_AFTER 30

typedef struct Keyword
{
	const char *word;
	int			token;
	bool		reserved;		/* cannot be the first name of a field unless quoted */
} Keyword;

static const Keyword spec_keywords[] = {
	{"and", AND, true},
	{"array", ARRAY, false},
	{"between", BETWEEN, true},
	{"contained_by", CONTAINED_BY, false},
	{"contains", CONTAINS, false},
	{"false", FALSE_P, true},
	{"ilike", ILIKE, true},
	{"in", IN, true},
	{"is", IS, true},
	{"like", LIKE, true},
	{"not", NOT, true},
	{"null", NULL_P, true},
	{"or", OR, true},
	{"overlaps", OVERLAPS, false},
	{"starts_with", STARTS_WITH, false},
	{"true", TRUE_P, true}
};

static const Keyword order_keywords[] = {
	{"asc", ASC, true},
	{"desc", DESC, true},
	{"first", FIRST, false},
	{"last", LAST, false},
	{"nulls", NULLS, true}
};

/* SQL's names of types whose own names differ; longer ones first come as several words. */
static const char *const type_aliases[][2] = {
	{"bigint", "int8"},
	{"bit varying", "varbit"},
	{"boolean", "bool"},
	{"char", "bpchar"},
	{"character", "bpchar"},
	{"character varying", "varchar"},
	{"dec", "numeric"},
	{"decimal", "numeric"},
	{"double precision", "float8"},
	{"float", "float8"},
	{"int", "int4"},
	{"integer", "int4"},
	{"real", "float4"},
	{"smallint", "int2"},
	{"time with time zone", "timetz"},
	{"time without time zone", "time"},
	{"timestamp with time zone", "timestamptz"},
	{"timestamp without time zone", "timestamp"}
};

/* What the text of each mode is called in messages. */
static const char *const mode_names[] = {
	[APIBASE_SPEC_PARSE_SPEC] = "specification",
	[APIBASE_SPEC_PARSE_PATH] = "field",
	[APIBASE_SPEC_PARSE_ORDER] = "order-by list",
	[APIBASE_SPEC_PARSE_TYPE] = "type name"
};

/* Whether word, in any case, is the keyword. */
static bool
same_word(const char *word, int length, const char *keyword)
{
	for (int i = 0; i < length; i++)
	{
		char		c = word[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c != keyword[i])	/* also at keyword's end */
			return false;
	}
	return keyword[length] == '\0';
}

/* The keyword in a table that a word is, or NULL. */
static const Keyword *
find_keyword(const Keyword *keywords, size_t count, const char *word, int length)
{
	for (size_t i = 0; i < count; i++)
	{
		if (same_word(word, length, keywords[i].word))
			return &keywords[i];
	}
	return NULL;
}

/* For the scanner: the token of a keyword in this mode, or 0. */
int
apibase_spec_keyword(ApibaseSpecParseMode mode, const char *word, int length, const char **spelling)
{
	const Keyword *keyword = NULL;

	if (mode == APIBASE_SPEC_PARSE_SPEC)
		keyword = find_keyword(spec_keywords, lengthof(spec_keywords), word, length);
	else if (mode == APIBASE_SPEC_PARSE_ORDER)
		keyword = find_keyword(order_keywords, lengthof(order_keywords), word, length);
	if (keyword == NULL)
		return 0;
	*spelling = keyword->word;
	return keyword->token;
}

/* Whether a name is a keyword of the language. */
bool
apibase_spec_is_keyword(const char *name, bool reserved_only)
{
	const Keyword *keyword = find_keyword(spec_keywords, lengthof(spec_keywords), name, (int) strlen(name));

	return keyword && (keyword->reserved || !reserved_only);
}

/* The name in pg_catalog of a type that SQL also calls by another, or NULL. */
const char *
apibase_spec_type_alias(const char *name)
{
	for (size_t i = 0; i < lengthof(type_aliases); i++)
	{
		if (strcmp(name, type_aliases[i][0]) == 0)
			return type_aliases[i][1];
	}
	return NULL;
}

/* Run the parser over a text. */
static void
parse(ApibaseSpecParser *parser, ApibaseSpecParseMode mode, const char *text, bool fold, const char *member)
{
	size_t		length = strlen(text);
	void	   *scanner;

	apibase_spec_check_size(length);
	memset(parser, 0, sizeof(*parser));
	parser->mode = mode;
	parser->fold = fold;
	parser->text = text;
	parser->member = member;

	/* flex scans a buffer in place when two NULs end it */
	parser->buffer = palloc(length + 2);
	memcpy(parser->buffer, text, length);
	parser->buffer[length] = parser->buffer[length + 1] = '\0';

	apibase_spec_yylex_init_extra(parser, &scanner);
	apibase_spec_yy_scan_buffer(parser->buffer, length + 2, scanner);
	if (apibase_spec_yyparse(parser, scanner) != 0)
		elog(ERROR, "parser stack overflow");
	apibase_spec_yylex_destroy(scanner);
	pfree(parser->buffer);
}

/* A specification in text form; empty is true. */
ApibaseSpecNode *
apibase_spec_parse(const char *text)
{
	ApibaseSpecParser parser;

	parse(&parser, APIBASE_SPEC_PARSE_SPEC, text, true, NULL);
	return parser.node;
}

/* The path of a field. */
List *
apibase_spec_parse_path(const char *text, bool fold)
{
	ApibaseSpecParser parser;

	parse(&parser, APIBASE_SPEC_PARSE_PATH, text, fold, NULL);
	return parser.list;
}

/* An order-by list; NIL when it is empty. */
List *
apibase_spec_parse_order(const char *text)
{
	ApibaseSpecParser parser;

	parse(&parser, APIBASE_SPEC_PARSE_ORDER, text, true, NULL);
	return parser.list;
}

/* The path of a field in the JSON form: names are exact. */
List *
apibase_spec_parse_member_path(const char *text, const char *pointer)
{
	ApibaseSpecParser parser;

	parse(&parser, APIBASE_SPEC_PARSE_PATH, text, false, pointer);
	return parser.list;
}

/* The name of a type in the JSON form, as a typed value that has no text yet. */
ApibaseSpecValue *
apibase_spec_parse_member_type(const char *text, const char *pointer)
{
	ApibaseSpecParser parser;

	parse(&parser, APIBASE_SPEC_PARSE_TYPE, text, true, pointer);
	return parser.type;
}

/* Step over at most count characters, not beyond end. */
static const char *
skip_characters(const char *from, const char *end, int count)
{
	while (count-- > 0 && from < end)
		from += pg_mblen(from);
	return from < end ? from : end;
}

static bool
is_word_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* The end of the token that begins at from. */
static const char *
token_end(const char *from)
{
	static const char *const operator_bytes = "=<>!~@&|^*/%#?:`\\;{}";
	const char *c = from;
	bool		number = isdigit((unsigned char) c[*c == '.']);

	if (*c == '\'' || *c == '"')
	{
		char		quote = *c++;

		while (*c && (*c != quote || c[1] == quote))
			c += *c == quote ? 2 : 1;
		return c + (*c ? 1 : 0);
	}
	if (number || is_word_byte(*c))
	{
		while (is_word_byte(*c) ||
			   (number && (*c == '.' || ((*c == '-' || *c == '+') && c > from && (c[-1] | 0x20) == 'e'))))
			c++;
		return c;
	}
	return from + Max(strspn(from, operator_bytes), 1);
}

/* "at or near ..." or "at end of input", for the token at offset. */
static char *
describe_token(const char *text, int offset)
{
	const char *from = text + offset;
	const char *end = token_end(from);
	const char *shown = skip_characters(from, end, TOKEN_SHOWN);

	if (*from == '\0')
		return pstrdup("at end of input");
	return psprintf("at or near \"%.*s%s\"", (int) (shown - from), from, shown < end ? "..." : "");
}

/* The detail of an error: where, the line, and a caret. */
static char *
describe_place(const ApibaseSpecParser *parser, int offset)
{
	const char *text = parser->text;
	const char *place = text + offset;
	const char *line = text;
	const char *start;
	const char *end;
	int			number = 1;
	int			column = 0;
	StringInfoData buf;

	for (const char *c = text; c < place; c++)
	{
		if (*c == '\n')
		{
			line = c + 1;
			number++;
		}
	}
	for (const char *c = line; c < place; c += pg_mblen(c))
		column++;
	start = skip_characters(line, place, column - LINE_SHOWN_BEFORE);
	end = skip_characters(place, place + strcspn(place, "\r\n"), LINE_SHOWN_AFTER);

	initStringInfo(&buf);
	if (parser->member)
		appendStringInfo(&buf, "At \"%s\" of the JSON form. ", parser->member);
	appendStringInfo(&buf, "Line %d, character %d:\n%s%.*s%s\n%s", number, column + 1,
					 start > line ? "..." : "", (int) (end - start), start,
					 *end && *end != '\r' && *end != '\n' ? "..." : "",
					 start > line ? "   " : "");
	for (const char *c = start; c < place; c += pg_mblen(c))
	{
		if (*c == '\t')
			appendStringInfoChar(&buf, '\t');
		else
			appendStringInfoSpaces(&buf, Max(pg_dsplen(c), 0));
	}
	appendStringInfoChar(&buf, '^');
	return buf.data;
}

/* Raise an error at a place of the text. sqlstate 0: that of the mode. */
void
apibase_spec_parse_error(ApibaseSpecParser *parser, int offset, int sqlstate, const char *message, const char *hint)
{
	if (sqlstate == 0)
		sqlstate = parser->mode == APIBASE_SPEC_PARSE_ORDER ?
			APIBASE_ERRCODE_INVALID_ORDER_BY : APIBASE_ERRCODE_INVALID_SPECIFICATION;
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s in %s %s", message, mode_names[parser->mode], describe_token(parser->text, offset)),
			 errdetail("%s", describe_place(parser, offset)),
			 hint ? errhint("%s", hint) : 0));
}

/* Raise a syntax error at the token that begins at offset. */
void
apibase_spec_syntax_error(ApibaseSpecParser *parser, int offset, const char *hint)
{
	apibase_spec_parse_error(parser, offset, 0, "syntax error", hint);
}
