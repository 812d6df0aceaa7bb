/*-------------------------------------------------------------------------
 *
 * spec_deparse.c
 *	  Compiled specifications as SQL text.
 *
 * PostgreSQL's own deparser leaves names bare where the current search_path
 * finds them.  The text made here must mean the same anywhere: every operator
 * is OPERATOR(schema.name), every constant carries its qualified type, every
 * column its quoted alias.  It knows only the nodes that the compiler makes.
 *
 * Constants are printed under fixed settings (ISO dates, shortest exact
 * floats), so the text does not depend on the settings of who asked for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct DeparseContext
{
	StringInfo	buf;
	ApibaseSpecRow *row;
	const char *alias;
	List	  **params;
	int		   *next_param;
} DeparseContext;

static void deparse(DeparseContext *context, Node *node);

/* A type by its qualified name. */
static void
append_type(StringInfo buf, Oid type)
{
	Oid			element = get_element_type(type);
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(OidIsValid(element) ? element : type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	appendStringInfoString(buf, quote_qualified_identifier(get_namespace_name(form->typnamespace),
														   NameStr(form->typname)));
	if (OidIsValid(element))
		appendStringInfoString(buf, "[]");
	ReleaseSysCache(tuple);
}

/* An operator by its qualified name. */
static void
append_operator(StringInfo buf, Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(buf, " OPERATOR(%s.%s) ",
					 quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

/* A constant as text. */
static void
deparse_const(DeparseContext *context, Const *con)
{
	Oid			typoutput;
	bool		isvarlena;

	if (con->consttype == BOOLOID && !con->constisnull)
	{
		appendStringInfoString(context->buf, DatumGetBool(con->constvalue) ? "true" : "false");
		return;
	}
	if (con->constisnull)
		appendStringInfoString(context->buf, "NULL");
	else
	{
		getTypeOutputInfo(con->consttype, &typoutput, &isvarlena);
		appendStringInfoString(context->buf, quote_literal_cstr(OidOutputFunctionCall(typoutput, con->constvalue)));
	}
	appendStringInfoString(context->buf, "::");
	append_type(context->buf, con->consttype);
}

/* A literal of the specification: a parameter where those are asked for. */
static void
deparse_literal(DeparseContext *context, Const *con)
{
	if (context->params == NULL)
	{
		deparse_const(context, con);
		return;
	}
	*context->params = lappend(*context->params, con);
	appendStringInfo(context->buf, "$%d::", (*context->next_param)++);
	append_type(context->buf, con->consttype);
}

/*
 * Whether the right operand is a literal of the specification.  The others are
 * steps of a path, where an expression index needs the constant, and names of
 * JSON types.
 */
static bool
has_literal(Oid opno, List *args)
{
	if (!IsA(lsecond(args), Const))
		return false;
	if (IsA(linitial(args), FuncExpr) && ((FuncExpr *) linitial(args))->funcid == F_JSONB_TYPEOF)
		return false;
	switch (get_opcode(opno))
	{
		case F_JSONB_OBJECT_FIELD:
		case F_JSONB_OBJECT_FIELD_TEXT:
		case F_JSONB_ARRAY_ELEMENT:
		case F_JSONB_ARRAY_ELEMENT_TEXT:
			return false;
		default:
			return true;
	}
}

static void
deparse_var(DeparseContext *context, Var *var)
{
	Form_pg_attribute att = TupleDescAttr(context->row->desc, var->varattno - 1);

	if (context->alias)
		appendStringInfo(context->buf, "%s.", quote_identifier(context->alias));
	appendStringInfoString(context->buf, quote_identifier(NameStr(att->attname)));
}

/* (composite).field */
static void
deparse_field_select(DeparseContext *context, FieldSelect *select)
{
	ApibaseSpecRow *part = apibase_spec_row_for_type(exprType((Node *) select->arg), exprTypmod((Node *) select->arg));

	appendStringInfoChar(context->buf, '(');
	deparse(context, (Node *) select->arg);
	appendStringInfo(context->buf, ").%s",
					 quote_identifier(NameStr(TupleDescAttr(part->desc, select->fieldnum - 1)->attname)));
}

static void
deparse_cast(DeparseContext *context, Expr *arg, Oid type)
{
	appendStringInfoChar(context->buf, '(');
	deparse(context, (Node *) arg);
	appendStringInfoString(context->buf, ")::");
	append_type(context->buf, type);
}

static void
deparse_func(DeparseContext *context, FuncExpr *func)
{
	ListCell   *lc;

	if (func->funcformat != COERCE_EXPLICIT_CALL)
	{
		deparse_cast(context, linitial(func->args), func->funcresulttype);
		return;
	}
	appendStringInfo(context->buf, "%s(",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(func->funcid)),
												get_func_name(func->funcid)));
	foreach(lc, func->args)
	{
		deparse(context, lfirst(lc));
		if (lnext(func->args, lc))
			appendStringInfoString(context->buf, ", ");
	}
	appendStringInfoChar(context->buf, ')');
}

static void
deparse_op(DeparseContext *context, Oid opno, List *args, const char *quantifier)
{
	appendStringInfoChar(context->buf, '(');
	deparse(context, linitial(args));
	append_operator(context->buf, opno);
	if (quantifier)
		appendStringInfo(context->buf, "%s (", quantifier);
	if (has_literal(opno, args))
		deparse_literal(context, lsecond(args));
	else
		deparse(context, lsecond(args));
	appendStringInfoString(context->buf, quantifier ? "))" : ")");
}

static void
deparse_bool(DeparseContext *context, BoolExpr *expr)
{
	ListCell   *lc;

	appendStringInfoString(context->buf, expr->boolop == NOT_EXPR ? "(NOT " : "(");
	foreach(lc, expr->args)
	{
		deparse(context, lfirst(lc));
		if (lnext(expr->args, lc))
			appendStringInfoString(context->buf, expr->boolop == AND_EXPR ? " AND " : " OR ");
	}
	appendStringInfoChar(context->buf, ')');
}

/* IS NULL of a composite value would look at its fields; IS NOT DISTINCT FROM NULL looks at the value. */
static void
deparse_null_test(DeparseContext *context, NullTest *test)
{
	bool		composite = type_is_rowtype(exprType((Node *) test->arg));
	bool		is_null = test->nulltesttype == IS_NULL;

	appendStringInfoChar(context->buf, '(');
	deparse(context, (Node *) test->arg);
	if (composite)
		appendStringInfoString(context->buf, is_null ? " IS NOT DISTINCT FROM NULL)" : " IS DISTINCT FROM NULL)");
	else
		appendStringInfoString(context->buf, is_null ? " IS NULL)" : " IS NOT NULL)");
}

static void
deparse_case(DeparseContext *context, CaseExpr *expr)
{
	ListCell   *lc;

	appendStringInfoString(context->buf, "CASE");
	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst(lc);

		appendStringInfoString(context->buf, " WHEN ");
		deparse(context, (Node *) when->expr);
		appendStringInfoString(context->buf, " THEN ");
		deparse(context, (Node *) when->result);
	}
	appendStringInfoString(context->buf, " ELSE ");
	deparse(context, (Node *) expr->defresult);
	appendStringInfoString(context->buf, " END");
}

static void
deparse(DeparseContext *context, Node *node)
{
	check_stack_depth();
	switch (nodeTag(node))
	{
		case T_Const:
			deparse_const(context, (Const *) node);
			break;
		case T_Var:
			deparse_var(context, (Var *) node);
			break;
		case T_FieldSelect:
			deparse_field_select(context, (FieldSelect *) node);
			break;
		case T_RelabelType:
			deparse_cast(context, ((RelabelType *) node)->arg, ((RelabelType *) node)->resulttype);
			break;
		case T_CoerceViaIO:
			deparse_cast(context, ((CoerceViaIO *) node)->arg, ((CoerceViaIO *) node)->resulttype);
			break;
		case T_FuncExpr:
			deparse_func(context, (FuncExpr *) node);
			break;
		case T_OpExpr:
			deparse_op(context, ((OpExpr *) node)->opno, ((OpExpr *) node)->args, NULL);
			break;
		case T_ScalarArrayOpExpr:
			{
				ScalarArrayOpExpr *saop = (ScalarArrayOpExpr *) node;

				deparse_op(context, saop->opno, saop->args, saop->useOr ? "ANY" : "ALL");
				break;
			}
		case T_BoolExpr:
			deparse_bool(context, (BoolExpr *) node);
			break;
		case T_NullTest:
			deparse_null_test(context, (NullTest *) node);
			break;
		case T_CaseExpr:
			deparse_case(context, (CaseExpr *) node);
			break;
		default:
			elog(ERROR, "unexpected node in a compiled specification: %d", (int) nodeTag(node));
	}
}

/* Print constants exactly and the same for everybody.  AtEOXact_GUC ends it, also after an error. */
static int
fix_output_settings(void)
{
	int			level = NewGUCNestLevel();
	static const char *const settings[][2] = {
		{"datestyle", "ISO"}, {"intervalstyle", "postgres"}, {"extra_float_digits", "3"},
		{"bytea_output", "hex"}, {"search_path", "pg_catalog, pg_temp"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* See spec.h. */
void
apibase_spec_deparse(StringInfo buf, Expr *expr, ApibaseSpecRow *row, const char *alias,
					 List **params, int *next_param)
{
	DeparseContext context = {buf, row, alias, params, next_param};
	int			level = fix_output_settings();

	deparse(&context, (Node *) expr);
	AtEOXact_GUC(true, level);
}

/* ---------- SQL functions ---------- */

PG_FUNCTION_INFO_V1(apibase_spec_to_sql_condition);
PG_FUNCTION_INFO_V1(apibase_spec_to_sql_params);

/* to_sql_condition(spec, relation regclass, alias text) -> text */
Datum
apibase_spec_to_sql_condition(PG_FUNCTION_ARGS)
{
	ApibaseSpecNode *node;
	ApibaseSpecRow *row;
	StringInfoData buf;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	node = apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0));
	row = apibase_spec_row_for_relation(PG_GETARG_OID(1));
	initStringInfo(&buf);
	apibase_spec_deparse(&buf, apibase_spec_compile(node, row, false), row,
						 PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)), NULL, NULL);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}

/* The constants of a condition as text[] and regtype[]. */
static void
params_as_arrays(List *params, Datum *texts, Datum *types)
{
	int			n = list_length(params);
	Datum	   *text_values = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *text_nulls = palloc(sizeof(bool) * Max(n, 1));
	Datum	   *type_values = palloc(sizeof(Datum) * Max(n, 1));
	int			dims[1] = {n};
	int			lbs[1] = {1};
	int			level = fix_output_settings();

	for (int i = 0; i < n; i++)
	{
		Const	   *con = list_nth(params, i);
		Oid			typoutput;
		bool		isvarlena;

		getTypeOutputInfo(con->consttype, &typoutput, &isvarlena);
		text_nulls[i] = con->constisnull;
		text_values[i] = con->constisnull ? (Datum) 0 :
			CStringGetTextDatum(OidOutputFunctionCall(typoutput, con->constvalue));
		type_values[i] = ObjectIdGetDatum(con->consttype);
	}
	AtEOXact_GUC(true, level);

	*texts = PointerGetDatum(n == 0 ? construct_empty_array(TEXTOID) :
							 construct_md_array(text_values, text_nulls, 1, dims, lbs, TEXTOID, -1, false, TYPALIGN_INT));
	*types = PointerGetDatum(construct_array(type_values, n, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* to_sql_params(spec, relation, alias, first_param) -> (condition, params, types) */
Datum
apibase_spec_to_sql_params(PG_FUNCTION_ARGS)
{
	ApibaseSpecNode *node;
	ApibaseSpecRow *row;
	StringInfoData buf;
	List	   *params = NIL;
	int			next_param;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	next_param = PG_GETARG_INT32(3);
	if (next_param < 1 || next_param > APIBASE_SPEC_MAX_PARAM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("first_param must be between 1 and %d", APIBASE_SPEC_MAX_PARAM)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	node = apibase_spec_decode(PG_GETARG_APIBASE_SPEC_P(0));
	row = apibase_spec_row_for_relation(PG_GETARG_OID(1));
	initStringInfo(&buf);
	apibase_spec_deparse(&buf, apibase_spec_compile(node, row, false), row,
						 PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)), &params, &next_param);
	values[0] = CStringGetTextDatum(buf.data);
	params_as_arrays(params, &values[1], &values[2]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
