/*-------------------------------------------------------------------------
 *
 * result_constraint.c
 *	  The columns that a violated constraint is about, from its name.
 *
 * The server names schema, table and constraint (or column) of a violation in
 * the fields of the error; the rest is in the catalog.  What is said is made
 * here, for message and DETAIL of such errors have the values of the row.
 *
 * This runs while an error is handled, after the effects of what failed were
 * undone: the table, the constraint or the index may be gone.  So each
 * lookup may find nothing, and then less is said; none raises.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "result/result_impl.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static bool
is_set(const char *field)
{
	return field != NULL && field[0] != '\0';
}

/*
 * The table that an error names; InvalidOid if it names none or it is gone.
 * Where a commit has failed there is no transaction to look it up in.
 */
static Oid
table_of_error(const ErrorData *error)
{
	Oid			schema;

	if (!is_set(error->schema_name) || !is_set(error->table_name) || !IsTransactionState())
		return InvalidOid;
	schema = get_namespace_oid(error->schema_name, true);
	return OidIsValid(schema) ? get_relname_relid(error->table_name, schema) : InvalidOid;
}

/* Whether the current user may do anything at all with a table, or with a column of it. */
static bool
has_privilege(Oid table)
{
	AclMode		any = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_REFERENCES;
	AclMode		any_column = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_REFERENCES;
	bool		missing = false;

	return pg_class_aclcheck_ext(table, GetUserId(), any, &missing) == ACLCHECK_OK ||
		(!missing && pg_attribute_aclcheck_all(table, GetUserId(), any_column, ACLMASK_ANY) == ACLCHECK_OK);
}

/*
 * The table as the current user may know it: itself, or the nearest of those
 * that it is a partition of.  InvalidOid if it is hidden.
 */
static Oid
known_table(Oid table)
{
	ListCell   *lc;

	if (!OidIsValid(table))
		return InvalidOid;
	if (has_privilege(table))
		return table;
	if (!get_rel_relispartition(table))
		return InvalidOid;
	foreach(lc, get_partition_ancestors(table))
	{
		if (has_privilege(lfirst_oid(lc)))
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* Add a column's name, once; whole rows and system columns are no fields. */
static void
add_column(List **columns, Oid table, AttrNumber attno)
{
	char	   *name = attno > 0 ? get_attname(table, attno, true) : NULL;
	ListCell   *lc;

	if (name == NULL)
		return;
	foreach(lc, *columns)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return;
	}
	*columns = lappend(*columns, name);
}

/* The columns of an index: its keys in order, and then those that its expressions use.  Neither what it includes nor its predicate. */
static List *
index_columns(Oid index, Oid table)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	List	   *columns = NIL;
	Form_pg_index form;
	Datum		expressions;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; form->indrelid == table && i < form->indnkeyatts; i++)
		add_column(&columns, table, form->indkey.values[i]);
	expressions = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);
	if (form->indrelid == table && !isnull)
	{
		Bitmapset  *used = NULL;
		int			member = -1;

		pull_varattnos(stringToNode(TextDatumGetCString(expressions)), 1, &used);
		while ((member = bms_next_member(used, member)) >= 0)
			add_column(&columns, table, member + FirstLowInvalidHeapAttributeNumber);
	}
	ReleaseSysCache(tuple);
	return columns;
}

/* The columns of a table that a constraint in pg_constraint is about; *found says whether it is there. */
static List *
constraint_columns(Oid table, const char *name, bool *found)
{
	Oid			constraint = get_relation_constraint_oid(table, name, true);
	HeapTuple	tuple = OidIsValid(constraint) ? SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint)) : NULL;
	List	   *columns = NIL;
	Form_pg_constraint form;
	Datum		keys;
	bool		isnull;

	*found = HeapTupleIsValid(tuple);
	if (!*found)
		return NIL;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	keys = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conkey, &isnull);
	if (form->contype == CONSTRAINT_EXCLUSION)
		columns = index_columns(form->conindid, table);
	else if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(keys);

		for (int i = 0; ARR_NDIM(array) == 1 && i < ARR_DIMS(array)[0]; i++)
			add_column(&columns, table, ((int16 *) ARR_DATA_PTR(array))[i]);
	}
	ReleaseSysCache(tuple);
	return columns;
}

/* The columns that the error is about, as far as the catalog still knows. */
static List *
violated_columns(const ErrorData *error, Oid table)
{
	List	   *columns;
	bool		found;

	if (is_set(error->column_name))
		return list_make1(error->column_name);
	if (!OidIsValid(table) || !is_set(error->constraint_name))
		return NIL;
	columns = constraint_columns(table, error->constraint_name, &found);
	if (!found)					/* a unique index that is no constraint? */
		columns = index_columns(get_relname_relid(error->constraint_name, get_rel_namespace(table)), table);
	return columns;
}

/*
 * Whether a foreign key is violated by what is referenced, and not by what
 * references.  Both errors name the table that references and differ in their
 * message only, so its beginning is compared, in the language of the server's messages.
 */
static bool
is_referenced_side(const ErrorData *error)
{
	const char *update = _("update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"");
	const char *insert = _("insert or update on table \"%s\" violates foreign key constraint \"%s\"");
	size_t		length = strcspn(update, "%");

	if (error->sqlerrcode == ERRCODE_RESTRICT_VIOLATION)
		return true;
	return error->message != NULL && length > 0 && strncmp(error->message, update, length) == 0 &&
		strncmp(insert, update, length) != 0;
}

/* "is still referenced by" the table, for those who may know it. */
static char *
still_referenced(Oid table)
{
	Oid			known = known_table(table);
	char	   *name = OidIsValid(known) ? get_rel_name(known) : NULL;

	return name ? psprintf("is still referenced by %s", name) : "is still referenced";
}

void
problem_violation(const ErrorData *error, ProblemViolation *violation)
{
	Oid			table = table_of_error(error);

	*violation = (ProblemViolation) {0};
	switch (error->sqlerrcode)
	{
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			if (is_referenced_side(error))
			{
				violation->pointless = true;
				violation->what = still_referenced(table);
				return;
			}
			violation->what = "does not exist";
			break;
		case ERRCODE_UNIQUE_VIOLATION:
			violation->what = "is already used";
			break;
		case ERRCODE_EXCLUSION_VIOLATION:
			violation->what = "conflicts with what is there";
			break;
		case ERRCODE_NOT_NULL_VIOLATION:
			violation->what = "is required";
			break;
		default:

			/* Names of constraints often have their table's in them. */
			if (is_set(error->constraint_name) &&
				(is_set(error->datatype_name) || OidIsValid(known_table(table))))
				violation->what = psprintf("does not satisfy %s", error->constraint_name);
			else
				violation->what = "does not satisfy a constraint";
	}
	violation->columns = violated_columns(error, table);
	violation->pointless = !is_set(error->table_name) && !is_set(error->datatype_name) && violation->columns == NIL;
}
