/*-------------------------------------------------------------------------
 *
 * spec_support.c
 *	  What the planner is told about row @@ spec.
 *
 * Simplification: where the specification is a constant and the fields of the
 * row can be reached as expressions, the call is replaced by the compiled
 * conditions.  The row may be
 *
 *	- the whole-row Var of a table, view, subquery, function ...: its columns
 *	  become Vars;
 *	- a ROW(...), or the row of a pulled-up view: its expressions;
 *	- a PlaceHolderVar around that, for a view on the nullable side of an
 *	  outer join: each column that is not a plain Var gets a PlaceHolderVar;
 *	- any other composite value that is cheap to repeat: FieldSelects of it.
 *
 * A row whose parts are volatile or hold subplans stays as it is, because the
 * conditions may repeat or skip them.  So does a reference to an outer query:
 * as the planner's own FieldSelect code says, new upper-level Vars cannot be
 * made at this point.
 *
 * A call at the top level of a WHERE clause (see filters_row) compiles as a
 * filter, without the null tests that only tell false from NULL.
 *
 * A call on a jsonb document stays, with conditions for its GIN index
 * (spec_gin.c).  What stays opaque is estimated to pass as few rows as other matching
 * operators do, not the half of them that core would assume.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "spec/spec_stats.h"
#include "spec/spec_support.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/placeholder.h"
#include "parser/parsetree.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

/* The row argument, taken apart: arg of an ApibaseSpecRow. */
typedef struct PlannedRow
{
	PlannerInfo *root;			/* may be NULL */
	Var		   *whole;			/* a whole-row Var of a named composite type */
	List	   *columns;		/* otherwise: expressions, one for each attribute */
	Node	   *value;			/* otherwise: a composite value */
	PlaceHolderVar *placeholder;	/* around columns or value */
	bool		notnull_holds;	/* the Var's table is not under an outer join */
	bool		unsettled;		/* a literal depends on settings, see compile_call */
} PlannedRow;

/* ---------- columns of the row ---------- */

/*
 * A column in the place of a PlaceHolderVar.  A plain Var of the relations
 * below the outer join becomes NULL with them; everything else is wrapped.
 */
static Expr *
under_placeholder(PlannedRow *planned, Expr *expr)
{
	PlaceHolderVar *outer = planned->placeholder;
	PlaceHolderVar *inner;

	if (outer == NULL)
		return expr;
	if (IsA(expr, Var) && ((Var *) expr)->varlevelsup == 0 &&
		bms_is_member(((Var *) expr)->varno, outer->phrels))
	{
		apibase_null_var_like((Var *) expr, outer);
		return expr;
	}
	inner = make_placeholder_expr(planned->root, expr, outer->phrels);
	apibase_null_placeholder_like(inner, outer);
	return (Expr *) inner;
}

static Expr *
planned_column(ApibaseSpecRow *row, AttrNumber attno, bool *notnull)
{
	PlannedRow *planned = row->arg;
	Form_pg_attribute att = TupleDescAttr(row->desc, attno - 1);
	FieldSelect *select;

	if (planned->whole)
	{
		Var		   *var = copyObject(planned->whole);

		var->varattno = attno;
		var->varattnosyn = attno;
		var->vartype = att->atttypid;
		var->vartypmod = att->atttypmod;
		var->varcollid = att->attcollation;
		*notnull = planned->notnull_holds && planned->placeholder == NULL &&
			apibase_attribute_not_null(row->desc, attno);
		return under_placeholder(planned, (Expr *) var);
	}
	*notnull = false;
	if (planned->columns)
		return under_placeholder(planned, copyObject(list_nth(planned->columns, attno - 1)));

	select = makeNode(FieldSelect);
	select->arg = copyObject((Expr *) planned->value);
	select->fieldnum = attno;
	select->resulttype = att->atttypid;
	select->resulttypmod = att->atttypmod;
	select->resultcollid = att->attcollation;
	return under_placeholder(planned, (Expr *) select);
}

/* ---------- which rows can be taken apart ---------- */

/* The range table entry of a Var, or NULL: a Var of a trigger's or index's expression has none. */
static RangeTblEntry *
entry_of(PlannerInfo *root, const Var *var)
{
	if (root == NULL || var->varlevelsup != 0 ||
		(int) var->varno < 1 || (int) var->varno > list_length(root->parse->rtable))
		return NULL;
	return rt_fetch(var->varno, root->parse->rtable);
}

/*
 * Whether NOT NULL constraints of the Var's table hold for the Var: it is a
 * table (not a parent whose children may have fewer constraints), and no outer
 * join can make it NULL.
 */
static bool
notnull_holds(PlannerInfo *root, Var *var)
{
	RangeTblEntry *rte = entry_of(root, var);

	if (rte == NULL || rte->rtekind != RTE_RELATION || apibase_var_is_nullable(root, var))
		return false;
	return rte->relkind == RELKIND_PARTITIONED_TABLE || (rte->relkind == RELKIND_RELATION && !rte->inh);
}

/* The columns of a whole-row Var of type RECORD, with their names as desc. */
static bool
expand_record_var(PlannerInfo *root, Var *var, PlannedRow *planned, TupleDesc *desc)
{
	RangeTblEntry *rte = entry_of(root, var);
	List	   *names;
	List	   *columns;
	AttrNumber	attno = 0;
	ListCell   *name;
	ListCell   *column;

	if (rte == NULL || rte->rtekind == RTE_JOIN)
		return false;
	apibase_expand_whole_row(rte, var, &names, &columns);
	if (columns == NIL)
		return false;

	*desc = CreateTemplateTupleDesc(list_length(columns));
	forboth(name, names, column, columns)
	{
		Node	   *expr = lfirst(column);

		TupleDescInitEntry(*desc, ++attno, strVal(lfirst(name)), exprType(expr), exprTypmod(expr), 0);
		TupleDescInitEntryCollation(*desc, attno, exprCollation(expr));
	}
	planned->columns = columns;
	return true;
}

/* The columns of a ROW(...), with their names as desc. */
static bool
expand_row_expr(RowExpr *expr, PlannedRow *planned, TupleDesc *desc)
{
	AttrNumber	attno = 0;
	ListCell   *arg;

	if (contain_volatile_functions((Node *) expr) || contain_subplans((Node *) expr))
		return false;
	planned->columns = expr->args;
	if (expr->row_typeid != RECORDOID)
	{
		TupleDesc	named = lookup_rowtype_tupdesc_domain(expr->row_typeid, -1, false);

		*desc = CreateTupleDescCopy(named);
		ReleaseTupleDesc(named);
		/* a column may have been added since the row was written */
		return list_length(expr->args) >= (*desc)->natts;
	}

	*desc = CreateTemplateTupleDesc(list_length(expr->args));
	foreach(arg, expr->args)
	{
		Node	   *column = lfirst(arg);
		char	   *name = attno < list_length(expr->colnames) ?
			strVal(list_nth(expr->colnames, attno)) : psprintf("f%d", attno + 1);

		attno++;
		TupleDescInitEntry(*desc, attno, name, exprType(column), exprTypmod(column), 0);
		TupleDescInitEntryCollation(*desc, attno, exprCollation(column));
	}
	return true;
}

/* Whether a composite value can be repeated: it is read, not computed. */
static bool
cheap_to_repeat(Node *node)
{
	while (IsA(node, FieldSelect))
		node = (Node *) ((FieldSelect *) node)->arg;
	return IsA(node, Const) || IsA(node, Param) || (IsA(node, Var) && ((Var *) node)->varlevelsup == 0);
}

/* Take the row argument apart.  Returns false if it cannot be done. */
static bool
plan_row(PlannerInfo *root, Node *arg, PlannedRow *planned, ApibaseSpecRow *row)
{
	Oid			type = exprType(arg);

	planned->root = root;
	row->column = planned_column;
	row->arg = planned;

	if (IsA(arg, PlaceHolderVar))
	{
		planned->placeholder = (PlaceHolderVar *) arg;
		if (root == NULL || planned->placeholder->phlevelsup != 0)
			return false;
		arg = (Node *) planned->placeholder->phexpr;
	}

	if (IsA(arg, RowExpr))
		return expand_row_expr((RowExpr *) arg, planned, &row->desc);

	if (IsA(arg, Var) && ((Var *) arg)->varattno == InvalidAttrNumber)
	{
		Var		   *var = (Var *) arg;

		if (var->varlevelsup != 0)
			return false;
		if (type == RECORDOID)
			return expand_record_var(root, var, planned, &row->desc);
		planned->whole = var;
		planned->notnull_holds = notnull_holds(root, var);
	}
	else if (type == RECORDOID || !type_is_rowtype(type) || !cheap_to_repeat(arg))
		return false;
	else
		planned->value = arg;

	row->desc = lookup_rowtype_tupdesc_domain(type, -1, false);
	if (type_is_rowtype(type))
		row->name = format_type_be(type);
	return true;
}

/* Whether fields of the row are constants, so that there is more to simplify. */
static bool
has_constants(const PlannedRow *planned)
{
	ListCell   *lc;

	foreach(lc, planned->columns)
	{
		if (IsA(lfirst(lc), Const))
			return true;
	}
	return planned->value != NULL && IsA(planned->value, Const);
}

/* ---------- where the call stands ---------- */

/* Argument n of a call that may name its arguments. */
static Node *
call_argument(List *args, int n)
{
	ListCell   *lc;

	foreach(lc, args)
	{
		if (IsA(lfirst(lc), NamedArgExpr) && ((NamedArgExpr *) lfirst(lc))->argnumber == n)
			return (Node *) ((NamedArgExpr *) lfirst(lc))->arg;
	}
	return list_nth(args, n);
}

/*
 * Set while an argument of another call is simplified.  It can have calls in it
 * itself, and looking for those among the others would have no end.
 */
static bool comparing = false;

static Node *
simplify_argument(PlannerInfo *root, Node *node)
{
	Node	   *volatile simplified = NULL;

	comparing = true;
	PG_TRY();
	{
		simplified = eval_const_expressions(root, node);
	}
	PG_CATCH();
	{
		comparing = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	comparing = false;
	return simplified;
}

/* Whether an argument that is not simplified yet becomes the simplified one. */
static bool
becomes(PlannerInfo *root, Node *node, Node *simplified)
{
	if (IsA(node, Const))
		return equal(node, simplified);
	if (IsA(node, Var))
	{
		RangeTblEntry *rte = entry_of(root, (Var *) node);

		if (rte == NULL || rte->rtekind != RTE_JOIN)
			return equal(node, simplified);
		/* the alias of a join */
		node = apibase_flatten_join_alias(root, node);
	}
	return equal(simplify_argument(root, node), simplified);
}

/* Whether the node, not simplified yet, is the call of the function with these arguments. */
static bool
is_same_call(PlannerInfo *root, Node *node, Oid funcid, List *args)
{
	List	   *list;

	if (IsA(node, OpExpr))
	{
		set_opfuncid((OpExpr *) node);
		if (((OpExpr *) node)->opfuncid != funcid)
			return false;
		list = ((OpExpr *) node)->args;
	}
	else if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == funcid)
		list = ((FuncExpr *) node)->args;
	else
		return false;
	return becomes(root, call_argument(list, 1), lsecond(args)) &&
		becomes(root, call_argument(list, 0), linitial(args));
}

/* Whether the call is one of the conditions that quals ANDs together. */
static bool
is_conjunct(PlannerInfo *root, Node *quals, Oid funcid, List *args)
{
	List	   *list;
	ListCell   *lc;

	if (quals == NULL)
		return false;
	if (IsA(quals, List) || is_andclause(quals))
	{
		list = IsA(quals, List) ? (List *) quals : ((BoolExpr *) quals)->args;
		foreach(lc, list)
		{
			if (is_conjunct(root, lfirst(lc), funcid, args))
				return true;
		}
		return false;
	}
	return is_same_call(root, quals, funcid, args);
}

/* A call to look for. */
typedef struct SameCall
{
	PlannerInfo *root;
	Oid			funcid;
	List	   *args;
} SameCall;

/* Walker: whether there is the same call. */
static bool
has_same_call(Node *node, SameCall *call)
{
	if (node == NULL)
		return false;
	return is_same_call(call->root, node, call->funcid, call->args) ||
		expression_tree_walker(node, has_same_call, call);
}

/*
 * Whether the call can be one that is evaluated on the result of grouping sets,
 * or grouped by.  They make NULL what they group by: the row, but not its
 * columns; columns that are grouped by themselves, but not the row; the call,
 * but not a constant that it becomes.
 */
static bool
follows_grouping_sets(PlannerInfo *root, Oid funcid, List *args)
{
	SameCall	call = {.root = root, .funcid = funcid, .args = args};

	return root != NULL && root->parse->groupingSets != NIL &&
		(comparing || has_same_call((Node *) root->parse->targetList, &call) ||
		 has_same_call(root->parse->havingQual, &call) ||
		 has_same_call((Node *) apibase_group_expressions(root->parse), &call));
}

/* Walker: whether there is a call of the function. */
static bool
has_call(Node *node, Oid *funcid)
{
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr))
		set_opfuncid((OpExpr *) node);
	if ((IsA(node, OpExpr) && ((OpExpr *) node)->opfuncid == *funcid) ||
		(IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == *funcid))
		return true;
	return expression_tree_walker(node, has_call, funcid);
}

/* Whether the ON of an outer join has a call of the function. */
static bool
outer_join_has_call(Node *jtnode, Oid funcid)
{
	ListCell   *lc;

	if (IsA(jtnode, FromExpr))
	{
		foreach(lc, ((FromExpr *) jtnode)->fromlist)
		{
			if (outer_join_has_call(lfirst(lc), funcid))
				return true;
		}
	}
	else if (IsA(jtnode, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) jtnode;

		return (IS_OUTER_JOIN(join->jointype) && join->jointype != JOIN_ANTI && has_call(join->quals, &funcid)) ||
			outer_join_has_call(join->larg, funcid) || outer_join_has_call(join->rarg, funcid);
	}
	return false;
}

/* Whether the row is a relation of that part of the join tree. */
static bool
is_row_of(Node *jtnode, Node *row)
{
	ListCell   *lc;

	if (!IsA(row, Var))
		return false;
	if (IsA(jtnode, RangeTblRef))
		return ((RangeTblRef *) jtnode)->rtindex == (int) ((Var *) row)->varno;
	if (IsA(jtnode, JoinExpr))
		return is_row_of(((JoinExpr *) jtnode)->larg, row) || is_row_of(((JoinExpr *) jtnode)->rarg, row);
	foreach(lc, ((FromExpr *) jtnode)->fromlist)
	{
		if (is_row_of(lfirst(lc), row))
			return true;
	}
	return false;
}

/*
 * The same for the join tree: WHERE, ON of inner joins, and what was the WHERE
 * of an EXISTS or IN, whose rows nobody else sees.  The side of a join whose
 * rows it makes NULL is not searched.
 */
static bool
is_join_conjunct(PlannerInfo *root, Node *jtnode, Oid funcid, List *args)
{
	JoinExpr   *join;
	ListCell   *lc;

	if (IsA(jtnode, FromExpr))
	{
		FromExpr   *from = (FromExpr *) jtnode;

		if (is_conjunct(root, from->quals, funcid, args))
			return true;
		foreach(lc, from->fromlist)
		{
			if (is_join_conjunct(root, lfirst(lc), funcid, args))
				return true;
		}
		return false;
	}
	if (!IsA(jtnode, JoinExpr))
		return false;

	join = (JoinExpr *) jtnode;
	switch (join->jointype)
	{
		case JOIN_INNER:
			return is_conjunct(root, join->quals, funcid, args) ||
				is_join_conjunct(root, join->larg, funcid, args) ||
				is_join_conjunct(root, join->rarg, funcid, args);
		case JOIN_SEMI:
		case JOIN_ANTI:
			if (is_row_of(join->rarg, linitial(args)))
				return is_conjunct(root, join->quals, funcid, args) ||
					is_join_conjunct(root, join->rarg, funcid, args);
			return is_join_conjunct(root, join->larg, funcid, args);
		case JOIN_LEFT:
			return is_join_conjunct(root, join->larg, funcid, args);
		case JOIN_RIGHT:
			return is_join_conjunct(root, join->rarg, funcid, args);
		default:
			return false;
	}
}

/*
 * Whether a false call and a NULL call have the same effect.  That is so when
 * an equal condition is ANDed into the query's WHERE: whatever row the call is
 * evaluated for, here or elsewhere in the query, does not come out of the
 * WHERE unless the call is true.  The call is simplified while its clause still
 * stands in the query as it was written, so it can be looked for there.
 *
 * Some places see rows that the WHERE does not see, or not so: RETURNING and
 * WITH CHECK of an UPDATE see the new row; and the ON of an outer join may make
 * a row NULL before the WHERE.  The ONs are simplified before the WHERE; a call
 * that still stands in one is perhaps this call.  Row security is applied below
 * outer joins, so it says nothing of a row that one of them can make NULL.
 */
static bool
filters_row(PlannerInfo *root, Oid funcid, List *args)
{
	Node	   *row = linitial(args);
	RangeTblEntry *rte;
	ListCell   *lc;

	if (root == NULL || root->parse == NULL || comparing || root->parse->returningList != NIL ||
		root->parse->withCheckOptions != NIL ||
		outer_join_has_call((Node *) root->parse->jointree, funcid))
		return false;
	if (is_join_conjunct(root, (Node *) root->parse->jointree, funcid, args))
		return true;

	/* row security */
	rte = IsA(row, Var) ? entry_of(root, (Var *) row) : NULL;
	if (rte != NULL && !apibase_var_is_nullable(root, (Var *) row))
	{
		foreach(lc, rte->securityQuals)
		{
			if (is_conjunct(root, lfirst(lc), funcid, args))
				return true;
		}
	}
	return false;
}

/* ---------- the support function ---------- */

/* The plan depends on the layout of a composite type: it is made again when that changes. */
static void
depend_on_type(PlannerInfo *root, Oid type)
{
	Oid			relid = type == RECORDOID ? InvalidOid : get_typ_typrelid(getBaseType(type));

	if (OidIsValid(relid))
		root->glob->relationOids = list_append_unique_oid(root->glob->relationOids, relid);
}

/* Walker: the same for the composite values that fields are taken from. */
static bool
depend_on_fields(Node *node, PlannerInfo *root)
{
	if (node == NULL)
		return false;
	if (IsA(node, FieldSelect))
		depend_on_type(root, exprType((Node *) ((FieldSelect *) node)->arg));
	return expression_tree_walker(node, depend_on_fields, root);
}

/*
 * The compiled conditions.  What the server keeps as the definition of an index
 * or a constraint (root is NULL) is compiled again in each session.  A literal
 * that means something else under other settings must not be a constant there,
 * or an index would hold the rows of one meaning and be used for another.  The
 * call stays then, and is not accepted for an index, because it is only STABLE.
 */
static Expr *
compile_call(PlannerInfo *root, FuncExpr *call, ApibaseSpecRow *row)
{
	Const	   *spec = lsecond(call->args);
	PlannedRow *planned = row->arg;
	Expr	   *result;

	if (root == NULL)
		row->unsettled = &planned->unsettled;
	result = apibase_spec_compile(apibase_spec_decode(DatumGetApibaseSpecP(spec->constvalue)), row,
								  filters_row(root, call->funcid, call->args));
	if (root != NULL)
	{
		depend_on_type(root, exprType(linitial(call->args)));
		depend_on_fields((Node *) result, root);
	}
	return planned->unsettled ? NULL : result;
}

static Node *
simplify(SupportRequestSimplify *request)
{
	FuncExpr   *call = request->fcall;
	Const	   *spec = lsecond(call->args);
	ApibaseSpecRow row = {0};
	PlannedRow	planned = {0};
	Expr	   *result = NULL;

	if (IsA(spec, Const) && spec->constisnull)
		return (Node *) makeBoolConst(false, true);
	if (IsA(spec, Const) && !follows_grouping_sets(request->root, call->funcid, call->args) &&
		plan_row(request->root, linitial(call->args), &planned, &row))
	{
		result = compile_call(request->root, call, &row);
		if (row.desc->tdrefcount >= 0)
			ReleaseTupleDesc(row.desc);
		if (result != NULL && has_constants(&planned))
			result = (Expr *) eval_const_expressions(request->root, (Node *) result);
	}
	apibase_spec_count(result != NULL ? APIBASE_SPEC_INLINED : APIBASE_SPEC_OPAQUE);
	return (Node *) result;
}

PG_FUNCTION_INFO_V1(apibase_spec_support);
PG_FUNCTION_INFO_V1(apibase_spec_restrict_selectivity);

/* Support function of is_satisfied_by(). */
Datum
apibase_spec_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(simplify((SupportRequestSimplify *) request));
	if (IsA(request, SupportRequestSelectivity))
	{
		((SupportRequestSelectivity *) request)->selectivity = DEFAULT_MATCHING_SEL;
		PG_RETURN_POINTER(request);
	}
	if (IsA(request, SupportRequestIndexCondition))
	{
		((SupportRequestIndexCondition *) request)->lossy = true;
		PG_RETURN_POINTER(apibase_spec_index_conditions((SupportRequestIndexCondition *) request));
	}
	PG_RETURN_POINTER(NULL);
}

/* RESTRICT estimator of @@ for calls that stayed opaque. */
Datum
apibase_spec_restrict_selectivity(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(DEFAULT_MATCHING_SEL);
}
