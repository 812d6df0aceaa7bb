/*-------------------------------------------------------------------------
 *
 * decorate_types.c
 *	  What is to be known about the types of a call before the first one.
 *
 * Rows are kept in the cache as they lie in memory, and cannot be read any more
 * when their type has changed.  So the keys of a function begin with a digest
 * of all the composite types that are in its arguments and its result, and it
 * is made again when one of these types changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "decorate/decorate_chain.h"

/* Types that are being described: text, what has been seen, relations to be watched. */
typedef struct Description
{
	StringInfoData text;
	List	   *seen;
	List	   *relations;
	bool		anonymous;		/* there are anonymous rows among them */
} Description;

void
decorate_describe_type(DecorateType *type, Oid oid)
{
	Oid			base = OidIsValid(oid) ? getBaseType(oid) : InvalidOid;
	char		category;
	bool		preferred;

	type->type = oid;
	type->typlen = 0;			/* not known: its values are left alone */
	type->typbyval = false;
	type->form = DECORATE_BYTES;
	if (!OidIsValid(base))
		return;
	get_typlenbyval(base, &type->typlen, &type->typbyval);
	get_type_category_preferred(base, &category, &preferred);
	if (type->typbyval)
		type->form = DECORATE_NUMBER;
	else if (base == RECORDARRAYOID)
		type->form = DECORATE_ROWS;
	else if (type_is_rowtype(base))
		type->form = DECORATE_ROW;
	else if (type->typlen == -1 && (category == TYPCATEGORY_STRING || base == JSONOID || base == XMLOID))
		type->form = DECORATE_TEXT;
}

bool
decorate_is_anonymous(Oid type)
{
	Oid			base = getBaseType(type);

	return base == RECORDOID || base == RECORDARRAYOID;
}

static void describe(Description *description, Oid type);

static void
describe_columns(Description *description, TupleDesc desc)
{
	appendStringInfoChar(&description->text, '(');
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		/* a dropped column still has its place; the type's OID is gone, its layout is not */
		appendStringInfo(&description->text, " %d %c", att->attlen, att->attalign);
		if (!att->attisdropped)
			describe(description, att->atttypid);
	}
	appendStringInfoChar(&description->text, ')');
}

/* Append a type, with what is inside of it. */
static void
describe(Description *description, Oid type)
{
	Oid			base = getBaseType(type);
	Oid			relation;
	Oid			inner = get_element_type(base);

	appendStringInfo(&description->text, " %u", type);
	if (decorate_is_anonymous(base))
		description->anonymous = true;
	if (list_member_oid(description->seen, base))
		return;
	description->seen = lappend_oid(description->seen, base);

	if (!OidIsValid(inner))
		inner = get_range_subtype(base);
	if (!OidIsValid(inner))
		inner = get_multirange_range(base);
	relation = get_typ_typrelid(base);
	if (OidIsValid(inner))
		describe(description, inner);
	else if (OidIsValid(relation))
	{
		TupleDesc	desc = lookup_rowtype_tupdesc_copy(base, -1);

		description->relations = lappend_oid(description->relations, relation);
		describe_columns(description, desc);
	}
}

/* The start of the function's keys in calls with these types. */
static void
make_prefix(FunctionCallInfo fcinfo, DecorateTypes *types, const DecorateChain *chain)
{
	Description description = {.seen = NIL};
	StringInfoData prefix;

	initStringInfo(&description.text);
	for (int i = 0; i < types->nargs; i++)
	{
		if (OidIsValid(types->args[i].type))
			describe(&description, types->args[i].type);
	}
	/* VARIADIC "any": an array is either one argument or all of them */
	appendStringInfoChar(&description.text, get_fn_expr_variadic(fcinfo->flinfo) ? '*' : ':');
	/* an anonymous row as the result is no trouble: its columns are those of desc */
	description.anonymous = false;
	if (OidIsValid(types->result.type) && types->result.type != RECORDOID)
		describe(&description, types->result.type);
	if (types->desc)
		describe_columns(&description, types->desc);
	types->anonymous = description.anonymous;
	decorate_watch_types(description.relations);

	initStringInfo(&prefix);
	appendStringInfo(&prefix, "fn:%s.%s(%u.%s", quote_identifier(chain->function.schema),
					 quote_identifier(chain->function.proname), chain->function.oid, chain->version);
	if (description.relations != NIL || !chain->types_fixed)
	{
		uint8		digest[PG_SHA256_DIGEST_LENGTH];

		decorate_digest(description.text.data, description.text.len, digest);
		appendStringInfoChar(&prefix, '.');
		for (size_t i = 0; i < lengthof(digest); i++)
			appendStringInfo(&prefix, "%02x", digest[i]);
	}
	appendStringInfoChar(&prefix, ')');
	types->prefix = prefix.data;
	types->prefix_len = prefix.len;
}

/* The rows of the result, where they are known. */
static TupleDesc
result_desc(FunctionCallInfo fcinfo, const DecorateChain *chain, DecorateTypes *types)
{
	TupleDesc	desc = NULL;
	Oid			type;

	switch (get_call_result_type(fcinfo, &type, &desc))
	{
		case TYPEFUNC_COMPOSITE:
		case TYPEFUNC_COMPOSITE_DOMAIN:
		case TYPEFUNC_RECORD:
			types->returns_row = true;
			return desc ? BlessTupleDesc(CreateTupleDescCopy(desc)) : NULL;
		case TYPEFUNC_SCALAR:
			if (!chain->function.retset)
				return NULL;
			desc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(desc, 1, "column", type, -1, 0);
			return BlessTupleDesc(desc);
		default:
			types->returns_row = OidIsValid(types->result.type) && type_is_rowtype(types->result.type);
			return NULL;
	}
}

static DecorateTypes *
make_types(FunctionCallInfo fcinfo, const DecorateChain *chain)
{
	const ApibaseDecoratedFunction *function = &chain->function;
	int			nargs = fcinfo->nargs;
	DecorateTypes *types = palloc0(offsetof(DecorateTypes, args) + nargs * sizeof(DecorateType));
	Oid			rettype = function->rettype;

	types->generation = decorate_type_generation;
	types->nargs = nargs;
	for (int i = 0; i < nargs; i++)
	{
		Oid			type = i < function->nargs ? function->argtypes[i] : ANYOID;

		if (IsPolymorphicType(type) || type == ANYOID)
			type = get_fn_expr_argtype(fcinfo->flinfo, i);
		decorate_describe_type(&types->args[i], type);
	}
	if (IsPolymorphicType(rettype))
		rettype = get_fn_expr_rettype(fcinfo->flinfo);
	decorate_describe_type(&types->result, rettype);
	types->desc = result_desc(fcinfo, chain, types);
	make_prefix(fcinfo, types, chain);
	return types;
}

DecorateTypes *
decorate_types_get(FunctionCallInfo fcinfo, DecorateChain *chain)
{
	MemoryContext old;

	if (!chain->types_fixed || fcinfo->nargs != chain->function.nargs)
		return make_types(fcinfo, chain);
	if (chain->types == NULL || chain->types->generation != decorate_type_generation)
	{
		/* the former may be in use */
		old = MemoryContextSwitchTo(chain->context);
		chain->types = make_types(fcinfo, chain);
		MemoryContextSwitchTo(old);
	}
	return chain->types;
}
