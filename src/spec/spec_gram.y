%code top
{
/*-------------------------------------------------------------------------
 *
 * spec_gram.y
 *	  Grammar of the specification language, of field paths, of order-by lists
 *	  and of type names.
 *
 * The scanner's first token says which of the four is wanted.  Lists are left
 * recursive and gathered as lists before a node is made of them, so that a
 * specification of many clauses costs linear time and a small parser stack.
 * What nests (parentheses, not) is counted on the way in and bounded by
 * apibase.spec_max_depth, so the stack is bounded too.
 *
 * Productions that stand for a usual mistake (a field without an operator, a
 * word where a value should be) raise the error themselves, to give a hint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/errors.h"
}

%code requires
{
#include "spec/spec_parse.h"
}

%code
{
/* Locations are byte offsets; that of a rule is where its first symbol begins. */
#define YYLLOC_DEFAULT(Current, Rhs, N) \
	((Current) = YYRHSLOC(Rhs, (N) > 0 ? 1 : 0))

/* The parser's stack comes from the memory context, and its bound is the nesting depth. */
#define YYMALLOC palloc
#define YYFREE pfree
#define YYMAXDEPTH 100000000

extern int	apibase_spec_yylex(APIBASE_SPEC_YYSTYPE *lvalp, APIBASE_SPEC_YYLTYPE *llocp, void *scanner);

static void apibase_spec_yyerror(APIBASE_SPEC_YYLTYPE *location, ApibaseSpecParser *parser, void *scanner,
								 const char *message);
static const char *choose_hint(const ApibaseSpecParser *parser, const char *token);
static void enter(ApibaseSpecParser *parser, int offset);
static int32 make_index(ApibaseSpecParser *parser, const char *number, bool negative, int offset);
static char *negate_number(char *number);
static ApibaseSpecValue *make_word_type(ApibaseSpecParser *parser, List *words, int offset);
static ApibaseSpecOrder *make_order(List *path, bool descending, int nulls);
}

%define api.pure full
%define api.prefix {apibase_spec_yy}
%define api.location.type {int}
%locations
%expect 0
%parse-param {ApibaseSpecParser *parser} {void *scanner}
%lex-param {void *scanner}

%union
{
	char	   *str;
	const char *keyword;
	int			param;
	int			ival;
	bool		boolean;
	ApibaseSpecOpToken operator;
	List	   *list;
	ApibaseSpecNode *node;
	ApibaseSpecValue *value;
	ApibaseSpecStep *step;
	ApibaseSpecOrder *order;
}

%token START_SPEC START_PATH START_ORDER START_TYPE
%token <str> WORD QUOTED STRING NUMBER
%token <param> PARAM
%token <operator> OPERATOR
%token <keyword> AND OR NOT IN LIKE ILIKE BETWEEN IS NULL_P TRUE_P FALSE_P
%token <keyword> ARRAY STARTS_WITH CONTAINS CONTAINED_BY OVERLAPS
%token <keyword> ASC DESC NULLS FIRST LAST

%type <node> or_expr and_expr not_expr primary clause
%type <list> or_list and_list path values opt_elements elements in_values words order_list
%type <value> value scalar literal param type
%type <step> step
%type <order> order_item
%type <str> first_name any_name word
%type <keyword> unreserved reserved
%type <operator> text_operator not_operator
%type <boolean> opt_not opt_descending truth
%type <ival> opt_nulls

%%

start:
	START_SPEC
		{
			parser->node = apibase_spec_make_bool(true);
			(void) yynerrs;		/* bison counts what nobody reads; compilers notice */
		}
	| START_SPEC or_expr			{ parser->node = $2; }
	| START_PATH path				{ parser->list = $2; }
	| START_ORDER					{ parser->list = NIL; }
	| START_ORDER order_list		{ parser->list = $2; }
	| START_TYPE type				{ parser->type = $2; }
	;

/* ---- Boolean combination ---- */

or_expr:
	or_list							{ $$ = apibase_spec_make_or($1); }
	;

or_list:
	and_expr						{ $$ = list_make1($1); }
	| or_list OR and_expr			{ $$ = lappend($1, $3); }
	;

and_expr:
	and_list						{ $$ = apibase_spec_make_and($1); }
	;

and_list:
	not_expr						{ $$ = list_make1($1); }
	| and_list AND not_expr			{ $$ = lappend($1, $3); }
	;

not_expr:
	primary
	| NOT { enter(parser, @1); } not_expr
		{
			parser->nesting--;
			$$ = apibase_spec_make_not($3);
		}
	;

primary:
	clause
	| TRUE_P						{ $$ = apibase_spec_make_bool(true); }
	| FALSE_P						{ $$ = apibase_spec_make_bool(false); }
	| '(' { enter(parser, @1); } or_expr ')'
		{
			parser->nesting--;
			$$ = $3;
		}
	;

/* ---- clauses ---- */

clause:
	path OPERATOR value
		{ $$ = apibase_spec_make_clause($1, $2.op, $2.negated, list_make1($3)); }
	| path text_operator value
		{ $$ = apibase_spec_make_clause($1, $2.op, false, list_make1($3)); }
	| path NOT not_operator value
		{ $$ = apibase_spec_make_clause($1, $3.op, true, list_make1($4)); }
	| path opt_not IN in_values
		{ $$ = apibase_spec_make_clause($1, APIBASE_SPEC_IN, $2, $4); }
	| path opt_not BETWEEN value AND value
		{ $$ = apibase_spec_make_clause($1, APIBASE_SPEC_BETWEEN, $2, list_make2($4, $6)); }
	| path IS opt_not NULL_P
		{ $$ = apibase_spec_make_clause($1, APIBASE_SPEC_IS_NULL, $3, NIL); }
	| path IS opt_not truth
		{
			$$ = apibase_spec_make_clause($1, APIBASE_SPEC_EQ, $3,
							 list_make1(apibase_spec_make_value($4 ? APIBASE_SPEC_TRUE : APIBASE_SPEC_FALSE)));
		}
	| path
		{ apibase_spec_syntax_error(parser, yylloc, "A field is followed by an operator, as in \"price >= 10\"."); }
	;

text_operator:
	not_operator
	| STARTS_WITH					{ $$.op = APIBASE_SPEC_STARTS_WITH; $$.negated = false; }
	| CONTAINS						{ $$.op = APIBASE_SPEC_CONTAINS; $$.negated = false; }
	| CONTAINED_BY					{ $$.op = APIBASE_SPEC_CONTAINED_BY; $$.negated = false; }
	| OVERLAPS						{ $$.op = APIBASE_SPEC_OVERLAPS; $$.negated = false; }
	;

not_operator:
	LIKE							{ $$.op = APIBASE_SPEC_LIKE; $$.negated = false; }
	| ILIKE							{ $$.op = APIBASE_SPEC_ILIKE; $$.negated = false; }
	;

opt_not:
	%empty							{ $$ = false; }
	| NOT							{ $$ = true; }
	;

truth:
	TRUE_P							{ $$ = true; }
	| FALSE_P						{ $$ = false; }
	;

/* ---- fields ---- */

path:
	first_name						{ $$ = list_make1(apibase_spec_make_step($1, 0)); }
	| path step						{ $$ = lappend($1, $2); }
	;

step:
	'.' any_name					{ $$ = apibase_spec_make_step($2, 0); }
	| '[' NUMBER ']'				{ $$ = apibase_spec_make_step(NULL, make_index(parser, $2, false, @2)); }
	| '[' '-' NUMBER ']'			{ $$ = apibase_spec_make_step(NULL, make_index(parser, $3, true, @3)); }
	;

first_name:
	WORD
	| QUOTED
	| unreserved					{ $$ = pstrdup($1); }
	;

any_name:
	first_name
	| reserved						{ $$ = pstrdup($1); }
	;

unreserved:
	ARRAY | STARTS_WITH | CONTAINS | CONTAINED_BY | OVERLAPS | FIRST | LAST
	;

reserved:
	AND | OR | NOT | IN | LIKE | ILIKE | BETWEEN | IS | NULL_P | TRUE_P | FALSE_P | ASC | DESC | NULLS
	;

/* ---- values ---- */

in_values:
	'(' ')'							{ $$ = NIL; }
	| '(' values ')'				{ $$ = $2; }
	| param							{ $$ = list_make1($1); }
	;

values:
	value							{ $$ = list_make1($1); }
	| values ',' value				{ $$ = lappend($1, $3); }
	;

value:
	scalar
	| ARRAY '[' opt_elements ']'	{ $$ = apibase_spec_make_array_value($3); }
	;

opt_elements:
	%empty							{ $$ = NIL; }
	| elements
	;

elements:
	scalar							{ $$ = list_make1($1); }
	| elements ',' scalar			{ $$ = lappend($1, $3); }
	;

scalar:
	literal
	| param
	;

literal:
	NULL_P							{ $$ = apibase_spec_make_value(APIBASE_SPEC_NULL); }
	| truth							{ $$ = apibase_spec_make_value($1 ? APIBASE_SPEC_TRUE : APIBASE_SPEC_FALSE); }
	| NUMBER						{ $$ = apibase_spec_make_text_value(APIBASE_SPEC_NUMBER, $1); }
	| '+' NUMBER					{ $$ = apibase_spec_make_text_value(APIBASE_SPEC_NUMBER, $2); }
	| '-' NUMBER					{ $$ = apibase_spec_make_text_value(APIBASE_SPEC_NUMBER, negate_number($2)); }
	| STRING						{ $$ = apibase_spec_make_text_value(APIBASE_SPEC_STRING, $1); }
	| type STRING
		{
			$$ = $1;
			$$->text = $2;
		}
	| words
		{ apibase_spec_syntax_error(parser, @1, "Write strings in single quotes; a field is compared with a value, not with another field."); }
	| QUOTED
		{ apibase_spec_syntax_error(parser, @1, "Write strings in single quotes; double quotes are for names."); }
	| word '.' any_name
		{ apibase_spec_syntax_error(parser, @1, "A field is compared with a value, not with another field."); }
	;

param:
	PARAM							{ $$ = apibase_spec_make_param_value($1); }
	;

type:
	words							{ $$ = make_word_type(parser, $1, @1); }
	| QUOTED						{ $$ = apibase_spec_make_typed_value(NULL, $1, NULL); }
	| word '.' any_name				{ $$ = apibase_spec_make_typed_value($1, $3, NULL); }
	;

words:
	WORD							{ $$ = list_make1($1); }
	| words WORD					{ $$ = lappend($1, $2); }
	;

word:
	WORD
	| QUOTED
	;

/* ---- order-by lists ---- */

order_list:
	order_item						{ $$ = list_make1($1); }
	| order_list ',' order_item		{ $$ = lappend($1, $3); }
	;

order_item:
	path opt_descending opt_nulls	{ $$ = make_order($1, $2, $3); }
	;

opt_descending:
	%empty							{ $$ = false; }
	| ASC							{ $$ = false; }
	| DESC							{ $$ = true; }
	;

opt_nulls:
	%empty							{ $$ = 0; }
	| NULLS FIRST					{ $$ = FIRST; }
	| NULLS LAST					{ $$ = LAST; }
	;

%%

/* What may help with a token that no production allows, from it and the one before. */
static const char *
choose_hint(const ApibaseSpecParser *parser, const char *token)
{
	switch (parser->previous)
	{
		case START_SPEC:
		case OR:
			return "A condition begins with a field, with \"not\" or with a parenthesis.";
		case IN:
			return "The values of \"in\" are written in parentheses.";
		case IS:
			return "After \"is\" comes null, true or false, or \"not\" and one of these.";
		case OPERATOR:
		case LIKE:
		case ILIKE:
		case BETWEEN:
		case STARTS_WITH:
		case CONTAINS:
		case CONTAINED_BY:
		case OVERLAPS:
			return "After an operator comes a value: a number, a string in single quotes, true, false, null, "
				"array[...], a typed literal or a parameter.";
	}
	if (parser->token == ')' && parser->parens < 0)
		return "There is no opening parenthesis for this one.";
	if (parser->token == 0 && parser->parens > 0)
		return "A closing parenthesis is missing.";
	if (parser->token == OPERATOR && strncmp(token, "&&", 2) == 0)
		return "Join conditions with \"and\" and \"or\".";
	return NULL;
}

/* Called by the parser for a token that no production allows. */
static void
apibase_spec_yyerror(APIBASE_SPEC_YYLTYPE *location, ApibaseSpecParser *parser, void *scanner, const char *message)
{
	const char *hint = NULL;

	if (parser->mode == APIBASE_SPEC_PARSE_SPEC)
		hint = choose_hint(parser, parser->text + *location);
	apibase_spec_syntax_error(parser, *location, hint);
}

/* Count a parenthesis or a not. The deepest canonical text nests once more than its tree is deep. */
static void
enter(ApibaseSpecParser *parser, int offset)
{
	char		hint[128];

	if (++parser->nesting <= apibase_spec_max_depth + 1)
		return;
	snprintf(hint, sizeof(hint), "The limit is %d, set by apibase.spec_max_depth.", apibase_spec_max_depth);
	apibase_spec_parse_error(parser, offset, APIBASE_ERRCODE_SPECIFICATION_TOO_DEEP,
							 "nesting is too deep", hint);
}

/* The index of a JSON array. */
static int32
make_index(ApibaseSpecParser *parser, const char *number, bool negative, int offset)
{
	size_t		length = strlen(number);

	if (strspn(number, "0123456789") != length || length > 9)
		apibase_spec_parse_error(parser, offset, 0, "array index must be an integer of at most nine digits", NULL);
	return negative ? -atoi(number) : atoi(number);
}

/* Minus a number; there is no minus zero. */
static char *
negate_number(char *number)
{
	return apibase_spec_number(psprintf("-%s", number));
}

/* The type that one or several unquoted words name. */
static ApibaseSpecValue *
make_word_type(ApibaseSpecParser *parser, List *words, int offset)
{
	StringInfoData name;
	const char *alias;
	ListCell   *lc;

	initStringInfo(&name);
	foreach(lc, words)
	{
		if (name.len > 0)
			appendStringInfoChar(&name, ' ');
		appendStringInfoString(&name, (char *) lfirst(lc));
	}
	alias = apibase_spec_type_alias(name.data);
	if (alias)
		return apibase_spec_make_typed_value(NULL, pstrdup(alias), NULL);
	if (list_length(words) > 1)
		apibase_spec_parse_error(parser, offset, 0, "unknown type", NULL);
	return apibase_spec_make_typed_value(NULL, name.data, NULL);
}

/* An item of an order-by list; as in SQL nulls sort as if larger than everything. */
static ApibaseSpecOrder *
make_order(List *path, bool descending, int nulls)
{
	ApibaseSpecOrder *order = palloc(sizeof(ApibaseSpecOrder));

	order->path = path;
	order->descending = descending;
	order->nulls_first = nulls == 0 ? descending : nulls == FIRST;
	return order;
}
