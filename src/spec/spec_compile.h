/*-------------------------------------------------------------------------
 *
 * spec_compile.h
 *	  What the files of the compiler share.
 *
 * A "test" is an expression that is true or false for a field that is not
 * NULL, and NULL or a constant otherwise; spec_compile.c makes it two-valued.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_COMPILE_H
#define APIBASE_SPEC_COMPILE_H

#include "spec/spec.h"

/* ---------- spec_operator.c: operators by the type of a field, and calls of them ---------- */

/* An operator for a field: what to call it on. */
typedef struct ApibaseSpecOperator
{
	Oid			opno;
	Oid			left;			/* what the field is taken as */
	Oid			right;			/* what the constant must be */
} ApibaseSpecOperator;

extern ApibaseSpecOperator apibase_spec_comparison(Oid type, Oid right, ApibaseSpecOp op);
extern bool apibase_spec_has_comparison(Oid type, Oid right, ApibaseSpecOp op);
extern bool apibase_spec_named_operator(Oid type, const char *name, ApibaseSpecOperator *operator);
extern Expr *apibase_spec_call(const ApibaseSpecOperator *operator, const ApibaseSpecField *field, Expr *right, bool negated);
extern Expr *apibase_spec_call_any(const ApibaseSpecOperator *operator, const ApibaseSpecField *field,
								   List *constants, bool negated);
extern Expr *apibase_spec_operand(const ApibaseSpecField *field, Oid type);

/* ---------- spec_compile.c ---------- */

extern Expr *apibase_spec_and_exprs(List *exprs);	/* flat, constants folded */
extern Expr *apibase_spec_or_exprs(List *exprs);
extern Expr *apibase_spec_not_expr(Expr *expr);

/* ---------- spec_compare.c ---------- */

extern Expr *apibase_spec_compare(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated,
								  const ApibaseSpecValue *value);
extern Expr *apibase_spec_in_test(const ApibaseSpecField *field, List *values, bool negated);	/* NULLs are left out */
extern Expr *apibase_spec_operator_test(const ApibaseSpecField *field, ApibaseSpecOp op, bool negated,
										const ApibaseSpecValue *value);

/* ---------- spec_compile_json.c: the same for paths into jsonb ---------- */

extern Const *apibase_spec_json_array(const ApibaseSpecValue *value, const ApibaseSpecField *field);
extern List *apibase_spec_json_elements(const ApibaseSpecValue *value, const ApibaseSpecField *field);
extern Expr *apibase_spec_json_test(const ApibaseSpecField *field, const ApibaseSpecNode *clause, bool negated);

#endif							/* APIBASE_SPEC_COMPILE_H */
