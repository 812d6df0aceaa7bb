/*-------------------------------------------------------------------------
 *
 * spec_find_cache.c
 *	  The plans of find() that a backend keeps.
 *
 * At most apibase.find_cache_size plans, the least recently used one makes
 * room.  The key is all that the text of the statement, its plan and its
 * meaning depend on: relation, specification, order_by, limit, whether there
 * are an offset and a cursor, which of the cursor's values are NULL, the role,
 * row_security, search_path and the settings by which literals are read (a
 * request can bring its own TimeZone).  So a kept plan is only ever run under the
 * circumstances that it was made for.
 *
 * When the relation, or anything else that the plan depends on, has changed,
 * the server marks the plan invalid.  It is then not analysed again from its
 * text, whose names may stand for something else by now, but dropped and made
 * from the specification.  Composite types of the relation's columns are
 * watched too: renaming one of their attributes invalidates no plan.
 *
 * A plan in use is pinned: find() can run inside find(), by way of functions
 * in views and policies, and evict the plan that is being executed.  Such a
 * plan, and one whose execution failed, is freed by a later call.
 *
 * Entries are built in the memory of the call and handed over when complete,
 * so an error leaves nothing behind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "spec/spec_find.h"
#include "spec/spec_stats.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgtime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/typcache.h"

/* The fixed part of a key; the texts follow it. */
typedef struct FindKeyHead
{
	Oid			relid;
	Oid			role;
	int64		limit;
	int32		natts;
	int32		spec_size;		/* -1: NULL */
	int32		order_by_size;
	bool		count;
	bool		has_limit;
	bool		has_offset;
	bool		has_after;
	bool		row_security;
} FindKeyHead;

/* A composite type as it was when the plan was made. */
typedef struct FindShape
{
	Oid			type;
	uint64		identifier;		/* of its tuple descriptor */
} FindShape;

typedef struct FindEntry
{
	ApibaseFindPlan plan;
	MemoryContext context;		/* of everything here */
	dlist_node	recent;			/* in "recent" or "dropped" */
	dlist_node	bucket;			/* in a bucket, while in "recent" */
	uint32		hash;
	char	   *key;
	int			key_size;
	FindShape  *shapes;
	int			nshapes;
} FindEntry;

#define FIND_BUCKETS	256

static dlist_head buckets[FIND_BUCKETS];
static dlist_head recent = DLIST_STATIC_INIT(recent);	/* the most recently used first */
static dlist_head dropped = DLIST_STATIC_INIT(dropped); /* pinned when they were dropped */
static int	nentries = 0;

/* ---------- keys and shapes ---------- */

/* The key of a request without the NULLs of its cursor. */
static void
make_key(const ApibaseFindRequest *request, StringInfo key)
{
	FindKeyHead head;

	memset(&head, 0, sizeof(head));
	head.relid = request->relid;
	head.role = GetUserId();
	head.limit = request->has_limit ? request->limit : 0;
	head.natts = request->natts;
	head.spec_size = request->spec ? (int32) VARSIZE(request->spec) : -1;
	head.order_by_size = request->order_by ? (int32) VARSIZE_ANY_EXHDR(request->order_by) : -1;
	head.count = request->count;
	head.has_limit = request->has_limit;
	head.has_offset = request->has_offset;
	head.has_after = request->after != NULL;
	head.row_security = row_security;

	initStringInfo(key);
	appendBinaryStringInfo(key, (char *) &head, sizeof(head));
	if (request->spec)
		appendBinaryStringInfo(key, (char *) request->spec, head.spec_size);
	if (request->order_by)
		appendBinaryStringInfo(key, VARDATA_ANY(request->order_by), head.order_by_size);
	appendStringInfoString(key, namespace_search_path);
	appendStringInfo(key, "/%d/%d/%d/%s/%s", DateStyle, DateOrder, IntervalStyle, GetConfigOption("lc_monetary", false, false),
					 pg_get_timezone_name(session_timezone));
}

/* Add a composite type, and those of its attributes. */
static List *
add_shape(List *types, Oid type)
{
	TupleDesc	desc;

	type = getBaseType(type);
	if (type == RECORDOID || !type_is_rowtype(type) || list_member_oid(types, type))
		return types;
	types = lappend_oid(types, type);
	desc = lookup_rowtype_tupdesc(type, -1);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			types = add_shape(types, TupleDescAttr(desc, i)->atttypid);
	}
	ReleaseTupleDesc(desc);
	return types;
}

static uint64
shape_identifier(Oid type)
{
	return lookup_type_cache(type, TYPECACHE_TUPDESC)->tupDesc_identifier;
}

/* Whether an entry's plan may be run as it is. */
static bool
is_current(const FindEntry *entry)
{
	if (!SPI_plan_is_valid(entry->plan.plan))
		return false;
	for (int i = 0; i < entry->nshapes; i++)
	{
		if (shape_identifier(entry->shapes[i].type) != entry->shapes[i].identifier)
			return false;
	}
	return true;
}

/* ---------- the list of entries ---------- */

static void
free_entry(FindEntry *entry)
{
	SPI_freeplan(entry->plan.plan);
	MemoryContextDelete(entry->context);
}

/* Take an entry out; it is freed now, or when nobody uses it any more. */
static void
drop_entry(FindEntry *entry)
{
	dlist_delete(&entry->bucket);
	dlist_delete(&entry->recent);
	nentries--;
	if (entry->plan.pins > 0)
		dlist_push_head(&dropped, &entry->recent);
	else
		free_entry(entry);
}

/* Free what was in use when it was dropped and is not any more. */
static void
free_dropped(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &dropped)
	{
		FindEntry  *entry = dlist_container(FindEntry, recent, iter.cur);

		if (entry->plan.pins == 0)
		{
			dlist_delete(&entry->recent);
			free_entry(entry);
		}
	}
}

/* Drop the least recently used entries until there are no more than this. */
static void
shrink(int size)
{
	while (nentries > size)
	{
		drop_entry(dlist_tail_element(FindEntry, recent, &recent));
		apibase_spec_count(APIBASE_SPEC_FIND_CACHE_EVICTIONS);
	}
}

/* The bucket of a hash code. */
static dlist_head *
find_bucket(uint32 hash)
{
	static bool started = false;

	if (!started)
	{
		for (int i = 0; i < FIND_BUCKETS; i++)
			dlist_init(&buckets[i]);
		started = true;
	}
	return &buckets[hash % FIND_BUCKETS];
}

/*
 * The current entry for a key, and for the NULLs of the cursor.  With
 * nulls NULL any entry for the key: its sort keys are those of the others.
 */
static FindEntry *
find_entry(const StringInfoData *key, uint32 hash, const bool *nulls)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, find_bucket(hash))
	{
		FindEntry  *entry = dlist_container(FindEntry, bucket, iter.cur);

		if (entry->hash != hash || entry->key_size != key->len ||
			memcmp(entry->key, key->data, key->len) != 0)
			continue;
		if (!is_current(entry))
			drop_entry(entry);
		else if (nulls == NULL ||
				 memcmp(entry->plan.nulls, nulls, sizeof(bool) * list_length(entry->plan.keys)) == 0)
			return entry;
	}
	return NULL;
}

/* ---------- making plans ---------- */

/* Prepare the statement of a request. */
static SPIPlanPtr
prepare(const ApibaseFindRequest *request, List *keys, const bool *nulls)
{
	Oid		   *types = palloc(sizeof(Oid) * (list_length(keys) + 1));
	int			ntypes = 0;
	SPIPlanPtr	plan;

	for (int i = 0; nulls && i < list_length(keys); i++)
	{
		if (!nulls[i])
			types[ntypes++] = ((ApibaseFindKey *) list_nth(keys, i))->type;
	}
	if (request->has_offset)
		types[ntypes++] = INT8OID;

	/* what an offset makes of a limit is only known with its value */
	plan = SPI_prepare_cursor(apibase_find_text(request, keys, nulls), ntypes, types,
							  CURSOR_OPT_PARALLEL_OK |
							  (request->has_offset ? CURSOR_OPT_CUSTOM_PLAN : 0));
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Copy what the cursor is read by. */
static List *
copy_keys(List *keys)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, keys)
	{
		ApibaseFindKey *key = palloc(sizeof(ApibaseFindKey));
		ListCell   *step;

		memcpy(key, lfirst(lc), sizeof(ApibaseFindKey));
		key->expr = copyObject(key->expr);
		key->text = pstrdup(key->text);
		key->path = NIL;
		foreach(step, ((ApibaseFindKey *) lfirst(lc))->path)
		{
			ApibaseSpecStep *s = palloc(sizeof(ApibaseSpecStep));

			*s = *(ApibaseSpecStep *) lfirst(step);
			if (s->name)
				s->name = pstrdup(s->name);
			key->path = lappend(key->path, s);
		}
		copy = lappend(copy, key);
	}
	return copy;
}

/* Make an entry in the memory of the call; nothing refers to it yet. */
static FindEntry *
make_entry(const ApibaseFindRequest *request, const StringInfoData *key, uint32 hash,
		   List *keys, const bool *nulls)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase find plan",
												  ALLOCSET_SMALL_SIZES);
	List	   *types = add_shape(NIL, request->rowtype);
	MemoryContext old = MemoryContextSwitchTo(context);
	FindEntry  *entry = palloc0(sizeof(FindEntry));

	entry->context = context;
	entry->hash = hash;
	entry->key = memcpy(palloc(key->len), key->data, key->len);
	entry->key_size = key->len;
	if (nulls)
	{
		entry->plan.keys = copy_keys(keys);
		entry->plan.nulls = palloc(sizeof(bool) * list_length(keys));
		memcpy(entry->plan.nulls, nulls, sizeof(bool) * list_length(keys));
	}
	entry->shapes = palloc(sizeof(FindShape) * list_length(types));
	for (int i = 0; i < list_length(types); i++)
	{
		entry->shapes[i].type = list_nth_oid(types, i);
		entry->shapes[i].identifier = shape_identifier(list_nth_oid(types, i));
	}
	entry->nshapes = list_length(types);
	MemoryContextSwitchTo(old);
	return entry;
}

/* Keep a complete entry.  Nothing here can fail between giving the plan away and linking the entry. */
static void
keep_entry(FindEntry *entry)
{
	dlist_head *bucket = find_bucket(entry->hash);

	shrink(Max(apibase_find_cache_size, 1) - 1);
	if (SPI_keepplan(entry->plan.plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	MemoryContextSetParent(entry->context, CacheMemoryContext);
	dlist_push_head(&recent, &entry->recent);
	dlist_push_head(bucket, &entry->bucket);
	nentries++;
}

ApibaseFindPlan *
apibase_find_plan(const ApibaseFindRequest *request, ApibaseFindCursor **cursor)
{
	bool		caching = apibase_find_cache_size > 0;
	StringInfoData key;
	uint32		hash;
	FindEntry  *entry = NULL;
	List	   *keys = NIL;
	bool	   *nulls = NULL;

	apibase_spec_count(APIBASE_SPEC_FIND_CALLS);
	free_dropped();
	shrink(apibase_find_cache_size);

	make_key(request, &key);
	hash = hash_bytes((unsigned char *) key.data, key.len);
	if (caching)
		entry = find_entry(&key, hash, NULL);

	*cursor = NULL;
	if (request->after)
	{
		/* a copy, because reading the cursor can run functions, and those can drop the entry */
		keys = entry ? copy_keys(entry->plan.keys) : apibase_find_keys(request);
		*cursor = apibase_find_cursor(request, keys);
		nulls = (*cursor)->nulls;
		entry = caching ? find_entry(&key, hash, nulls) : NULL;
	}

	if (entry)
	{
		apibase_spec_count(APIBASE_SPEC_FIND_CACHE_HITS);
		dlist_move_head(&recent, &entry->recent);
	}
	else
	{
		if (!request->after)
			keys = apibase_find_keys(request);
		entry = make_entry(request, &key, hash, keys, nulls);
		entry->plan.plan = prepare(request, keys, nulls);
		if (caching)
			keep_entry(entry);
	}
	entry->plan.pins++;
	return &entry->plan;
}

void
apibase_find_unpin(ApibaseFindPlan *plan)
{
	plan->pins--;
}
