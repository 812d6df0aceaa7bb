/*-------------------------------------------------------------------------
 *
 * decorate_chain.c
 *	  Chains of decorators: from their text, and those that a backend keeps.
 *
 * The text is the source of the decorated function, see decorate.h.  A backend
 * makes a chain of it when it first calls the function, and keeps it until it
 * is told that a row of pg_proc has changed which the chain is made of.  A chain
 * that is out of date may still be running: it is freed when the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "core/errors.h"
#include "decorate/decorate_chain.h"

typedef struct ChainEntry
{
	Oid			function;		/* hash key */
	DecorateChain *chain;
} ChainEntry;

uint64		decorate_generation = 1;
uint64		decorate_type_generation = 1;

static HTAB *chains = NULL;
static HTAB *watched_types = NULL;	/* OIDs of relations */
static MemoryContext outdated_context = NULL;	/* chains to be freed when the transaction ends */
static uint64 last_serial = 0;

/* ---------- text ---------- */

static void
pg_attribute_noreturn()
malformed(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid chain of decorators: %s", text),
			 errdetail("It must be like {\"body\": \"" DECORATE_SCHEMA "\", \"decorators\": [[\"cached\", {}]]}.")));
}

DecorateSource *
decorate_source_read(const char *text)
{
	DecorateSource *source = palloc0(sizeof(DecorateSource));
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbValue	buf;
	JsonbValue *value;
	JsonbContainer *list;

	if (!JB_ROOT_IS_OBJECT(json))
		malformed(text);
	value = getKeyJsonValueFromContainer(&json->root, "body", 4, &buf);
	if (value == NULL || value->type != jbvString)
		malformed(text);
	source->schema = pnstrdup(value->val.string.val, value->val.string.len);

	value = getKeyJsonValueFromContainer(&json->root, "decorators", 10, &buf);
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		malformed(text);
	list = value->val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
	{
		DecorateEntry *entry = palloc(sizeof(DecorateEntry));
		JsonbContainer *pair;

		value = getIthJsonbValueFromContainer(list, i);
		if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
			JsonContainerSize(value->val.binary.data) != 2)
			malformed(text);
		pair = value->val.binary.data;
		value = getIthJsonbValueFromContainer(pair, 0);
		if (value->type != jbvString)
			malformed(text);
		entry->name = pnstrdup(value->val.string.val, value->val.string.len);
		value = getIthJsonbValueFromContainer(pair, 1);
		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
			malformed(text);
		entry->options = JsonbValueToJsonb(value);
		source->layers = lappend(source->layers, entry);
	}
	return source;
}

char *
decorate_source_write(const DecorateSource *source)
{
	StringInfoData buf;
	ListCell   *lc;
	const char *separator = "";

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"body\": ");
	escape_json(&buf, source->schema);
	appendStringInfoString(&buf, ", \"decorators\": [");
	foreach(lc, source->layers)
	{
		DecorateEntry *entry = lfirst(lc);

		appendStringInfo(&buf, "%s[", separator);
		escape_json(&buf, entry->name);
		appendStringInfoString(&buf, ", ");
		JsonbToCString(&buf, &entry->options->root, VARSIZE(entry->options));
		appendStringInfoChar(&buf, ']');
		separator = ", ";
	}
	appendStringInfoString(&buf, "]}");
	return buf.data;
}

/* ---------- making ---------- */

/* What decorators are told about the function, in the current context. */
static void
describe_function(DecorateChain *chain, HeapTuple tuple)
{
	ApibaseDecoratedFunction *function = &chain->function;
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	Datum		names;
	Datum		modes;
	bool		nonames;
	bool		nomodes;
	char	  **argnames = NULL;
	int			nargnames = 0;

	function->oid = form->oid;
	function->name = decorate_function_name(form->oid);
	function->schema = get_namespace_name(form->pronamespace);
	function->proname = pstrdup(NameStr(form->proname));
	function->nargs = form->pronargs;
	function->argtypes = palloc((form->pronargs + 1) * sizeof(Oid));
	function->argnames = palloc0((form->pronargs + 1) * sizeof(char *));
	function->rettype = form->prorettype;
	function->retset = form->proretset;
	function->volatility = form->provolatile;
	function->parallel = form->proparallel;
	function->strict = form->proisstrict;

	names = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargnames, &nonames);
	modes = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargmodes, &nomodes);
	if (!nonames)
		nargnames = get_func_input_arg_names(names, nomodes ? PointerGetDatum(NULL) : modes, &argnames);
	for (int i = 0; i < form->pronargs; i++)
	{
		function->argtypes[i] = form->proargtypes.values[i];
		if (i < nargnames && argnames[i] != NULL && argnames[i][0] != '\0')
			function->argnames[i] = argnames[i];
		if (IsPolymorphicType(form->proargtypes.values[i]) || form->proargtypes.values[i] == ANYOID)
			function->polymorphic = true;
	}
	chain->types_fixed = !function->polymorphic && !IsPolymorphicType(form->prorettype) &&
		(form->prorettype != RECORDOID || !nomodes);
}

/* A number of the row that no earlier or later state of it has had (as far as transaction ids tell). */
static void
append_version(StringInfo buf, HeapTuple tuple)
{
	appendStringInfo(buf, "%x.%x.%x",
					 HeapTupleHeaderGetRawXmin(tuple->t_data),
					 ItemPointerGetBlockNumberNoCheck(&tuple->t_self),
					 ItemPointerGetOffsetNumberNoCheck(&tuple->t_self));
}

/* The body of a function; raises an error where it is not there. */
static Oid
find_body(HeapTuple tuple, const DecorateSource *source, const char *name)
{
	Oid			body = decorate_find_body(tuple, source->schema);

	if (!OidIsValid(body))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("the body of the decorated function %s is not there", name),
				 errdetail("It should be a function of the same name with the same arguments in schema %s.",
						   quote_identifier(source->schema)),
				 errhint("A dump must have the schemas of both.")));
	return body;
}

/*
 * The chain without its layers.  source: NULL for a function that is not
 * decorated any more, but was when a query began that still runs; it is its
 * own body.
 */
static DecorateChain *
chain_begin(HeapTuple tuple, const DecorateSource *source)
{
	int			nlayers = source ? list_length(source->layers) : 0;
	DecorateChain *chain = palloc0(offsetof(DecorateChain, layers) + nlayers * sizeof(DecorateLayer));
	StringInfoData version;
	HeapTuple	body;

	chain->serial = ++last_serial;
	chain->context = CurrentMemoryContext;
	describe_function(chain, tuple);

	chain->body = source ? find_body(tuple, source, chain->function.name) : chain->function.oid;
	body = SearchSysCache1(PROCOID, ObjectIdGetDatum(chain->body));
	if (!HeapTupleIsValid(body))
		elog(ERROR, "cache lookup failed for function %u", chain->body);
	initStringInfo(&version);
	append_version(&version, body);
	chain->function.implementation = hash_bytes_extended((const unsigned char *) version.data, version.len, chain->body);
	appendStringInfoChar(&version, '.');
	append_version(&version, tuple);
	chain->version = version.data;
	ReleaseSysCache(body);

	chain->function_hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(chain->function.oid));
	chain->body_hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(chain->body));
	return chain;
}

static void
check_parallel(const DecorateChain *chain, const ApibaseDecorator *decorator)
{
	if (decorator->leader_only && chain->function.parallel == PROPARALLEL_SAFE)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
				 errmsg("function %s cannot be decorated with %s", chain->function.name, decorator->name),
				 errdetail("It may run in parallel workers, whose calls would be counted apart."),
				 errhint("Do ALTER FUNCTION %s PARALLEL RESTRICTED before.", chain->function.name)));
	if (decorator->subtransactions && chain->function.parallel != PROPARALLEL_UNSAFE)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
				 errmsg("function %s cannot be decorated with %s", chain->function.name, decorator->name),
				 errdetail("It may run in parallel queries, in which there are no subtransactions."),
				 errhint("Do ALTER FUNCTION %s PARALLEL UNSAFE before.", chain->function.name)));
}

DecorateChain *
decorate_chain_make(HeapTuple function, bool deciding, List **uses)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase decorated function",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		decorated = ((Form_pg_proc) GETSTRUCT(function))->prolang == decorate_language();
	DecorateSource *source = decorated ? decorate_source_read(decorate_source_text(function)) : NULL;
	DecorateChain *chain = chain_begin(function, source);
	List	   *named = NIL;
	ListCell   *lc;

	chain->function.deciding = deciding;
	foreach(lc, source ? source->layers : NIL)
	{
		DecorateEntry *entry = lfirst(lc);
		DecorateLayer *layer = &chain->layers[chain->nlayers];

		layer->decorator = decorate_decorator(entry->name);
		if (layer->decorator == NULL)
			ereport(ERROR,
					(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
					 errmsg("there is no decorator \"%s\"", entry->name)));
		check_parallel(chain, layer->decorator);
		layer->options = layer->decorator->parse(&chain->function, entry->options, &named);
		chain->nlayers++;
	}
	MemoryContextSwitchTo(old);
	if (uses)
		*uses = list_copy(named);
	return chain;
}

/* ---------- keeping ---------- */

static DecorateChain *
load_chain(Oid function)
{
	DecorateChain *chain;
	HeapTuple	tuple;
	ChainEntry *entry;
	bool		found;
	uint64		before;

	do
	{
		before = decorate_generation;
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for function %u", function);
		chain = decorate_chain_make(tuple, false, NULL);
		ReleaseSysCache(tuple);
		if (before != decorate_generation)
			MemoryContextDelete(chain->context);
	} while (before != decorate_generation);

	/* Nothing can fail between these two but the first. */
	entry = hash_search(chains, &function, HASH_ENTER, &found);
	if (found)
	{
		/* by a decorator's parse that called the function */
		MemoryContextDelete(chain->context);
		return entry->chain;
	}
	entry->chain = chain;
	MemoryContextSetParent(chain->context, TopMemoryContext);
	return chain;
}

DecorateChain *
decorate_chain_get(Oid function)
{
	ChainEntry *entry = hash_search(chains, &function, HASH_FIND, NULL);

	return entry ? entry->chain : load_chain(function);
}

void
decorate_watch_types(List *relations)
{
	ListCell   *lc;

	foreach(lc, relations)
		hash_search(watched_types, &lfirst_oid(lc), HASH_ENTER, NULL);
}

/* A row of pg_proc has changed; hash 0: any of them. */
static void
function_changed(Datum arg, int cacheid, uint32 hash)
{
	HASH_SEQ_STATUS status;
	ChainEntry *entry;

	decorate_generation++;
	hash_seq_init(&status, chains);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		DecorateChain *chain = entry->chain;

		if (hash != 0 && hash != chain->function_hash && hash != chain->body_hash)
			continue;
		/* its context hangs on the others that wait, which needs no memory */
		MemoryContextSetParent(chain->context, outdated_context);
		hash_search(chains, &entry->function, HASH_REMOVE, NULL);
	}
}

static void
relation_changed(Datum arg, Oid relation)
{
	if (relation != InvalidOid && hash_search(watched_types, &relation, HASH_FIND, NULL) == NULL)
		return;
	decorate_generation++;
	decorate_type_generation++;
}

static void
transaction_ended(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			if (!MemoryContextIsEmpty(outdated_context))
				MemoryContextReset(outdated_context);
			break;
		default:
			break;
	}
}

void
decorate_chain_install(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(ChainEntry)};
	HASHCTL		types = {.keysize = sizeof(Oid), .entrysize = sizeof(Oid)};

	chains = hash_create("apibase decorated functions", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	watched_types = hash_create("apibase types of decorated functions", 64, &types, HASH_ELEM | HASH_BLOBS);
	outdated_context = AllocSetContextCreate(TopMemoryContext, "apibase outdated decorators", ALLOCSET_SMALL_SIZES);
	CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
}
