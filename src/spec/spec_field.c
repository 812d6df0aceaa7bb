/*-------------------------------------------------------------------------
 *
 * spec_field.c
 *	  Fields of a specification: from a path to an expression over a row.
 *
 * The first step of a path names a column.  Further steps select fields of
 * composite columns (FieldSelect) or, once a step stands on a jsonb value,
 * keys and elements of it (the operator ->, one for each step).  The
 * expressions are as the planner would have simplified them, because what a
 * support function returns is not simplified again.
 *
 * Names are compared exactly; nothing is looked up in search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/closest.h"
#include "core/compat.h"
#include "spec/spec.h"

#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* pg_operator.dat gives these no symbols */
#define JSONB_FIELD_OP			3211	/* jsonb -> text */
#define JSONB_ELEMENT_OP		3212	/* jsonb -> integer */
#define JSONB_FIELD_TEXT_OP		3477	/* jsonb ->> text */
#define JSONB_ELEMENT_TEXT_OP	3481	/* jsonb ->> integer */

/* The column whose name is closest to the one that was not found, or NULL. */
static const char *
closest_column(TupleDesc desc, const char *name)
{
	const char **names = palloc(desc->natts * sizeof(char *));
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			names[n++] = NameStr(att->attname);
	}
	return apibase_closest(name, names, n);
}

/* Raise undefined_column for a step of a path. */
static void
unknown_field(TupleDesc desc, const char *name, const List *path, const char *owner)
{
	const char *closest = closest_column(desc, name);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 owner ? errmsg("field \"%s\" of the specification does not exist in \"%s\"", name, owner) :
			 errmsg("field \"%s\" of the specification does not exist", name),
			 list_length(path) > 1 ? errdetail("The whole path is %s.", apibase_spec_path_text(path)) : 0,
			 closest ? errhint("Perhaps you meant the field %s.", quote_identifier(closest)) : 0));
}

/* The attribute of that name, or NULL. */
static Form_pg_attribute
find_attribute(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (strcmp(NameStr(att->attname), name) == 0 && !att->attisdropped)
			return att;
	}
	return NULL;
}

/* x -> 'name', x -> index, or with as_text ->>. */
static Expr *
jsonb_step(Expr *value, const ApibaseSpecStep *step, bool as_text)
{
	OpExpr	   *op = makeNode(OpExpr);
	Expr	   *key;

	if (step->name)
	{
		op->opno = as_text ? JSONB_FIELD_TEXT_OP : JSONB_FIELD_OP;
		op->opfuncid = as_text ? F_JSONB_OBJECT_FIELD_TEXT : F_JSONB_OBJECT_FIELD;
		key = (Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								 CStringGetTextDatum(step->name), false, false);
	}
	else
	{
		op->opno = as_text ? JSONB_ELEMENT_TEXT_OP : JSONB_ELEMENT_OP;
		op->opfuncid = as_text ? F_JSONB_ARRAY_ELEMENT_TEXT : F_JSONB_ARRAY_ELEMENT;
		key = (Expr *) makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(step->index), false, true);
	}
	op->opresulttype = as_text ? TEXTOID : JSONBOID;
	op->opcollid = as_text ? DEFAULT_COLLATION_OID : InvalidOid;
	op->inputcollid = step->name ? DEFAULT_COLLATION_OID : InvalidOid;
	op->args = list_make2(value, key);
	op->location = -1;
	return (Expr *) op;
}

/* The rest of a path, within a jsonb value. */
static void
resolve_json_path(Expr *value, const List *path, int from, ApibaseSpecField *field)
{
	int			last = list_length(path) - 1;

	for (int i = from; i <= last; i++)
	{
		ApibaseSpecStep *step = list_nth(path, i);

		if (i == last)
			field->text = jsonb_step(copyObject(value), step, true);
		value = jsonb_step(value, step, false);
	}
	field->expr = value;
	field->type = JSONBOID;
	field->typmod = -1;
	field->collation = InvalidOid;
	field->notnull = false;
	field->json = true;
}

/* A field of a composite value. */
static void
resolve_composite_step(const ApibaseSpecStep *step, ApibaseSpecField *field)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_domain(field->type, field->typmod, false);
	Form_pg_attribute att = step->name ? find_attribute(desc, step->name) : NULL;
	FieldSelect *select;

	if (att == NULL)
		unknown_field(desc, step->name ? step->name : psprintf("[%d]", step->index),
					  field->path, format_type_be(field->type));
	select = makeNode(FieldSelect);
	select->arg = field->expr;
	select->fieldnum = att->attnum;
	select->resulttype = att->atttypid;
	select->resulttypmod = att->atttypmod;
	select->resultcollid = att->attcollation;

	field->expr = (Expr *) select;
	field->type = att->atttypid;
	field->typmod = att->atttypmod;
	field->collation = att->attcollation;
	field->notnull = false;
	ReleaseTupleDesc(desc);
}

/* A path goes on below a value that has no parts. */
static void
no_such_part(const ApibaseSpecField *field, const ApibaseSpecStep *step)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 step->name ? errmsg("%s: a value of type %s has no field \"%s\"",
								 apibase_spec_path_text(field->path), format_type_be(field->type), step->name) :
			 errmsg("%s: a value of type %s has no element [%d]",
					apibase_spec_path_text(field->path), format_type_be(field->type), step->index),
			 errdetail("Paths lead into composite and jsonb values."),
			 getBaseType(field->type) == JSONOID ? errhint("Store the document as jsonb.") :
			 type_is_array_domain(field->type) ? errhint("Use contains or overlaps to test the elements of an array.") : 0));
}

/* A literal without a type, as in ROW(1, 'a'), is text. */
static void
take_as_text(ApibaseSpecField *field)
{
	field->expr = (Expr *) coerce_type(NULL, (Node *) field->expr, UNKNOWNOID, TEXTOID, -1,
									   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	field->type = TEXTOID;
	field->collation = DEFAULT_COLLATION_OID;
	exprSetCollation((Node *) field->expr, field->collation);
}

/* Find what a path stands for in a row; see ApibaseSpecField. */
void
apibase_spec_resolve_field(ApibaseSpecRow *row, const List *path, ApibaseSpecField *field)
{
	ApibaseSpecStep *first = linitial(path);
	Form_pg_attribute att;

	memset(field, 0, sizeof(*field));
	field->path = path;
	field->unsettled = row->unsettled;
	if (row->desc == NULL)
	{
		resolve_json_path(copyObject(row->document), path, 0, field);
		return;
	}

	att = find_attribute(row->desc, first->name);
	if (att == NULL)
		unknown_field(row->desc, first->name, path, row->name);
	field->expr = row->column(row, att->attnum, &field->notnull);
	field->type = att->atttypid;
	field->typmod = att->atttypmod;
	field->collation = att->attcollation;
	if (field->type == UNKNOWNOID)
		take_as_text(field);

	for (int i = 1; i < list_length(path); i++)
	{
		ApibaseSpecStep *step = list_nth(path, i);
		Oid			base = getBaseType(field->type);

		if (base == JSONBOID)
		{
			if (field->type != JSONBOID)
				field->expr = (Expr *) makeRelabelType(field->expr, JSONBOID, -1, InvalidOid,
													   COERCE_IMPLICIT_CAST);
			resolve_json_path(field->expr, path, i, field);
			return;
		}
		if (!type_is_rowtype(base))
			no_such_part(field, step);
		resolve_composite_step(step, field);
	}
}

/* A column as a plain Var, for evaluation in memory and for printing. */
static Expr *
column_var(ApibaseSpecRow *row, AttrNumber attno, bool *notnull)
{
	Form_pg_attribute att = TupleDescAttr(row->desc, attno - 1);

	*notnull = row->table && apibase_attribute_not_null(row->desc, attno);
	return (Expr *) makeVar(1, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/* The row of a composite type; typmod matters for RECORD only. */
ApibaseSpecRow *
apibase_spec_row_for_type(Oid rowtype, int32 typmod)
{
	ApibaseSpecRow *row = palloc0(sizeof(ApibaseSpecRow));
	TupleDesc	desc = lookup_rowtype_tupdesc_domain(rowtype, typmod, false);

	row->desc = CreateTupleDescCopyConstr(desc);
	ReleaseTupleDesc(desc);
	/* in a row that is a value, virtual columns are computed (18), and the executor refuses to read one that is not */
	for (int i = 0; i < row->desc->natts; i++)
		TupleDescAttr(row->desc, i)->attgenerated = '\0';
	row->column = column_var;
	if (rowtype != RECORDOID)
		row->name = format_type_be(rowtype);
	return row;
}

/* The row of a relation that has rows: table, view, materialized view, foreign table. */
ApibaseSpecRow *
apibase_spec_row_for_relation(Oid relid)
{
	char		relkind = get_rel_relkind(relid);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_VIEW && relkind != RELKIND_MATVIEW && relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or view", get_rel_name(relid)),
				 errhint("Specifications apply to tables, views, materialized views and foreign tables.")));
	return apibase_spec_row_for_type(get_rel_type_id(relid), -1);
}
