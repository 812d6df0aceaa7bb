/*-------------------------------------------------------------------------
 *
 * label.c
 *	  What the modules note on functions and types of others.
 *
 * Labels are rows of pg_seclabel, which is in no system cache.  So who writes one
 * invalidates the description of pg_seclabel itself, and all backends hear of it as they hear
 * of a changed table: after the commit, this one after the command, and once
 * more when it is rolled back.
 *
 * Functions and types change all the time, be it for temporary tables.  Those that matter are
 * watched: by their hash values, which is what a backend is told of them.  What was watched once
 * stays so; that is as much as has ever been labelled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/seclabel.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "core/label.h"

#define LABEL_PROVIDER	"apibase"

static uint64 generation = 1;

/* ---------- documents ---------- */

static Jsonb *
parse_label(const char *label)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(label)));
}

/* A member of a label, copied; NULL if there is none. */
static Jsonb *
member_of(Jsonb *label, const char *name)
{
	JsonbValue	buf;
	JsonbValue *value;

	if (!JB_ROOT_IS_OBJECT(label))
		return NULL;
	value = getKeyJsonValueFromContainer(&label->root, name, strlen(name), &buf);
	return value && value->type != jbvNull ? JsonbValueToJsonb(value) : NULL;
}

/* The label with another value of a member, an object or an array; NULL when nothing is left in it. */
static Jsonb *
replace_member(Jsonb *label, const char *name, Jsonb *value)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	bool		left_out = false;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	it = JsonbIteratorInit(&label->root);
	(void) JsonbIteratorNext(&it, &item, true);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			left_out = item.val.string.len == (int) strlen(name) &&
				memcmp(item.val.string.val, name, item.val.string.len) == 0;
		if ((token == WJB_KEY || token == WJB_VALUE) && !left_out)
			pushJsonbValue(&state, token, &item);
	}
	if (value != NULL)
	{
		item.type = jbvString;
		item.val.string.val = unconstify(char *, name);
		item.val.string.len = strlen(name);
		pushJsonbValue(&state, WJB_KEY, &item);
		item.type = jbvBinary;
		item.val.binary.data = &value->root;
		item.val.binary.len = VARSIZE(value) - VARHDRSZ;
		pushJsonbValue(&state, WJB_VALUE, &item);
	}
	label = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return JB_ROOT_COUNT(label) > 0 ? label : NULL;
}

/* ---------- changes ---------- */

/* What is watched: a row of a system cache by its hash value, or a relation (cache -1) by its OID. */
typedef struct WatchKey
{
	int			cache;
	uint32		value;
} WatchKey;

static HTAB *watched = NULL;

static bool
is_watched(int cache, uint32 value)
{
	WatchKey	key = {cache, value};

	return hash_search(watched, &key, HASH_FIND, NULL) != NULL;
}

void
apibase_label_watch(Oid classid, Oid object)
{
	WatchKey	key = {-1, object};

	if (classid == ProcedureRelationId || classid == TypeRelationId)
	{
		key.cache = classid == ProcedureRelationId ? PROCOID : TYPEOID;
		key.value = GetSysCacheHashValue1(key.cache, ObjectIdGetDatum(object));
	}
	hash_search(watched, &key, HASH_ENTER, NULL);
}

/* hash 0: any row.  Names of objects are shown with that of their schema, so all schemas matter. */
static void
row_changed(Datum arg, int cacheid, uint32 hash)
{
	if (hash == 0 || cacheid == NAMESPACEOID || is_watched(cacheid, hash))
		generation++;
}

static void
relation_changed(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == SecLabelRelationId || is_watched(-1, relation))
		generation++;
}

uint64
apibase_label_generation(void)
{
	return generation;
}

/* ---------- SECURITY LABEL ---------- */

void
apibase_label_require_extension_owner(void)
{
	ObjectAddress extension;

	ObjectAddressSet(extension, ExtensionRelationId, get_extension_oid("apibase", false));
	check_object_ownership(GetUserId(), OBJECT_EXTENSION, extension, (Node *) makeString("apibase"), NULL);
}

/* Asked before the statement SECURITY LABEL FOR apibase is carried out; label: NULL takes it away. */
static void
check_statement(const ObjectAddress *object, const char *label)
{
	if (object->classId != ProcedureRelationId && object->classId != TypeRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("apibase labels only functions and types")));
	/* what labels say acts on everybody's calls, so owning the object is not enough */
	apibase_label_require_extension_owner();
	if (label != NULL && !JB_ROOT_IS_OBJECT(parse_label(label)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a label of apibase must be a JSON object"),
				 errhint("The functions of apibase write labels; the statement is for restored dumps.")));
	CacheInvalidateRelcacheByRelid(SecLabelRelationId);
}

void
apibase_label_install(void)
{
	HASHCTL		control = {.keysize = sizeof(WatchKey), .entrysize = sizeof(WatchKey)};

	register_label_provider(LABEL_PROVIDER, check_statement);
	watched = hash_create("apibase watched objects", 64, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(PROCOID, row_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, row_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, row_changed, (Datum) 0);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/* ---------- reading and writing ---------- */

Jsonb *
apibase_label_get(const ObjectAddress *object, const char *name)
{
	char	   *label;

	apibase_label_watch(object->classId, object->objectId);
	label = GetSecurityLabel(object, LABEL_PROVIDER);
	return label ? member_of(parse_label(label), name) : NULL;
}

void
apibase_label_set(const ObjectAddress *object, const char *name, Jsonb *value)
{
	char	   *text;
	Jsonb	   *label;

	Assert(value == NULL || !JB_ROOT_IS_SCALAR(value));

	/* as the statement does it: one after the other, so that no member gets lost */
	LockDatabaseObject(object->classId, object->objectId, 0, ShareUpdateExclusiveLock);
	if (!SearchSysCacheExists1(object->classId == ProcedureRelationId ? PROCOID : TYPEOID, ObjectIdGetDatum(object->objectId)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the object to be labelled does not exist any more")));
	text = GetSecurityLabel(object, LABEL_PROVIDER);
	label = parse_label(text ? text : "{}");
	if (!JB_ROOT_IS_OBJECT(label))
		label = parse_label("{}");
	label = replace_member(label, name, value);
	SetSecurityLabel(object, LABEL_PROVIDER, label ? JsonbToCString(NULL, &label->root, VARSIZE(label)) : NULL);
	CacheInvalidateRelcacheByRelid(SecLabelRelationId);
	CommandCounterIncrement();
}

/* A label with the wanted member. */
typedef struct FoundLabel
{
	Oid			object;
	Jsonb	   *value;
} FoundLabel;

/* All of them, ordered by their objects; read as a whole, so that who looks at one may use the catalog. */
static List *
find_labels(Oid classid, const char *name)
{
	List	   *found = NIL;
	Relation	rel = table_open(SecLabelRelationId, AccessShareLock);
	Relation	index = index_open(SecLabelObjectIndexId, AccessShareLock);
	SysScanDesc scan = systable_beginscan_ordered(rel, index, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		FormData_pg_seclabel *form = (FormData_pg_seclabel *) GETSTRUCT(tuple);
		FoundLabel *label;
		bool		isnull;
		Datum		datum;
		Jsonb	   *value;

		CHECK_FOR_INTERRUPTS();
		if (form->classoid != classid || form->objsubid != 0)
			continue;
		datum = heap_getattr(tuple, Anum_pg_seclabel_provider, RelationGetDescr(rel), &isnull);
		if (isnull || strcmp(TextDatumGetCString(datum), LABEL_PROVIDER) != 0)
			continue;
		datum = heap_getattr(tuple, Anum_pg_seclabel_label, RelationGetDescr(rel), &isnull);
		value = isnull ? NULL : member_of(parse_label(TextDatumGetCString(datum)), name);
		if (value == NULL)
			continue;
		label = palloc(sizeof(FoundLabel));
		label->object = form->objoid;
		label->value = value;
		found = lappend(found, label);
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return found;
}

void
apibase_label_scan(Oid classid, const char *name, ApibaseLabelVisitor fn, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase labels", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *found = find_labels(classid, name);
	ListCell   *lc;

	MemoryContextSwitchTo(old);
	foreach(lc, found)
	{
		FoundLabel *label = lfirst(lc);

		apibase_label_watch(classid, label->object);
		fn(label->object, label->value, arg);
	}
	MemoryContextDelete(context);
}
