/*-------------------------------------------------------------------------
 *
 * decorate_memoized.c
 *	  memoized: within a transaction, equal arguments are computed once.
 *
 * The results are in the memory of the backend, found by the key that is made
 * of the arguments and of the role.  A result stays until the transaction ends,
 * whatever the transaction writes meanwhile: that is what memoizing means.  But
 * a result that was computed in a subtransaction goes when that is rolled back.
 *
 * Results are a stack in the order in which they came; each has the nesting
 * level of its subtransaction, and no result lies above one of a higher level.
 * So the end of a subtransaction concerns the top of the stack only.
 *
 * When their size reaches apibase.memoize_memory, what comes later is not kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decorate/decorate.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct Memo
{
	struct Memo *below;			/* in the stack */
	int			level;
	uint32		hash;			/* of the key */
	int			keylen;
	const char *key;
	Size		size;			/* all that it takes, about */

	/* the result */
	bool		isnull;
	bool		byval;
	Datum		value;
	TupleDesc	desc;			/* of a set; NULL: the caller's */
	HeapTuple  *rows;
	int64		nrows;
} Memo;

typedef struct MemoSlot
{
	Memo	   *memo;
	char		status;
} MemoSlot;

#define SH_PREFIX memohash
#define SH_ELEMENT_TYPE MemoSlot
#define SH_KEY_TYPE Memo *
#define SH_KEY memo
#define SH_HASH_KEY(tb, key) ((key)->hash)
#define SH_EQUAL(tb, a, b) ((a)->keylen == (b)->keylen && memcmp((a)->key, (b)->key, (a)->keylen) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static int	memoize_memory;		/* kB */
static MemoryContext memo_context;	/* NULL: nothing is kept in this transaction */
static memohash_hash *memos;
static Memo *top;				/* of the stack */
static Size used;				/* by all */

static void
memoized_define_gucs(void)
{
	DefineCustomIntVariable("apibase.memoize_memory",
							"Memory for the results of memoized functions in a transaction.",
							"Results beyond it are not kept.",
							&memoize_memory, 4096, 0, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
}

/* ---------- the end of results ---------- */

static void
free_memo(Memo *memo)
{
	for (int64 i = 0; i < memo->nrows; i++)
		heap_freetuple(memo->rows[i]);
	if (memo->rows != NULL)
		pfree(memo->rows);
	if (memo->desc != NULL)
		FreeTupleDesc(memo->desc);
	if (!memo->byval && !memo->isnull)
		pfree(DatumGetPointer(memo->value));
	pfree(unconstify(char *, memo->key));
	pfree(memo);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			/* the memory goes with the transaction's */
			memo_context = NULL;
			memos = NULL;
			top = NULL;
			used = 0;
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (Memo *memo = top; memo != NULL && memo->level >= level; memo = memo->below)
			memo->level = level - 1;
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (top != NULL && top->level >= level)
		{
			Memo	   *memo = top;

			top = memo->below;
			used -= memo->size;
			memohash_delete(memos, memo);
			free_memo(memo);
		}
	}
}

/* ---------- keeping ---------- */

static void
start_transaction(void)
{
	static bool callbacks_registered = false;

	if (memo_context != NULL)
		return;
	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
	memo_context = AllocSetContextCreate(TopTransactionContext, "apibase memoized", ALLOCSET_DEFAULT_SIZES);
	memos = memohash_create(memo_context, 64, NULL);
}

/* Whether there is room for more in addition. */
static bool
has_room(const Memo *memo, Size more)
{
	return used + memo->size + more <= (Size) memoize_memory * 1024;
}

/* Copy a value that is no set.  False: there is no room for it. */
static bool
copy_value(Memo *memo, const ApibaseDecoratedCall *call)
{
	int16		typlen;
	Size		size;

	memo->isnull = call->isnull;
	get_typlenbyval(apibase_decorated_rettype(call), &typlen, &memo->byval);
	if (call->isnull || memo->byval)
	{
		memo->value = call->value;
		return true;
	}
	if (typlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(call->value)))
	{
		/* the row that it comes from may be gone when it is wanted again */
		memo->value = PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(call->value)));
		size = VARSIZE_ANY(DatumGetPointer(memo->value));
	}
	else
	{
		size = datumGetSize(call->value, false, typlen);
		if (!has_room(memo, size))
		{
			memo->isnull = true;
			return false;
		}
		memo->value = datumCopy(call->value, false, typlen);
	}
	memo->size += size;
	return has_room(memo, 0);
}

/* A row of a set, without references to other rows. */
static HeapTuple
copy_row(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	HeapTuple	row;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		struct varlena *value = (struct varlena *) DatumGetPointer(slot->tts_values[i]);

		values[i] = slot->tts_values[i];
		if (!slot->tts_isnull[i] && TupleDescAttr(desc, i)->attlen == -1 && VARATT_IS_EXTERNAL(value))
			values[i] = PointerGetDatum(detoast_external_attr(value));
	}
	row = heap_form_tuple(desc, values, slot->tts_isnull);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!slot->tts_isnull[i] && values[i] != slot->tts_values[i])
			pfree(DatumGetPointer(values[i]));
	}
	pfree(values);
	return row;
}

/* Copy a set.  False: there is no room for it. */
static bool
copy_set(Memo *memo, const ApibaseDecoratedCall *call)
{
	TupleDesc	desc = call->desc ? call->desc : ((ReturnSetInfo *) call->fcinfo->resultinfo)->expectedDesc;
	int64		nrows = tuplestore_tuple_count(call->rows);
	TupleTableSlot *slot;
	bool		room;

	memo->isnull = true;
	memo->size += nrows * sizeof(HeapTuple);
	if (!has_room(memo, 0))
		return false;
	memo->desc = call->desc ? CreateTupleDescCopy(call->desc) : NULL;
	memo->rows = palloc(Max(nrows, 1) * sizeof(HeapTuple));
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	tuplestore_rescan(call->rows);
	while ((room = has_room(memo, 0)) && tuplestore_gettupleslot(call->rows, true, false, slot))
	{
		HeapTuple	row;

		CHECK_FOR_INTERRUPTS();
		row = copy_row(slot);
		memo->rows[memo->nrows++] = row;
		memo->size += HEAPTUPLESIZE + row->t_len;
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_rescan(call->rows);
	return room;
}

/* Keep the result of a call under a key. */
static void
keep(const ApibaseDecoratedCall *call, const Memo *key)
{
	MemoryContext old;
	Memo	   *memo;
	MemoSlot   *slot;
	bool		found;

	start_transaction();
	old = MemoryContextSwitchTo(memo_context);
	memo = palloc0(sizeof(Memo));
	memo->hash = key->hash;
	memo->keylen = key->keylen;
	memo->key = memcpy(palloc(key->keylen + 1), key->key, key->keylen);
	memo->size = sizeof(Memo) + sizeof(MemoSlot) + key->keylen;
	memo->level = GetCurrentTransactionNestLevel();
	if (call->function->retset ? copy_set(memo, call) : copy_value(memo, call))
	{
		slot = memohash_insert(memos, memo, &found);
		if (found)
			free_memo(memo);	/* a call within this one was first */
		else
		{
			slot->memo = memo;
			memo->below = top;
			top = memo;
			used += memo->size;
		}
	}
	else
		free_memo(memo);
	MemoryContextSwitchTo(old);
}

/* ---------- calls ---------- */

/* Make a result that was kept that of the call. */
static void
recall(ApibaseDecoratedCall *call, const Memo *memo)
{
	int16		typlen;
	bool		byval;

	if (call->function->retset)
	{
		apibase_decorated_begin_set(call, memo->desc);
		for (int64 i = 0; i < memo->nrows; i++)
			tuplestore_puttuple(call->rows, memo->rows[i]);
		return;
	}
	/* a copy, because the end of a subtransaction may free it */
	get_typlenbyval(apibase_decorated_rettype(call), &typlen, &byval);
	call->isnull = memo->isnull;
	call->value = memo->isnull ? (Datum) 0 : datumCopy(memo->value, byval, typlen);
}

static void
memoized_call(ApibaseDecoratedCall *call, void *options)
{
	StringInfoData text;
	Memo		key = {0};
	MemoSlot   *slot = NULL;

	if (!OidIsValid(apibase_decorated_rettype(call)))
	{
		apibase_decorated_next(call);
		return;
	}
	initStringInfo(&text);
	apibase_decorate_key(&text, call, NULL, APIBASE_DECORATE_ROLE, NIL);
	key.key = text.data;
	key.keylen = text.len;
	key.hash = hash_bytes((const unsigned char *) text.data, text.len);

	if (memos != NULL)
		slot = memohash_lookup(memos, &key);
	if (slot != NULL)
		recall(call, slot->memo);
	else
	{
		apibase_decorated_next(call);
		if (!call->substituted)
			keep(call, &key);
	}
	pfree(text.data);
}

static void *
memoized_parse(const ApibaseDecoratedFunction *function, Jsonb *options, List **uses)
{
	return NULL;
}

const ApibaseDecorator apibase_decorator_memoized = {
	.name = "memoized",
	.parse = memoized_parse,
	.call = memoized_call,
	.define_gucs = memoized_define_gucs,
};
