/*-------------------------------------------------------------------------
 *
 * spec.h
 *	  The specification module: a condition over one row as a value.
 *
 * A specification passes through three forms:
 *
 *	text or JSON  --parse-->  tree of ApibaseSpecNode  --encode-->  ApibaseSpec (varlena)
 *							  tree  --compile-->  Expr over the columns of one row
 *
 * The tree is what the user said; it knows nothing of any table.  Compiling
 * resolves it against a row: fields to columns, literals to constants of the
 * columns' types, operators to OIDs.  There is one compiler, and everything
 * that evaluates a specification uses the Expr that it makes:
 *
 *	spec_support.c	puts it in the place of the call, at plan time
 *	spec_eval.c		executes it on a row in memory
 *	spec_deparse.c	prints it as SQL text
 *	spec_find.c		prints it into a SELECT
 *
 * so that they cannot disagree.  (jsonb documents have no columns; spec_jsonb.c
 * walks them directly, with the rules that the compiler follows for jsonb paths.)
 *
 * Files, in the order of reading:
 *	spec_node.c		make and flatten trees; names of operators
 *	spec_store.c	encode and decode trees
 *	spec_scan.l, spec_gram.y	the language; also field paths and order-by lists
 *	spec_parse.c	the way into the parser, and its errors
 *	spec_io.c		type I/O, comparison, text output
 *	spec_json.c		the JSON form
 *	spec_datum.c	values of SQL as literals
 *	spec_build.c	where(), bind(), combinators, and their planner support
 *	spec_field.c	fields: names to columns and paths, closest name
 *	spec_literal.c	literals: to constants of a type, with the field in every error
 *	spec_operator.c	operators by type
 *	spec_compare.c, spec_compile_json.c		tests of one field against literals
 *	spec_compile.c	clauses and their Boolean combination: the Expr
 *	spec_eval.c, spec_jsonb.c, spec_deparse.c, spec_support.c	see above
 *	spec_gin.c		GIN indexes on jsonb documents
 *	spec_find.c, spec_report.c, spec_uses.c		lists; check and explain; stored uses
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_H
#define APIBASE_SPEC_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/jsonb.h"

#include "core/compat.h"

/* ---------- the tree ---------- */

/*
 * Negation lives in the clause where it can: "a <> 5" is EQ with negated set,
 * "a not in (...)" is IN negated, "a is not null" IS_NULL negated.  NOT nodes
 * remain only around AND and OR.  "a = null" is parsed as IS_NULL.
 * AND within AND and OR within OR are flattened, true within AND and false within
 * OR left out; AND and OR have two or more arguments.  So one meaning that is written in two trivially different ways
 * has one tree, and one canonical text.
 */
typedef enum ApibaseSpecKind
{
	APIBASE_SPEC_BOOL,			/* true, false */
	APIBASE_SPEC_CLAUSE,
	APIBASE_SPEC_AND,
	APIBASE_SPEC_OR,
	APIBASE_SPEC_NOT
} ApibaseSpecKind;

/* These numbers are on disk: append only. */
typedef enum ApibaseSpecOp
{
	APIBASE_SPEC_EQ,
	APIBASE_SPEC_LT,
	APIBASE_SPEC_LE,
	APIBASE_SPEC_GT,
	APIBASE_SPEC_GE,
	APIBASE_SPEC_IN,			/* any number of values, or one PARAM that stands for an array */
	APIBASE_SPEC_BETWEEN,		/* two values */
	APIBASE_SPEC_IS_NULL,		/* no value */
	APIBASE_SPEC_LIKE,
	APIBASE_SPEC_ILIKE,
	APIBASE_SPEC_STARTS_WITH,
	APIBASE_SPEC_MATCH,
	APIBASE_SPEC_IMATCH,
	APIBASE_SPEC_CONTAINS,
	APIBASE_SPEC_CONTAINED_BY,
	APIBASE_SPEC_OVERLAPS
} ApibaseSpecOp;

#define APIBASE_SPEC_NOPS	(APIBASE_SPEC_OVERLAPS + 1)

typedef enum ApibaseSpecValueKind
{
	APIBASE_SPEC_NULL,			/* only as an element of IN or of an array */
	APIBASE_SPEC_TRUE,
	APIBASE_SPEC_FALSE,
	APIBASE_SPEC_NUMBER,		/* text: as apibase_spec_number makes it, so numeric_in accepts it */
	APIBASE_SPEC_STRING,		/* text */
	APIBASE_SPEC_TYPED,			/* type_schema (NULL: pg_catalog), type_name, text */
	APIBASE_SPEC_ARRAY,			/* elements; never nested */
	APIBASE_SPEC_PARAM			/* param: 1 to APIBASE_SPEC_MAX_PARAM */
} ApibaseSpecValueKind;

#define APIBASE_SPEC_MAX_PARAM	65535

typedef struct ApibaseSpecValue
{
	ApibaseSpecValueKind kind;
	char	   *text;
	char	   *type_schema;
	char	   *type_name;
	int			param;
	List	   *elements;		/* of ApibaseSpecValue */
} ApibaseSpecValue;

/* A step of a field's path; the first is always a name. */
typedef struct ApibaseSpecStep
{
	char	   *name;			/* NULL for an index */
	int32		index;			/* of a JSON array, from 0; negative counts from the end */
} ApibaseSpecStep;

typedef struct ApibaseSpecNode
{
	ApibaseSpecKind kind;
	bool		value;			/* BOOL */
	bool		negated;		/* CLAUSE */
	ApibaseSpecOp op;			/* CLAUSE */
	List	   *path;			/* CLAUSE: of ApibaseSpecStep */
	List	   *values;			/* CLAUSE: of ApibaseSpecValue */
	List	   *args;			/* AND, OR: two or more; NOT: one AND or OR */
} ApibaseSpecNode;

/* An item of an order-by list. */
typedef struct ApibaseSpecOrder
{
	List	   *path;
	bool		descending;
	bool		nulls_first;	/* default: as SQL, last when ascending */
} ApibaseSpecOrder;

/* ---------- the stored form ---------- */

typedef struct ApibaseSpec
{
	int32		vl_len_;		/* varlena header, do not touch directly */
	uint8		version;		/* APIBASE_SPEC_VERSION */
	uint8		flags;			/* zero */
	uint16		nparams;		/* highest parameter number */
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* the tree in preorder, see spec_store.c */
} ApibaseSpec;

#define APIBASE_SPEC_VERSION	1

#define DatumGetApibaseSpecP(d)		((ApibaseSpec *) PG_DETOAST_DATUM(d))
#define PG_GETARG_APIBASE_SPEC_P(n)	DatumGetApibaseSpecP(PG_GETARG_DATUM(n))

/* settings (spec.c) */
extern void apibase_spec_define_gucs(void);
extern int	apibase_spec_max_depth;
extern int	apibase_spec_max_size;	/* kB */
extern int	apibase_find_cache_size;

/* ---------- spec_node.c ---------- */

/* The tree takes over what it is given; and and or may reuse the lists of their arguments. */
extern ApibaseSpecNode *apibase_spec_make_bool(bool value);

/* eq null becomes IS_NULL; null for another operator raises 22004 naming the field */
extern ApibaseSpecNode *apibase_spec_make_clause(List *path, ApibaseSpecOp op, bool negated, List *values);
extern ApibaseSpecNode *apibase_spec_make_and(List *args);	/* flattens; no args: true; one: itself */
extern ApibaseSpecNode *apibase_spec_make_or(List *args);	/* no args: false */
extern ApibaseSpecNode *apibase_spec_make_not(ApibaseSpecNode *arg);	/* flips (a copy of) a clause, undoes a NOT */
extern ApibaseSpecStep *apibase_spec_make_step(char *name, int32 index);
extern ApibaseSpecValue *apibase_spec_make_value(ApibaseSpecValueKind kind);	/* NULL, TRUE, FALSE */
extern ApibaseSpecValue *apibase_spec_make_text_value(ApibaseSpecValueKind kind, char *text);	/* NUMBER, STRING */
extern ApibaseSpecValue *apibase_spec_make_typed_value(char *type_schema, char *type_name, char *text);
extern ApibaseSpecValue *apibase_spec_make_array_value(List *elements);
extern ApibaseSpecValue *apibase_spec_make_param_value(int param);

/* The one spelling of a decimal number: no sign +, no needless zeros or exponent.  NULL: not a number, or beyond numeric. */
extern char *apibase_spec_number(const char *text);
extern int	apibase_spec_tree_depth(const ApibaseSpecNode *node);	/* iterative over flat lists; a clause is 1 */

/* For a name from outside. NULL: *problem says why, and *hint may help. */
extern ApibaseSpecNode *apibase_spec_make_named_clause(List *path, const char *name, List *values,
													   char **problem, const char **hint);

extern bool apibase_spec_op_takes(ApibaseSpecOp op, int nvalues);
extern const char *apibase_spec_op_name(ApibaseSpecOp op, bool negated);	/* "ge", "not_in"; NULL where the negated
																			 * form has no name */
extern bool apibase_spec_op_by_name(const char *name, ApibaseSpecOp *op, bool *negated);	/* with synonyms; no case */

/* ---------- spec_store.c ---------- */

/* encode checks depth, size and parameter limits; decode trusts nothing and raises data_corrupted */
extern void apibase_spec_check_size(size_t length); /* of a text: raises PB012 */
extern ApibaseSpec *apibase_spec_encode(const ApibaseSpecNode *node);
extern ApibaseSpecNode *apibase_spec_decode(const ApibaseSpec *spec);

/* ---------- spec_parse.c: raises PB010 with position and caret ---------- */

extern ApibaseSpecNode *apibase_spec_parse(const char *text);
extern List *apibase_spec_parse_path(const char *text, bool fold);	/* fold: unquoted names to lower case */
extern List *apibase_spec_parse_order(const char *text);	/* of ApibaseSpecOrder; raises PB014 */

/* ---------- spec_io.c ---------- */

extern void apibase_spec_append_text(StringInfo buf, const ApibaseSpecNode *node);	/* canonical */
extern void apibase_spec_append_path(StringInfo buf, const List *path, bool fold);	/* quoted where reading it back
																					 * needs it */
extern void apibase_spec_append_value(StringInfo buf, const ApibaseSpecValue *value);
extern void apibase_spec_append_type(StringInfo buf, const ApibaseSpecValue *value);	/* of a TYPED value */
extern char *apibase_spec_path_text(const List *path);	/* fold = true */

/* A tree of the language, or of the JSON form when the text begins with a brace. */
extern ApibaseSpecNode *apibase_spec_read(const char *text);

/* ---------- spec_json.c ---------- */

extern ApibaseSpecNode *apibase_spec_from_jsonb(Jsonb *json);
extern Jsonb *apibase_spec_to_jsonb(const ApibaseSpecNode *node);

/*
 * Call fn for every clause with its JSON Pointer (RFC 6901) into the JSON form, and whether an odd number of
 * NOT nodes stands above it.  The pointer of a negated clause that prints as {"not": {...}} is that of the
 * {"not"}: clause->negated belongs to the clause, and is not counted in negated.
 */
typedef void (*ApibaseSpecVisitor) (const ApibaseSpecNode *clause, const char *pointer, bool negated, void *arg);
extern void apibase_spec_visit(const ApibaseSpecNode *node, ApibaseSpecVisitor fn, void *arg);

/* ---------- spec_datum.c, spec_build.c ---------- */

/* A value of SQL as a literal; the same under every setting. */
extern ApibaseSpecValue *apibase_spec_value_of_datum(Datum datum, Oid type, bool isnull);

/* Whether the literal depends on nothing but the value. */
extern bool apibase_spec_datum_is_stable(Oid type);

/* ---------- spec_field.c ---------- */

/*
 * The row that a specification is compiled against: its columns, and how to make an
 * expression that yields one.  For a jsonb document desc is NULL and document yields it.
 */
typedef struct ApibaseSpecRow ApibaseSpecRow;
struct ApibaseSpecRow
{
	TupleDesc	desc;
	/* column attno as a simplified expression; *notnull when it cannot be NULL */
	Expr	   *(*column) (ApibaseSpecRow *row, AttrNumber attno, bool *notnull);
	Expr	   *document;
	void	   *arg;			/* of column's author */
	const char *name;			/* of the relation or type, for messages; may be NULL */
	bool		table;			/* the rows come straight from the table: its NOT NULL constraints hold */
	bool	   *unsettled;		/* set to true for a literal whose meaning depends on settings; may be NULL */
};

/* The expression of a field: of a jsonb path the value as jsonb. */
typedef struct ApibaseSpecField
{
	Expr	   *expr;
	Oid			type;			/* declared type; jsonb for a path into jsonb */
	int32		typmod;
	Oid			collation;
	bool		notnull;
	bool		json;			/* a path into a jsonb value: typed by the document */
	Expr	   *text;			/* json: the value as text; NULL for JSON null too */
	const List *path;			/* for messages: see apibase_spec_path_text */
	bool	   *unsettled;		/* of the row */
} ApibaseSpecField;

extern void apibase_spec_resolve_field(ApibaseSpecRow *row, const List *path, ApibaseSpecField *field);

/* A row over a composite type; column yields Var (varno 1), as spec_eval.c and spec_deparse.c want it. */
extern ApibaseSpecRow *apibase_spec_row_for_type(Oid rowtype, int32 typmod);
extern ApibaseSpecRow *apibase_spec_row_for_relation(Oid relid);	/* checks that it has columns */

/* ---------- spec_literal.c ---------- */

/* The literal as a constant of type; errors name the field.  Never NULL except for kind NULL. */
extern Const *apibase_spec_literal(const ApibaseSpecValue *value, Oid type, const ApibaseSpecField *field);

/* A typed literal as a constant of its own type, and that type. */
extern Const *apibase_spec_typed_literal(const ApibaseSpecValue *value, const ApibaseSpecField *field);
extern Oid	apibase_spec_literal_type(const ApibaseSpecValue *value);

/* A literal as the jsonb value that it is in a document. */
extern Const *apibase_spec_json_literal(const ApibaseSpecValue *value, const ApibaseSpecField *field);

extern void apibase_spec_unbound(const ApibaseSpecValue *value) pg_attribute_noreturn();

/* ---------- spec_compile.c ---------- */

/*
 * filter: the result is used where NULL and false are the same (the top of a WHERE), so leaves
 * need no null tests.  Otherwise the Expr is never NULL.
 */
extern Expr *apibase_spec_compile(const ApibaseSpecNode *node, ApibaseSpecRow *row, bool filter);

/* ---------- spec_deparse.c ---------- */

/*
 * Print an Expr made by apibase_spec_compile or apibase_spec_resolve_field over a row of
 * apibase_spec_row_for_relation.  alias may be NULL.  When params is not NULL constants become $n, numbered
 * from *next_param, and are appended (Const *) to *params.
 */
extern void apibase_spec_deparse(StringInfo buf, Expr *expr, ApibaseSpecRow *row, const char *alias,
								 List **params, int *next_param);

/* ---------- spec_eval.c ---------- */

/* A specification made ready for one row type (or for jsonb); lives in the context current at prepare. */
typedef struct ApibaseSpecEval ApibaseSpecEval;
extern ApibaseSpecEval *apibase_spec_eval_prepare(const ApibaseSpecNode *node, Oid rowtype, int32 typmod);
extern bool apibase_spec_eval(ApibaseSpecEval *eval, Datum row, bool isnull);

extern bool apibase_spec_eval_null_record(const ApibaseSpecNode *node);

/* The declared type of the first argument, checked to be of rows or jsonb. */
extern Oid	apibase_spec_row_argument(FmgrInfo *flinfo);

/* Type and typmod of a row Datum: of its own header for RECORD (not NULL then), else the declared. */
extern void apibase_spec_row_type(Datum row, bool isnull, Oid declared, Oid *type, int32 *typmod);

/* ---------- spec_jsonb.c ---------- */

/*
 * A specification made ready for jsonb documents, in the current memory context; it points into the tree.  doc
 * may be NULL: all fields are.
 */
typedef struct ApibaseSpecJsonb ApibaseSpecJsonb;
extern ApibaseSpecJsonb *apibase_spec_jsonb_prepare(const ApibaseSpecNode *node);
extern bool apibase_spec_jsonb_test(ApibaseSpecJsonb *prepared, Jsonb *doc);

#endif							/* APIBASE_SPEC_H */
