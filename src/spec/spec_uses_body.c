/*-------------------------------------------------------------------------
 *
 * spec_uses_body.c
 *	  spec_uses(): specifications in function bodies that are text.
 *
 * Nothing records what the body of an SQL or PL/pgSQL function uses, so it is
 * read word by word.  A string is a specification where it is written as
 *
 *	spec '...'		'...'::spec		CAST('...' AS spec)
 *	items @@ '...'	find(NULL::items, '...')
 *
 * and any other string is read as SQL itself, since it may be for EXECUTE.
 * Behind @@ a string can also be a jsonpath or tsquery: it is left out when it
 * is no specification but one of these.  Which relation is meant is not known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "spec/spec.h"
#include "spec/spec_report.h"
#include "spec/spec_uses.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

PG_FUNCTION_INFO_V1(apibase_spec_uses_in_body);

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_NAME,					/* text: as SQL folds it */
	TOKEN_STRING,				/* text: the value; NULL: written with escapes */
	TOKEN_OTHER					/* text: an operator, or one character */
} TokenKind;

typedef struct Token
{
	TokenKind	kind;
	char	   *text;
} Token;

/* The tokens of a body; get() gives an end outside of them. */
typedef struct Body
{
	Token	   *tokens;
	int			count;
	int			space;
} Body;

/* ---------- words ---------- */

static void
add_token(Body *body, TokenKind kind, char *text)
{
	if (body->count >= body->space)
	{
		body->space = body->space > 0 ? body->space * 2 : 64;
		body->tokens = body->tokens == NULL ? palloc(sizeof(Token) * body->space) :
			repalloc(body->tokens, sizeof(Token) * body->space);
	}
	body->tokens[body->count].kind = kind;
	body->tokens[body->count].text = text;
	body->count++;
}

static bool
is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c);
}

static bool
is_name_part(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9') || c == '$';
}

/* White space and comments. */
static const char *
skip_space(const char *p)
{
	for (;;)
	{
		if (scanner_isspace(*p))
			p++;
		else if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\n\r");
		else if (p[0] == '/' && p[1] == '*')
		{
			int			depth = 0;

			do
			{
				int			step = p[0] == '/' && p[1] == '*' ? 1 : p[0] == '*' && p[1] == '/' ? -1 : 0;

				depth += step;
				p += step != 0 ? 2 : 1;
			} while (*p != '\0' && depth > 0);
		}
		else
			return p;
	}
}

/* A quoted name or string whose quote is at p; *value is what it stands for. */
static const char *
read_quoted(const char *p, bool escapes, char **value)
{
	char		quote = *p++;
	char	   *to = *value = palloc(strlen(p) + 1);

	while (*p != '\0')
	{
		if (escapes && p[0] == '\\' && p[1] != '\0')
			*to++ = *p++;
		else if (*p == quote)
		{
			if (p[1] != quote)
				break;
			p++;
		}
		*to++ = *p++;
	}
	*to = '\0';
	return *p == quote ? p + 1 : p;
}

/* The length of $tag$ at p, or 0. */
static int
dollar_quote_length(const char *p)
{
	int			length = 1;

	if (p[length] >= '0' && p[length] <= '9')
		return 0;
	while (is_name_part(p[length]) && p[length] != '$')
		length++;
	return p[length] == '$' ? length + 1 : 0;
}

/* A name, or a string with a prefix letter, at p. */
static const char *
read_name(Body *body, const char *p)
{
	const char *start = p;
	char	   *value;

	while (is_name_part(*p))
		p++;
	if (*p == '\'' && p - start == 1 && strchr("eEbBxXnN", *start) != NULL)
	{
		p = read_quoted(p, pg_ascii_tolower((unsigned char) *start) == 'e', &value);
		add_token(body, TOKEN_STRING, NULL);
	}
	else if (p[0] == '&' && (p[1] == '\'' || p[1] == '"') && p - start == 1 && (*start == 'u' || *start == 'U'))
	{
		TokenKind	kind = p[1] == '"' ? TOKEN_OTHER : TOKEN_STRING;

		p = read_quoted(p + 1, false, &value);
		add_token(body, kind, kind == TOKEN_OTHER ? value : NULL);
	}
	else
		add_token(body, TOKEN_NAME, downcase_identifier(start, p - start, false, false));
	return p;
}

/* A string between dollar quotes, or the sign itself, at p. */
static const char *
read_dollar(Body *body, const char *p)
{
	int			length = dollar_quote_length(p);
	char	   *tag = pnstrdup(p, length);
	const char *end = length > 0 ? strstr(p + length, tag) : NULL;

	if (end == NULL)
	{
		add_token(body, TOKEN_OTHER, pstrdup("$"));
		return p + 1;
	}
	add_token(body, TOKEN_STRING, pnstrdup(p + length, end - p - length));
	return end + length;
}

/* An operator, or any other character, at p. */
static const char *
read_other(Body *body, const char *p)
{
	static const char operator_chars[] = "~!@#^&|`?+-*/%<>=";
	int			length = p[0] == ':' && p[1] == ':' ? 2 : 1;

	if (strchr(operator_chars, *p) != NULL)
	{
		while (p[length] != '\0' && strchr(operator_chars, p[length]) != NULL &&
			   strncmp(p + length, "--", 2) != 0 && strncmp(p + length, "/*", 2) != 0)
			length++;
	}
	add_token(body, TOKEN_OTHER, pnstrdup(p, length));
	return p + length;
}

/* Split a body into tokens. */
static Body
read_tokens(const char *text)
{
	Body		body = {0};
	const char *p = skip_space(text);

	while (*p != '\0')
	{
		char	   *value;

		CHECK_FOR_INTERRUPTS();
		if (*p == '\'')
		{
			p = read_quoted(p, false, &value);
			add_token(&body, TOKEN_STRING, value);
		}
		else if (*p == '"')
		{
			p = read_quoted(p, false, &value);
			add_token(&body, TOKEN_NAME, value);
		}
		else if (*p == '$')
			p = read_dollar(&body, p);
		else if (is_name_start(*p))
			p = read_name(&body, p);
		else
			p = read_other(&body, p);
		p = skip_space(p);
	}
	return body;
}

/* ---------- places ---------- */

static bool
is(const Body *body, int i, TokenKind kind, const char *text)
{
	return i >= 0 && i < body->count && body->tokens[i].kind == kind &&
		(text == NULL || strcmp(body->tokens[i].text, text) == 0);
}

/* Whether the name of the type spec stands at i; with its schema or without. */
static bool
is_spec_type(const Body *body, int i)
{
	return is(body, i, TOKEN_NAME, "spec") ||
		(is(body, i, TOKEN_NAME, "apibase") && is(body, i + 1, TOKEN_OTHER, ".") &&
		 is(body, i + 2, TOKEN_NAME, "spec"));
}

/* Whether the string at i is the second argument in find(NULL::items, '...'). */
static bool
is_find_argument(const Body *body, int i)
{
	static const char *const functions[] = {"find", "find_count", "is_satisfied_by"};
	int			name = i - 2;

	if (!is(body, i - 1, TOKEN_OTHER, ",") || !is(body, name, TOKEN_NAME, NULL))
		return false;
	if (is(body, name - 1, TOKEN_OTHER, "."))
		name -= 2;
	if (!is(body, name - 1, TOKEN_OTHER, "::") || !is(body, name - 2, TOKEN_NAME, "null") ||
		!is(body, name - 3, TOKEN_OTHER, "("))
		return false;
	for (size_t f = 0; f < lengthof(functions); f++)
	{
		if (is(body, name - 4, TOKEN_NAME, functions[f]))
			return true;
	}
	return false;
}

/* Whether the string at i is written as a specification. */
static bool
is_typed_spec(const Body *body, int i)
{
	return is(body, i - 1, TOKEN_NAME, "spec") ||
		(is(body, i + 1, TOKEN_OTHER, "::") && is_spec_type(body, i + 2)) ||
		(is(body, i + 1, TOKEN_NAME, "as") && is_spec_type(body, i + 2)) ||
		is_find_argument(body, i);
}

/* Whether the string at i is compared by @@, and not written as another type. */
static bool
is_matched(const Body *body, int i)
{
	int			name = is(body, i - 1, TOKEN_OTHER, ")") ? i - 2 : i - 1;	/* OPERATOR(apibase.@@) */

	return is(body, name, TOKEN_OTHER, "@@") && !is(body, i + 1, TOKEN_OTHER, "::");
}

/* ---------- reading ---------- */

/* A string, and the type to read it as; for apibase_spec_try. */
typedef struct Reading
{
	char	   *text;
	Oid			input;			/* function; InvalidOid: a specification */
	ApibaseSpecNode *node;		/* result */
} Reading;

static void
read_string(void *arg)
{
	Reading    *reading = arg;

	if (OidIsValid(reading->input))
		(void) OidFunctionCall1(reading->input, CStringGetDatum(reading->text));
	else
		reading->node = apibase_spec_read(reading->text);
}

static bool
reads_as(char *text, Oid input)
{
	Reading		reading = {.text = text, .input = input};

	return apibase_spec_try(read_string, &reading) == NULL;
}

/* Report the string as a specification. */
static void
report(ApibaseSpecUses *uses, char *text, bool typed)
{
	Reading		reading = {.text = text};
	ErrorData  *error = apibase_spec_try(read_string, &reading);
	StringInfoData canonical;

	if (error != NULL)
	{
		if (typed || !(reads_as(text, F_JSONPATH_IN) || reads_as(text, F_TSQUERYIN)))
			apibase_spec_uses_put(uses, InvalidOid, text, error->message);
		return;
	}
	initStringInfo(&canonical);
	apibase_spec_append_text(&canonical, reading.node);
	apibase_spec_uses_put(uses, InvalidOid, canonical.data, NULL);
}

/* Report the specifications in a text of SQL. */
static void
find_specs(ApibaseSpecUses *uses, const char *text)
{
	Body		body = read_tokens(text);

	check_stack_depth();
	for (int i = 0; i < body.count; i++)
	{
		char	   *value = body.tokens[i].text;

		if (body.tokens[i].kind != TOKEN_STRING || value == NULL)
			continue;
		if (is_typed_spec(&body, i) || is_matched(&body, i))
			report(uses, value, is_typed_spec(&body, i));
		else
			find_specs(uses, value);
	}
}

/* apibase_internal.spec_uses_in_body(body text, author oid) */
Datum
apibase_spec_uses_in_body(PG_FUNCTION_ARGS)
{
	ApibaseSpecUses uses;

	if (apibase_spec_uses_begin(fcinfo, &uses))
		find_specs(&uses, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	return (Datum) 0;
}
