/*-------------------------------------------------------------------------
 *
 * decorate_cached.c
 *	  The decorator cached: results of a function in the cache.
 *
 * What is kept is an image of the result as it lies in memory, uncompressed and
 * in one piece, so that a hit is used where the cache has copied it to.  A set
 * is kept as its rows, one after the other.  NULL and a set without rows are
 * nothing, for which the cache has a time to live of its own.
 *
 * Rows whose columns are known only from the rows themselves (a function that
 * returns record, called without a list of columns) are not kept, nor are results
 * with anonymous rows inside: the number of their type is the session's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/typcache.h"

#include "cache/cache.h"
#include "core/errors.h"
#include "decorate/decorate_chain.h"

typedef struct CachedOptions
{
	Bitmapset  *key;			/* arguments that belong to the key */
	ApibaseDecorateScope scope;
	List	   *vary;			/* names of settings */
	ApibaseCacheCompute compute;	/* without its function */
} CachedOptions;

/* One call that asks the cache. */
typedef struct CachedCall
{
	ApibaseDecoratedCall *call;
	ApibaseCacheCompute compute;
	ResourceOwner owner;		/* of the caller */
	bool		started;		/* computing */
	bool		computed;		/* the result is in call */
} CachedCall;

/* What the cache keeps. */
typedef enum ImageForm
{
	IMAGE_BY_VALUE,
	IMAGE_BY_REFERENCE,
	IMAGE_ROW,
	IMAGE_SET,
} ImageForm;

typedef struct Image
{
	int32		vl_len_;		/* varlena header, do not touch directly */
	int32		form;			/* ImageForm */
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* maxaligned, where the whole is */
} Image;

StaticAssertDecl(offsetof(Image, data) % MAXIMUM_ALIGNOF == 0, "images are used in place");

/* ---------- options ---------- */

/* Whether there are anonymous rows inside of what a function returns. */
static bool
returns_anonymous(const ApibaseDecoratedFunction *function)
{
	TupleDesc	desc = NULL;

	if (function->rettype != RECORDOID)
		return decorate_is_anonymous(function->rettype);
	get_func_result_type(function->oid, NULL, &desc);
	for (int i = 0; desc && i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && decorate_is_anonymous(att->atttypid))
			return true;
	}
	return false;
}

static void
check_result(const ApibaseDecoratedFunction *function)
{
	const char *reason = NULL;

	if (function->rettype == VOIDOID)
		reason = "It returns nothing that could be kept.";
	else if (returns_anonymous(function))
		reason = "There are rows in its result that only the session knows the columns of.";
	if (reason)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_CANNOT_DECORATE),
				 errmsg("function %s cannot be decorated with cached", function->name),
				 errdetail_internal("%s", reason)));
}

static void
parse_tags(ApibaseCacheCompute *compute, List *tags)
{
	const char **names = palloc((list_length(tags) + 1) * sizeof(char *));
	ListCell   *lc;

	foreach(lc, tags)
	{
		const char *tag = lfirst(lc);

		if (tag[0] == '\0' || strlen(tag) > APIBASE_CACHE_MAX_TAG)
			ereport(ERROR,
					(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
					 errmsg("a cache tag must have 1 to %d bytes", APIBASE_CACHE_MAX_TAG)));
		names[compute->ntags++] = tag;
	}
	if (compute->ntags > APIBASE_CACHE_MAX_TAGS)
		ereport(ERROR,
				(errcode(APIBASE_ERRCODE_INVALID_CACHE_TAG),
				 errmsg("a cache entry cannot have more than %d tags", APIBASE_CACHE_MAX_TAGS)));
	compute->tags = names;
}

static void *
cached_parse(const ApibaseDecoratedFunction *function, Jsonb *json, List **uses)
{
	static const char *const scopes[] = {"role", "shared", NULL};
	CachedOptions *options = palloc0(sizeof(CachedOptions));
	ApibaseCacheCompute *compute = &options->compute;
	int64		wait;

	check_result(function);
	options->key = apibase_option_arguments(function, apibase_option_texts(json, "key"));
	options->scope = apibase_option_choice(json, "scope", APIBASE_DECORATE_ROLE, scopes);
	options->vary = apibase_option_texts(json, "vary");

	compute->ttl = apibase_option_interval(json, "ttl", 0, 1);
	compute->negative_ttl = apibase_option_interval(json, "negative_ttl", -2, 0);
	if (compute->negative_ttl <= 0)
		compute->negative_ttl = compute->negative_ttl == 0 ? -1 : 0;
	compute->stale_while_revalidate = apibase_option_interval(json, "stale_while_revalidate", 0, 0);
	compute->stale_on_error = apibase_option_interval(json, "stale_on_error", 0, 0);
	compute->early = apibase_option_float(json, "early", 0, 0, 1);
	compute->jitter = apibase_option_float(json, "jitter", -1, 0, 1);
	wait = apibase_option_interval(json, "wait_limit", -1, 0);
	compute->wait_limit = wait < 0 ? -1 : (int) Min(wait / 1000, PG_INT32_MAX);
	compute->track = apibase_option_bool(json, "track", true);
	compute->any_role = true;	/* the key has the role, or it was declared that it need not */
	parse_tags(compute, apibase_option_texts(json, "tags"));
	return options;
}

/* ---------- images ---------- */

/* Whether rows of one description can be read with another. */
static bool
same_columns(TupleDesc a, TupleDesc b)
{
	if (a == NULL || b == NULL || a->natts != b->natts)
		return false;
	for (int i = 0; i < a->natts; i++)
	{
		Form_pg_attribute x = TupleDescAttr(a, i);
		Form_pg_attribute y = TupleDescAttr(b, i);

		if (x->attisdropped != y->attisdropped || x->attlen != y->attlen || x->attalign != y->attalign ||
			(!x->attisdropped && x->atttypid != y->atttypid))
			return false;
	}
	return true;
}

static Image *
make_image(ImageForm form, const void *data, Size len)
{
	Image	   *image = palloc(offsetof(Image, data) + len);

	SET_VARSIZE(image, offsetof(Image, data) + len);
	image->form = form;
	memcpy(image->data, data, len);
	return image;
}

static Image *
image_of_row(const ApibaseDecoratedCall *call)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(call->value);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	TupleDesc	known = call->site->types->desc;
	bool		fits = same_columns(desc, known) && desc->tdtypeid == known->tdtypeid;

	ReleaseTupleDesc(desc);
	return fits ? make_image(IMAGE_ROW, header, HeapTupleHeaderGetDatumLength(header)) : NULL;
}

/* Copy a row of a set to another slot, without values that are stored elsewhere. */
static void
flatten_row(TupleTableSlot *from, TupleTableSlot *to)
{
	TupleDesc	desc = from->tts_tupleDescriptor;

	slot_getallattrs(from);
	ExecClearTuple(to);
	for (int i = 0; i < desc->natts; i++)
	{
		Datum		value = from->tts_values[i];

		to->tts_isnull[i] = from->tts_isnull[i];
		if (!to->tts_isnull[i] && TupleDescAttr(desc, i)->attlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(value)))
			value = PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(value)));
		to->tts_values[i] = value;
	}
	ExecStoreVirtualTuple(to);
}

/* Append all rows to the image; false when they are too many for one. */
static bool
append_rows(StringInfo image, const ApibaseDecoratedCall *call)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(call->desc, &TTSOpsMinimalTuple);
	TupleTableSlot *flat = MakeSingleTupleTableSlot(call->desc, &TTSOpsVirtual);
	MemoryContext context = CurrentMemoryContext;
	MemoryContext temporary = AllocSetContextCreate(context, "apibase cached row", ALLOCSET_DEFAULT_SIZES);
	bool		fits = true;

	tuplestore_rescan(call->rows);
	while (fits && tuplestore_gettupleslot(call->rows, true, false, slot))
	{
		MinimalTuple row;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(temporary);
		MemoryContextSwitchTo(temporary);
		flatten_row(slot, flat);
		row = ExecCopySlotMinimalTuple(flat);
		MemoryContextSwitchTo(context);
		fits = image->len + MAXALIGN(row->t_len) < MaxAllocSize / 2;
		if (fits)
		{
			appendBinaryStringInfo(image, (char *) row, row->t_len);
			appendStringInfoSpaces(image, MAXALIGN(image->len) - image->len);
		}
	}
	ExecDropSingleTupleTableSlot(flat);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(temporary);
	tuplestore_rescan(call->rows);
	return fits;
}

/* The rows of a set; NULL when they are too many, or not to be kept. */
static Image *
image_of_set(const ApibaseDecoratedCall *call)
{
	StringInfoData rows;
	Image	   *image;

	if (!same_columns(call->site->types->desc, call->desc))
		return NULL;
	initStringInfo(&rows);
	appendStringInfoSpaces(&rows, offsetof(Image, data));
	if (!append_rows(&rows, call))
		return NULL;
	image = (Image *) rows.data;
	SET_VARSIZE(image, rows.len);
	image->form = IMAGE_SET;
	return image;
}

static Image *
image_of_scalar(const ApibaseDecoratedCall *call)
{
	const DecorateType *type = &call->site->types->result;
	struct varlena *flat;

	if (!OidIsValid(type->type))
		return NULL;
	if (type->typbyval)
		return make_image(IMAGE_BY_VALUE, &call->value, sizeof(Datum));
	if (type->typlen > 0)
		return make_image(IMAGE_BY_REFERENCE, DatumGetPointer(call->value), type->typlen);
	flat = PG_DETOAST_DATUM(call->value);
	return make_image(IMAGE_BY_REFERENCE, flat, VARSIZE(flat));
}

static bool
are_rows(const char *data, Size len)
{
	while (len > 0)
	{
		Size		size;

		if (len < SizeofMinimalTupleHeader)
			return false;
		size = MAXALIGN(((const MinimalTupleData *) data)->t_len);
		if (size < SizeofMinimalTupleHeader || size > len)
			return false;
		data += size;
		len -= size;
	}
	return true;
}

/* Whether what the cache has is an image of a result of this function, as far as its outside tells. */
static bool
is_image(const Image *image, const ApibaseDecoratedCall *call)
{
	const DecorateTypes *types = call->site->types;
	Size		len;

	if (VARSIZE(image) < offsetof(Image, data))
		return false;
	len = VARSIZE(image) - offsetof(Image, data);
	if (call->function->retset)
		return image->form == IMAGE_SET && types->desc != NULL && are_rows(image->data, len);
	if (types->returns_row)
		return image->form == IMAGE_ROW && types->desc != NULL && len >= SizeofHeapTupleHeader &&
			HeapTupleHeaderGetDatumLength((const HeapTupleHeaderData *) image->data) == len;
	if (types->result.typbyval)
		return image->form == IMAGE_BY_VALUE && len == sizeof(Datum);
	if (image->form != IMAGE_BY_REFERENCE)
		return false;
	if (types->result.typlen > 0)
		return len == (Size) types->result.typlen;
	return len >= VARHDRSZ && VARATT_IS_4B_U(image->data) && VARSIZE(image->data) == len;
}

static void
rows_from_image(ApibaseDecoratedCall *call, const Image *image)
{
	TupleDesc	desc = call->site->types->desc;
	TupleTableSlot *slot;
	Size		len = image ? VARSIZE(image) - offsetof(Image, data) : 0;

	apibase_decorated_begin_set(call, desc);
	if (len == 0)
		return;
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	for (Size offset = 0; offset < len;)
	{
		MinimalTuple row = (MinimalTuple) (image->data + offset);

		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(row, slot, false);
		tuplestore_puttupleslot(call->rows, slot);
		offset += MAXALIGN(row->t_len);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Let what the cache has be the result of the call. */
static void
result_from_image(ApibaseDecoratedCall *call, Image *image)
{
	if (call->function->retset)
	{
		rows_from_image(call, image);
		return;
	}
	call->isnull = image == NULL;
	if (image == NULL)
		return;
	switch ((ImageForm) image->form)
	{
		case IMAGE_BY_VALUE:
			memcpy(&call->value, image->data, sizeof(Datum));
			break;
		case IMAGE_ROW:
			{
				HeapTupleHeader header = (HeapTupleHeader) image->data;
				TupleDesc	desc = call->site->types->desc;

				/* the number of an anonymous row type is the session's */
				if (desc->tdtypeid == RECORDOID)
					HeapTupleHeaderSetTypMod(header, desc->tdtypmod);
			}
			/* FALLTHROUGH */
		default:
			call->value = PointerGetDatum(image->data);
			break;
	}
}

/* ---------- calls ---------- */

static bool
is_nothing(const ApibaseDecoratedCall *call)
{
	if (!call->function->retset)
		return call->isnull;
	return tuplestore_tuple_count(call->rows) == 0;
}

/* For the cache: call the function, and make an image of its result. */
static void
cached_compute(void *arg, ApibaseCacheKind *kind, struct varlena **data)
{
	CachedCall *cached = arg;
	ApibaseDecoratedCall *call = cached->call;
	Image	   *image = NULL;

	cached->started = true;
	apibase_decorated_next(call);
	if (!is_nothing(call) && !call->site->types->anonymous && !call->substituted)
	{
		if (call->function->retset)
			image = image_of_set(call);
		else if (call->site->types->returns_row)
			image = image_of_row(call);
		else
			image = image_of_scalar(call);
	}
	if (image == NULL && (!is_nothing(call) || call->substituted))
		cached->compute.negative_ttl = -1;	/* not to be kept */
	*kind = image ? APIBASE_CACHE_DATUM : APIBASE_CACHE_NOTHING;
	*data = (struct varlena *) image;

	/*
	 * With stale_on_error this may run in a subtransaction, at whose end a set that is in a file would be lost.
	 */
	if (call->function->retset && cached->compute.stale_on_error > 0)
		decorate_keep_rows(call, cached->owner);
	cached->computed = true;
}

static void
cached_call(ApibaseDecoratedCall *call, void *arg)
{
	const CachedOptions *options = arg;
	CachedCall	cached = {.call = call, .compute = options->compute, .owner = CurrentResourceOwner};
	int			layer = call->layer;
	ApibaseCacheKey key;
	ApibaseCacheValue value;
	StringInfoData name;

	if (!apibase_cache_usable(true))
	{
		apibase_decorated_next(call);
		return;
	}
	initStringInfo(&name);
	apibase_decorate_key(&name, call, options->key, options->scope, options->vary);
	apibase_cache_key(&key, name.data, name.len);
	cached.compute.compute = cached_compute;
	cached.compute.arg = &cached;
	apibase_cache_through(&key, &cached.compute, &value);
	if (cached.computed)
		return;
	if (cached.started)
		decorate_recover(call, layer);	/* it has failed, and there was an expired value */
	if (value.kind == APIBASE_CACHE_NOTHING)
		result_from_image(call, NULL);
	else if (value.kind == APIBASE_CACHE_DATUM && is_image((Image *) value.data, call))
		result_from_image(call, (Image *) value.data);
	else
		apibase_decorated_next(call);	/* somebody has put another value there */
}

const ApibaseDecorator apibase_decorator_cached = {
	.name = "cached",
	.parse = cached_parse,
	.call = cached_call,
};
