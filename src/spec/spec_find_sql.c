/*-------------------------------------------------------------------------
 *
 * spec_find_sql.c
 *	  The statement of a list: sort keys, and SQL text.
 *
 *	SELECT t.id, t.price, ... FROM public.items AS t
 *	WHERE (the specification) AND (after the cursor)
 *	ORDER BY t.price ASC NULLS LAST, t.id ASC NULLS LAST LIMIT 20 OFFSET $3
 *
 * All names are qualified.  The specification and the limit are constants in
 * the text, because the plan depends on them; the cursor's values and the
 * offset, which change from page to page, are parameters.
 *
 * The order is total where it can be: the primary key's columns that are not
 * named are appended, in the direction of the last named key, so that an
 * index on (price, id) serves "price" and "price desc".
 *
 * Rows after the cursor are, in lexicographic order, those with
 *		k1 > v1 OR k1 = v1 AND (k2 > v2 OR k2 = v2 AND (...))
 * where each > follows the direction of its key.  Where directions agree and
 * NULLs cannot interfere this is ROW(k1, k2) > ROW(v1, v2), for which an index
 * on the keys starts at the right place; elsewhere k1 >= v1 is added, which is
 * redundant, so that it starts at v1.  NULLs of the first key are another
 * place in the index.  When rows of both places follow the cursor, the
 * statement is the UNION ALL of two such SELECTs, each with the ORDER BY and
 * the limit, merged by the same ORDER BY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "spec/spec_find.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tupdesc.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* What the functions that print one statement need. */
typedef struct FindText
{
	const ApibaseFindRequest *request;
	ApibaseSpecRow *row;
	List	   *keys;
	const bool *nulls;			/* of the cursor; NULL without one */
	int			nparams;		/* of the cursor: its values that are not NULL */
	char	   *relation;
	char	   *condition;		/* NULL: every row */
} FindText;

/* ---------- keys ---------- */

/*
 * The relation as a row.  Its NOT NULL constraints hold for what is scanned,
 * except that children by inheritance need not have the parent's.
 */
static ApibaseSpecRow *
find_row(Oid relid)
{
	ApibaseSpecRow *row = apibase_spec_row_for_relation(relid);
	char		relkind = get_rel_relkind(relid);

	row->table = relkind == RELKIND_PARTITIONED_TABLE ||
		(relkind == RELKIND_RELATION && !has_subclass(relid));
	return row;
}

static bool
paths_equal(const List *a, const List *b)
{
	if (list_length(a) != list_length(b))
		return false;
	for (int i = 0; i < list_length(a); i++)
	{
		ApibaseSpecStep *x = list_nth(a, i);
		ApibaseSpecStep *y = list_nth(b, i);

		if (x->name == NULL || y->name == NULL ? x->name != y->name || x->index != y->index :
			strcmp(x->name, y->name) != 0)
			return false;
	}
	return true;
}

static bool
has_key(List *keys, const List *path)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		if (paths_equal(((ApibaseFindKey *) lfirst(lc))->path, path))
			return true;
	}
	return false;
}

/* A key's expression as SQL.  JSON null is NULL, as it is in conditions. */
static char *
key_text(ApibaseSpecRow *row, const ApibaseSpecField *field, Oid type)
{
	StringInfoData buf;

	initStringInfo(&buf);
	apibase_spec_deparse(&buf, field->expr, row, "t", NULL, NULL);
	if (type != JSONBOID)
		return buf.data;
	return psprintf("CASE WHEN %s OPERATOR(pg_catalog.<>) 'null'::pg_catalog.jsonb THEN %s END", buf.data, buf.data);
}

/* The key of an order-by item; raises for what cannot be sorted by. */
static ApibaseFindKey *
make_key(ApibaseSpecRow *row, const ApibaseSpecOrder *order)
{
	ApibaseFindKey *key = palloc0(sizeof(ApibaseFindKey));
	ApibaseSpecField field;
	TypeCacheEntry *type;

	apibase_spec_resolve_field(row, order->path, &field);
	key->type = getBaseType(field.type);
	type = lookup_type_cache(key->type, TYPECACHE_LT_OPR | TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(type->lt_opr) || !OidIsValid(type->btree_opf))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("field %s of type %s cannot be sorted by",
						apibase_spec_path_text(order->path), format_type_be(field.type)),
				 errdetail("The type has no default btree operator class."),
				 getBaseType(field.type) == JSONOID ? errhint("Store the document as jsonb.") : 0));

	key->path = order->path;
	key->expr = field.expr;
	key->text = key_text(row, &field, key->type);
	key->collation = field.collation;
	key->composite = type_is_rowtype(key->type);
	key->notnull = field.notnull && key->type != JSONBOID;
	key->json = field.json;
	key->descending = order->descending;
	key->nulls_first = order->nulls_first;
	key->opfamily = type->btree_opf;
	key->opcintype = type->btree_opintype;
	return key;
}

/* The columns of the primary key, in its order; of AttrNumber. */
static List *
primary_key_columns(Oid relid)
{
	Relation	relation = relation_open(relid, NoLock);
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		form = (Form_pg_index) GETSTRUCT(tuple);
		for (int i = 0; form->indisprimary && i < form->indnkeyatts; i++)
			columns = lappend_int(columns, form->indkey.values[i]);
		ReleaseSysCache(tuple);
	}
	relation_close(relation, NoLock);
	return columns;
}

/* Append the columns of the primary key that are not keys yet. */
static List *
append_primary_key(ApibaseSpecRow *row, Oid relid, List *keys)
{
	bool		descending = keys != NIL && ((ApibaseFindKey *) llast(keys))->descending;
	ListCell   *lc;

	foreach(lc, primary_key_columns(relid))
	{
		ApibaseSpecStep *step = palloc0(sizeof(ApibaseSpecStep));
		ApibaseSpecOrder order = {0};

		step->name = NameStr(TupleDescAttr(row->desc, lfirst_int(lc) - 1)->attname);
		order.path = list_make1(step);
		order.descending = descending;
		order.nulls_first = descending;
		if (!has_key(keys, order.path))
			keys = lappend(keys, make_key(row, &order));
	}
	return keys;
}

/* The sort keys of a request; NIL when the list has no order. */
List *
apibase_find_keys(const ApibaseFindRequest *request)
{
	ApibaseSpecRow *row;
	List	   *keys = NIL;
	ListCell   *lc;

	if (request->order_by == NULL && request->after == NULL)
		return NIL;
	row = find_row(request->relid);
	if (request->order_by)
	{
		foreach(lc, apibase_spec_parse_order(text_to_cstring(request->order_by)))
		{
			ApibaseSpecOrder *order = lfirst(lc);

			if (!has_key(keys, order->path))
				keys = lappend(keys, make_key(row, order));
		}
	}
	keys = append_primary_key(row, request->relid, keys);
	if (keys == NIL && request->after != NULL)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CURSOR),
				 errmsg("\"after\" needs an order"),
				 errdetail("\"%s\" has no primary key, and order_by is not given.", get_rel_name(request->relid)),
				 errhint("Name in order_by what is unique.")));
	return keys;
}

/* ---------- the position after the cursor ---------- */

/* The operator of a btree strategy for a key, as OPERATOR(schema.name). */
static char *
key_operator(const ApibaseFindKey *key, StrategyNumber strategy)
{
	Oid			opno = get_opfamily_member(key->opfamily, key->opcintype, key->opcintype, strategy);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "missing operator %d(%u,%u) in opfamily %u",
			 strategy, key->opcintype, key->opcintype, key->opfamily);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* "comes strictly after" and "comes after or is equal", in the direction of the key. */
static char *
after_operator(const ApibaseFindKey *key)
{
	return key_operator(key, key->descending ? BTLessStrategyNumber : BTGreaterStrategyNumber);
}

static char *
from_operator(const ApibaseFindKey *key)
{
	return key_operator(key, key->descending ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber);
}

/* The parameter that holds the value of a key. */
static int
key_param(const FindText *ft, int i)
{
	int			param = 1;

	for (int j = 0; j < i; j++)
		param += !ft->nulls[j];
	return param;
}

/* IS NULL looks into composite values; IS NOT DISTINCT FROM NULL does not. */
static void
append_null_test(StringInfo buf, const ApibaseFindKey *key, bool negated)
{
	if (key->composite)
		appendStringInfo(buf, "%s IS %sDISTINCT FROM NULL", key->text, negated ? "" : "NOT ");
	else
		appendStringInfo(buf, "%s IS %sNULL", key->text, negated ? "NOT " : "");
}

/* Whether a row that is equal in keys before i can come after the cursor at all. */
static bool
after_possible(const FindText *ft, int i)
{
	for (; i < list_length(ft->keys); i++)
	{
		ApibaseFindKey *key = list_nth(ft->keys, i);

		if (!ft->nulls[i] || key->nulls_first)
			return true;
	}
	return false;
}

/* The condition that a row, equal in keys before i, comes after the cursor; i is not 0 and it is possible. */
static void
append_after(StringInfo buf, const FindText *ft, int i)
{
	ApibaseFindKey *key = list_nth(ft->keys, i);
	int			param = key_param(ft, i);
	bool		more = after_possible(ft, i + 1);

	appendStringInfoChar(buf, '(');
	if (!ft->nulls[i])
	{
		appendStringInfo(buf, "%s %s $%d", key->text, after_operator(key), param);
		if (!key->notnull && !key->nulls_first)
		{
			appendStringInfoString(buf, " OR ");
			append_null_test(buf, key, false);
		}
	}
	else if (key->nulls_first)
		append_null_test(buf, key, true);

	if (more)
	{
		if (!ft->nulls[i] || key->nulls_first)
			appendStringInfoString(buf, " OR ");
		if (!ft->nulls[i])
			appendStringInfo(buf, "%s %s $%d", key->text, key_operator(key, BTEqualStrategyNumber), param);
		else
			append_null_test(buf, key, false);
		appendStringInfoString(buf, " AND ");
		append_after(buf, ft, i + 1);
	}
	appendStringInfoChar(buf, ')');
}

/*
 * Whether ROW(...) > ROW(...) says the same: all keys in one direction, with
 * the operators of that name in pg_catalog, none NULL but the first (whose
 * NULLs are not in this arm).
 */
static bool
row_comparable(const FindText *ft)
{
	bool		descending = ((ApibaseFindKey *) linitial(ft->keys))->descending;
	const char *operator = descending ? "OPERATOR(pg_catalog.<)" : "OPERATOR(pg_catalog.>)";

	if (list_length(ft->keys) < 2)
		return false;
	for (int i = 0; i < list_length(ft->keys); i++)
	{
		ApibaseFindKey *key = list_nth(ft->keys, i);

		if (ft->nulls[i] || key->descending != descending || (i > 0 && !key->notnull) ||
			strcmp(after_operator(key), operator) != 0)
			return false;
	}
	return true;
}

/* ROW(k1, k2) > ROW($1, $2) */
static char *
row_comparison(const FindText *ft)
{
	StringInfoData left;
	StringInfoData right;

	initStringInfo(&left);
	initStringInfo(&right);
	for (int i = 0; i < list_length(ft->keys); i++)
	{
		ApibaseFindKey *key = list_nth(ft->keys, i);

		appendStringInfo(&left, "%s%s", i > 0 ? ", " : "", key->text);
		appendStringInfo(&right, "%s$%d", i > 0 ? ", " : "", i + 1);
	}
	return psprintf("ROW(%s) %s ROW(%s)", left.data, after_operator(linitial(ft->keys)), right.data);
}

/* The rows after the cursor whose first key is, like the cursor's, NULL or not; NULL: there can be none. */
static char *
same_place(const FindText *ft)
{
	ApibaseFindKey *key = linitial(ft->keys);
	bool		more = after_possible(ft, 1);
	StringInfoData buf;

	initStringInfo(&buf);
	if (ft->nulls[0])
	{
		if (!more)
			return NULL;
		append_null_test(&buf, key, false);
		appendStringInfoString(&buf, " AND ");
		append_after(&buf, ft, 1);
	}
	else if (row_comparable(ft))
		return row_comparison(ft);
	else if (!more)
		appendStringInfo(&buf, "%s %s $1", key->text, after_operator(key));
	else
	{
		appendStringInfo(&buf, "%s %s $1 AND (%s %s $1 OR %s %s $1 AND ",
						 key->text, from_operator(key), key->text, after_operator(key),
						 key->text, key_operator(key, BTEqualStrategyNumber));
		append_after(&buf, ft, 1);
		appendStringInfoChar(&buf, ')');
	}
	return buf.data;
}

/* The rows after the cursor whose first key is, unlike the cursor's, NULL or not; NULL: there can be none. */
static char *
other_place(const FindText *ft)
{
	ApibaseFindKey *key = linitial(ft->keys);
	StringInfoData buf;

	if (ft->nulls[0] ? !key->nulls_first : key->nulls_first || key->notnull)
		return NULL;
	initStringInfo(&buf);
	append_null_test(&buf, key, ft->nulls[0]);
	return buf.data;
}

/* ---------- the statement ---------- */

/* ORDER BY and LIMIT; alias: of a subquery whose columns k1, k2 are the keys, or NULL. */
static void
append_order(StringInfo buf, const FindText *ft, const char *alias, bool limit)
{
	for (int i = 0; i < list_length(ft->keys); i++)
	{
		ApibaseFindKey *key = list_nth(ft->keys, i);

		appendStringInfoString(buf, i > 0 ? ", " : " ORDER BY ");
		if (alias)
			appendStringInfo(buf, "%s.k%d", alias, i + 1);
		else
			appendStringInfoString(buf, key->text);
		appendStringInfo(buf, " %s NULLS %s", key->descending ? "DESC" : "ASC",
						 key->nulls_first ? "FIRST" : "LAST");
	}
	if (limit && ft->request->has_limit)
		appendStringInfo(buf, " LIMIT " INT64_FORMAT, ft->request->limit);
}

/* The columns that the caller knows and that are not dropped: as t.name, or with numbered as prefix.c1, ... */
static int
append_columns(StringInfo buf, const FindText *ft, const char *prefix, bool numbered)
{
	TupleDesc	desc = ft->row->desc;
	int			n = 0;

	for (int i = 0; i < Min(desc->natts, ft->request->natts); i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		appendStringInfo(buf, "%s%s", n++ > 0 ? ", " : "", prefix);
		if (numbered)
			appendStringInfo(buf, "c%d", n);
		else
			appendStringInfoString(buf, quote_identifier(NameStr(att->attname)));
	}
	return n;
}

/* FROM and WHERE; place: a further condition, or NULL. */
static void
append_from(StringInfo buf, const FindText *ft, const char *place)
{
	appendStringInfo(buf, " FROM %s AS t", ft->relation);
	if (ft->condition && place)
		appendStringInfo(buf, " WHERE (%s) AND (%s)", ft->condition, place);
	else if (ft->condition || place)
		appendStringInfo(buf, " WHERE %s", ft->condition ? ft->condition : place);
}

/* One SELECT of the UNION ALL. */
static void
append_arm(StringInfo buf, const FindText *ft, const char *place)
{
	int			n;

	appendStringInfoString(buf, "(SELECT ");
	n = append_columns(buf, ft, "t.", false);
	for (int i = 0; i < list_length(ft->keys); i++)
		appendStringInfo(buf, "%s%s", n + i > 0 ? ", " : "", ((ApibaseFindKey *) list_nth(ft->keys, i))->text);
	append_from(buf, ft, place);
	append_order(buf, ft, NULL, !ft->request->has_offset);
	appendStringInfoChar(buf, ')');
}

/* The statement for rows of two places in the order. */
static void
append_both(StringInfo buf, const FindText *ft, const char *same, const char *other)
{
	int			n;

	appendStringInfoString(buf, "SELECT ");
	append_columns(buf, ft, "u.", true);
	appendStringInfoString(buf, " FROM (");
	append_arm(buf, ft, same);
	appendStringInfoString(buf, " UNION ALL ");
	append_arm(buf, ft, other);
	appendStringInfoString(buf, ") AS u(");
	n = append_columns(buf, ft, "", true);
	for (int i = 0; i < list_length(ft->keys); i++)
		appendStringInfo(buf, "%sk%d", n + i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(buf, ')');
	append_order(buf, ft, "u", true);
}

/* The statement for a list. */
static void
append_list(StringInfo buf, const FindText *ft)
{
	char	   *same = ft->nulls ? same_place(ft) : NULL;
	char	   *other = ft->nulls ? other_place(ft) : NULL;

	if (same && other)
		append_both(buf, ft, same, other);
	else
	{
		const char *place = same ? same : other;

		if (ft->nulls && place == NULL)
			place = "false";
		appendStringInfoString(buf, "SELECT ");
		append_columns(buf, ft, "t.", false);
		append_from(buf, ft, place);
		append_order(buf, ft, NULL, true);
	}
	if (ft->request->has_offset)
		appendStringInfo(buf, " OFFSET $%d", ft->nparams + 1);
}

/* The specification as a condition on the alias t, or NULL when every row satisfies it. */
static char *
condition_text(const ApibaseFindRequest *request, ApibaseSpecRow *row)
{
	ApibaseSpecNode *node;
	StringInfoData buf;

	if (request->spec == NULL)
		return NULL;
	node = apibase_spec_decode(request->spec);
	if (node->kind == APIBASE_SPEC_BOOL && node->value)
		return NULL;
	initStringInfo(&buf);
	apibase_spec_deparse(&buf, apibase_spec_compile(node, row, true), row, "t", NULL, NULL);
	return buf.data;
}

/* The statement; nulls says which of the cursor's values are NULL, and is itself NULL without "after". */
char *
apibase_find_text(const ApibaseFindRequest *request, List *keys, const bool *nulls)
{
	FindText	ft = {.request = request, .keys = keys, .nulls = nulls};
	StringInfoData buf;

	ft.row = find_row(request->relid);
	ft.relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(request->relid)),
											 get_rel_name(request->relid));
	ft.condition = condition_text(request, ft.row);
	for (int i = 0; nulls && i < list_length(keys); i++)
		ft.nparams += !nulls[i];

	initStringInfo(&buf);
	if (request->count)
	{
		appendStringInfoString(&buf, "SELECT pg_catalog.count(*)");
		append_from(&buf, &ft, NULL);
	}
	else
		append_list(&buf, &ft);
	return buf.data;
}
