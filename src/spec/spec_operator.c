/*-------------------------------------------------------------------------
 *
 * spec_operator.c
 *	  Operators for the fields of a specification, found by type.
 *
 * Comparisons come from the type's default btree operator class, by strategy
 * number, with a look at the operator's name: in a class of reverse order
 * strategy 1 is ">".  Other operators are found by name in pg_catalog, then
 * in the schema of the type itself (citext, ltree, hstore bring their own),
 * never through search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "spec/spec_compile.h"

#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* What a comparison is called, and its place in a btree of usual order. */
static const struct
{
	const char *name;
	StrategyNumber strategy;
}			comparisons[] = {
	[APIBASE_SPEC_EQ] = {"=", BTEqualStrategyNumber},
	[APIBASE_SPEC_LT] = {"<", BTLessStrategyNumber},
	[APIBASE_SPEC_LE] = {"<=", BTLessEqualStrategyNumber},
	[APIBASE_SPEC_GT] = {">", BTGreaterStrategyNumber},
	[APIBASE_SPEC_GE] = {">=", BTGreaterEqualStrategyNumber},
};

/* Whether an operator has that name. */
static bool
has_name(Oid opno, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return false;
	same = strcmp(NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname), name) == 0;
	ReleaseSysCache(tuple);
	return same;
}

/* The member of a btree family that compares so, by strategy and name. */
static Oid
family_member(Oid family, Oid left, Oid right, ApibaseSpecOp op)
{
	const char *name = comparisons[op].name;
	Oid			opno = get_opfamily_member(family, left, right, comparisons[op].strategy);

	if (!OidIsValid(opno) || has_name(opno, name))
		return opno;
	for (StrategyNumber s = 1; s <= BTMaxStrategyNumber; s++)
	{
		opno = get_opfamily_member(family, left, right, s);
		if (OidIsValid(opno) && has_name(opno, name))
			return opno;
	}
	return InvalidOid;
}

/* An operator with the types that its operands must have for a field of that base type. */
static ApibaseSpecOperator
describe_operator(Oid opno, Oid type, Oid right)
{
	ApibaseSpecOperator result = {.opno = opno};

	if (OidIsValid(opno))
	{
		op_input_types(opno, &result.left, &result.right);
		if (IsPolymorphicType(result.left) || result.left == RECORDOID)
			result.left = type;
		if (IsPolymorphicType(result.right) || result.right == RECORDOID)
			result.right = OidIsValid(right) ? right : type;
	}
	return result;
}

/* The comparison of a base type with itself (right invalid) or with another type; opno is invalid if there is none. */
static ApibaseSpecOperator
find_comparison(Oid type, Oid right, ApibaseSpecOp op)
{
	/* eq_opr, lt_opr and gt_opr of arrays, ranges and composites are set only if the parts can be compared */
	int			flags = TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR;
	TypeCacheEntry *entry = lookup_type_cache(type, flags);
	Oid			opno = InvalidOid;

	if (OidIsValid(right) && right != type)
	{
		if (OidIsValid(entry->btree_opf))
			opno = family_member(entry->btree_opf, entry->btree_opintype, right, op);
	}
	else if (op == APIBASE_SPEC_EQ)
		opno = entry->eq_opr;
	else if (OidIsValid(entry->lt_opr))
		opno = family_member(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, op);
	return describe_operator(opno, type, right);
}

bool
apibase_spec_has_comparison(Oid type, Oid right, ApibaseSpecOp op)
{
	return OidIsValid(find_comparison(type, right, op).opno);
}

/* The same; raises undefined_function if there is none. */
ApibaseSpecOperator
apibase_spec_comparison(Oid type, Oid right, ApibaseSpecOp op)
{
	ApibaseSpecOperator result = find_comparison(type, right, op);

	if (!OidIsValid(result.opno))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s has no operator \"%s\" for specifications",
						format_type_be(type), comparisons[op].name),
				 errdetail("Comparisons use the default btree operator class of a type, and = its default hash class as well.")));
	return result;
}

/*
 * An operator of that name in the schema of a type, on the type itself, or
 * with text.  Others may be allowed to create operators there, so it must
 * be the work of the type's owner, or of a superuser.
 */
static Oid
own_operator(Oid type, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	List	   *names;
	Oid			owner;
	Oid			opno;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	owner = form->typowner;
	names = list_make2(makeString(get_namespace_name(form->typnamespace)), makeString(unconstify(char *, name)));
	ReleaseSysCache(tuple);

	opno = OpernameGetOprid(names, type, type);
	if (!OidIsValid(opno))
		opno = OpernameGetOprid(names, type, TEXTOID);
	if (!OidIsValid(opno))
		return InvalidOid;

	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	if (((Form_pg_operator) GETSTRUCT(tuple))->oprowner != owner &&
		!superuser_arg(((Form_pg_operator) GETSTRUCT(tuple))->oprowner))
		opno = InvalidOid;
	ReleaseSysCache(tuple);
	return opno;
}

/* An operator of that name on a base type, the right side of the same type or as the operator has it. */
bool
apibase_spec_named_operator(Oid type, const char *name, ApibaseSpecOperator *operator)
{
	List	   *builtin = list_make2(makeString("pg_catalog"), makeString(unconstify(char *, name)));
	char		typtype = get_typtype(type);
	Oid			opno = InvalidOid;

	if (OidIsValid(get_element_type(type)))
		opno = OpernameGetOprid(builtin, ANYARRAYOID, ANYARRAYOID);
	else if (typtype == TYPTYPE_RANGE)
		opno = OpernameGetOprid(builtin, ANYRANGEOID, ANYRANGEOID);
	else if (typtype == TYPTYPE_MULTIRANGE)
		opno = OpernameGetOprid(builtin, ANYMULTIRANGEOID, ANYMULTIRANGEOID);
	if (!OidIsValid(opno))
		opno = OpernameGetOprid(builtin, type, type);
	if (!OidIsValid(opno))
		opno = OpernameGetOprid(builtin, type, TEXTOID);
	if (!OidIsValid(opno))
		opno = own_operator(type, name);
	*operator = describe_operator(opno, type, InvalidOid);
	return OidIsValid(opno) && get_op_rettype(opno) == BOOLOID;
}

/* The field as an operand of that type; where a cast is needed, the implicit one. */
Expr *
apibase_spec_operand(const ApibaseSpecField *field, Oid type)
{
	Expr	   *expr = copyObject(field->expr);
	Node	   *node;

	if (field->type == type)
		return expr;
	if (IsBinaryCoercible(getBaseType(field->type), type) || getBaseType(field->type) == type)
		return (Expr *) makeRelabelType(expr, type, -1, field->collation, COERCE_IMPLICIT_CAST);
	node = coerce_type(NULL, (Node *) expr, field->type, type, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	exprSetCollation(node, field->collation);
	if (IsA(node, FuncExpr))
		exprSetInputCollation(node, field->collation);
	return (Expr *) node;
}

/* field operator right; negated by the operator's negator, or by NOT. */
Expr *
apibase_spec_call(const ApibaseSpecOperator *operator, const ApibaseSpecField *field, Expr *right, bool negated)
{
	Oid			negator = negated ? get_negator(operator->opno) : InvalidOid;
	Oid			opno = OidIsValid(negator) ? negator : operator->opno;
	Expr	   *call = make_opclause(opno, BOOLOID, false, apibase_spec_operand(field, operator->left), right,
									 InvalidOid, field->collation);

	set_opfuncid((OpExpr *) call);
	return negated && !OidIsValid(negator) ? make_notclause(call) : call;
}

/* field = ANY (constants), or negated <> ALL; two or more constants of the operator's right type. */
Expr *
apibase_spec_call_any(const ApibaseSpecOperator *operator, const ApibaseSpecField *field,
					  List *constants, bool negated)
{
	Oid			negator = negated ? get_negator(operator->opno) : InvalidOid;
	Oid			array_type = get_array_type(operator->right);
	Datum	   *values = palloc(sizeof(Datum) * list_length(constants));
	int			n = 0;
	char		typalign;
	int16		typlen;
	bool		typbyval;
	ArrayType  *array;
	ScalarArrayOpExpr *saop = makeNode(ScalarArrayOpExpr);
	ListCell   *lc;

	foreach(lc, constants)
		values[n++] = ((Const *) lfirst(lc))->constvalue;
	get_typlenbyvalalign(operator->right, &typlen, &typbyval, &typalign);
	array = construct_array(values, n, operator->right, typlen, typbyval, typalign);

	saop->opno = OidIsValid(negator) ? negator : operator->opno;
	set_sa_opfuncid(saop);
	saop->useOr = !OidIsValid(negator);
	saop->inputcollid = field->collation;
	saop->args = list_make2(apibase_spec_operand(field, operator->left),
							makeConst(array_type, -1, get_typcollation(array_type), -1, PointerGetDatum(array), false, false));
	saop->location = -1;
	return negated && !OidIsValid(negator) ? make_notclause((Expr *) saop) : (Expr *) saop;
}
