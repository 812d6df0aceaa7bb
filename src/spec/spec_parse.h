/*-------------------------------------------------------------------------
 *
 * spec_parse.h
 *	  What scanner, grammar and spec_parse.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_PARSE_H
#define APIBASE_SPEC_PARSE_H

#include "spec/spec.h"

/* What the text is.  The scanner hands the parser a first token that says so. */
typedef enum ApibaseSpecParseMode
{
	APIBASE_SPEC_PARSE_SPEC,
	APIBASE_SPEC_PARSE_PATH,
	APIBASE_SPEC_PARSE_ORDER,
	APIBASE_SPEC_PARSE_TYPE
} ApibaseSpecParseMode;

/* The state of one parse; there is no other. */
typedef struct ApibaseSpecParser
{
	ApibaseSpecParseMode mode;
	bool		fold;			/* unquoted names to lower case */
	const char *text;
	const char *member;			/* JSON Pointer of text, where it is a member of the JSON form */
	char	   *buffer;			/* the scanner's copy of text */
	bool		started;		/* the first token was handed out */
	int			token;			/* the last token handed out, and the one before */
	int			previous;
	int			parens;			/* open parentheses, of any kind */
	int			nesting;		/* open parentheses around conditions, and not */
	ApibaseSpecNode *node;		/* result */
	List	   *list;			/* result: steps or order-by items */
	ApibaseSpecValue *type;		/* result */
} ApibaseSpecParser;

/* An operator as the scanner finds it. */
typedef struct ApibaseSpecOpToken
{
	ApibaseSpecOp op;
	bool		negated;
} ApibaseSpecOpToken;

/* Both stop the parse at a byte offset of the text; hint may be NULL. */
extern void apibase_spec_syntax_error(ApibaseSpecParser *parser, int offset, const char *hint) pg_attribute_noreturn();
extern void apibase_spec_parse_error(ApibaseSpecParser *parser, int offset, int sqlstate,
									 const char *message, const char *hint) pg_attribute_noreturn();

/* The keyword of a mode that a word is, as the grammar's token and its spelling; or 0. */
extern int	apibase_spec_keyword(ApibaseSpecParseMode mode, const char *word, int length, const char **spelling);

/* Whether a name must be quoted to be read as that name; as a type also where it would be an alias of another. */
extern bool apibase_spec_is_keyword(const char *name, bool reserved_only);
extern const char *apibase_spec_type_alias(const char *name);	/* "integer": "int4"; NULL: no alias */

/*
 * Members of the JSON form: a field's path, exact, and a type name, as a typed value without text.  pointer
 * says where in errors.
 */
extern List *apibase_spec_parse_member_path(const char *text, const char *pointer);
extern ApibaseSpecValue *apibase_spec_parse_member_type(const char *text, const char *pointer);

#endif							/* APIBASE_SPEC_PARSE_H */
