/*-------------------------------------------------------------------------
 *
 * backend_shim.c
 *	  Memory contexts, error reports and the stack check of a backend, for
 *	  fuzz targets: see backend_shim.h.
 *
 * A memory context is a real tree here, with a list of its chunks; deleting a
 * context frees them.  The contexts that live as long as a backend
 * (TopMemoryContext, CacheMemoryContext) may be filled by the first inputs, as
 * a backend fills its caches; shim_reset counts their chunks and aborts when
 * they go on growing, which would be a leak.
 *
 * The symbols below stand in the program itself, so the linker takes them
 * instead of the server's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>
#include <stdarg.h>

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "utils/memutils.h"

#include "backend_shim.h"

/* A chunk; its data follows.  The server looks for the context right before the data. */
typedef struct Chunk
{
	struct Chunk *prev;
	struct Chunk *next;
	size_t		size;
	MemoryContext context;
} Chunk;

/* A context with its chunks, a ring that starts and ends at head. */
typedef struct ShimContext
{
	MemoryContextData base;
	Chunk		head;
	size_t		nchunks;
} ShimContext;

/* Permanent contexts may hold this many chunks more than after the first inputs. */
#define PERMANENT_WARMUP	256
#define PERMANENT_SLACK		64

#define STACK_LIMIT			(2 * 1024 * 1024)

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;
MemoryContext ErrorContext = NULL;
MemoryContext PostmasterContext = NULL;
MemoryContext CacheMemoryContext = NULL;
MemoryContext MessageContext = NULL;
MemoryContext TopTransactionContext = NULL;
MemoryContext CurTransactionContext = NULL;
MemoryContext PortalContext = NULL;

ErrorContextCallback *error_context_stack = NULL;
sigjmp_buf *PG_exception_stack = NULL;

static MemoryContext input_context = NULL;
static ErrorData current_error;
static int	error_depth = 0;
static char *stack_base = NULL;

void
shim_fail(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	fprintf(stderr, "fuzz: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

/* ---------- memory ---------- */

static Chunk *
chunk_of(void *pointer)
{
	return (Chunk *) ((char *) pointer - sizeof(Chunk));
}

static void
chunk_link(Chunk *chunk, MemoryContext context)
{
	ShimContext *owner = (ShimContext *) context;

	chunk->context = context;
	chunk->prev = owner->head.prev;
	chunk->next = &owner->head;
	chunk->prev->next = chunk;
	chunk->next->prev = chunk;
	owner->nchunks++;
}

static void
chunk_unlink(Chunk *chunk)
{
	chunk->prev->next = chunk->next;
	chunk->next->prev = chunk->prev;
	((ShimContext *) chunk->context)->nchunks--;
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	Chunk	   *chunk;

	if (context == NULL)
		shim_fail("allocation without a memory context");
	if ((flags & MCXT_ALLOC_HUGE) ? !AllocHugeSizeIsValid(size) : !AllocSizeIsValid(size))
	{
		if (flags & MCXT_ALLOC_NO_OOM)
			return NULL;
		elog(ERROR, "invalid memory alloc request size %zu", size);
	}
	chunk = malloc(sizeof(Chunk) + size);
	if (chunk == NULL)
		shim_fail("malloc of %zu bytes failed", size);
	chunk->size = size;
	chunk_link(chunk, context);
	if (flags & MCXT_ALLOC_ZERO)
		memset(chunk + 1, 0, size);
	else
		memset(chunk + 1, 0x7f, size);	/* as a server with assertions does */
	return chunk + 1;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, 0);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_ZERO);
}

/* Declared up to PostgreSQL 16 only. */
extern void *MemoryContextAllocZeroAligned(MemoryContext context, Size size);

void *
MemoryContextAllocZeroAligned(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_ZERO);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_HUGE);
}

void *
palloc(Size size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, 0);
}

void *
palloc0(Size size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, MCXT_ALLOC_ZERO);
}

void *
palloc_extended(Size size, int flags)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, flags);
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = chunk_of(pointer);

	chunk_unlink(chunk);
	free(chunk);
}

/* Always moves, so that a pointer kept to the old place is found. */
void *
repalloc_extended(void *pointer, Size size, int flags)
{
	Chunk	   *chunk = chunk_of(pointer);
	void	   *result = MemoryContextAllocExtended(chunk->context, size, flags & ~MCXT_ALLOC_ZERO);

	if (result != NULL)
	{
		memcpy(result, pointer, Min(size, chunk->size));
		pfree(pointer);
	}
	return result;
}

void *
repalloc(void *pointer, Size size)
{
	return repalloc_extended(pointer, size, 0);
}

void *
repalloc_huge(void *pointer, Size size)
{
	return repalloc_extended(pointer, size, MCXT_ALLOC_HUGE);
}

void *
repalloc0(void *pointer, Size oldsize, Size size)
{
	char	   *result = repalloc(pointer, size);

	memset(result + oldsize, 0, size - oldsize);
	return result;
}

char *
MemoryContextStrdup(MemoryContext context, const char *string)
{
	size_t		len = strlen(string) + 1;

	return memcpy(MemoryContextAlloc(context, len), string, len);
}

char *
pstrdup(const char *in)
{
	return MemoryContextStrdup(CurrentMemoryContext, in);
}

char *
pnstrdup(const char *in, Size len)
{
	char	   *out;

	len = strnlen(in, len);
	out = palloc(len + 1);
	memcpy(out, in, len);
	out[len] = '\0';
	return out;
}

Size
GetMemoryChunkSpace(void *pointer)
{
	return chunk_of(pointer)->size;
}

#if PG_VERSION_NUM >= 160000
/* Up to 15 this is inline, and reads what Chunk has before the data. */
MemoryContext
GetMemoryChunkContext(void *pointer)
{
	return chunk_of(pointer)->context;
}
#endif

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size minContextSize,
							  Size initBlockSize, Size maxBlockSize)
{
	ShimContext *context = calloc(1, sizeof(ShimContext));

	if (context == NULL)
		shim_fail("no memory for a context");
	context->base.type = T_AllocSetContext;
	context->base.name = name;
	context->base.parent = parent;
	context->head.prev = context->head.next = &context->head;
	if (parent != NULL)
	{
		context->base.nextchild = parent->firstchild;
		if (parent->firstchild != NULL)
			parent->firstchild->prevchild = &context->base;
		parent->firstchild = &context->base;
	}
	return &context->base;
}

void
MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *cb)
{
	cb->next = context->reset_cbs;
	context->reset_cbs = cb;
}

void
MemoryContextDeleteChildren(MemoryContext context)
{
	while (context->firstchild != NULL)
		MemoryContextDelete(context->firstchild);
}

void
MemoryContextResetOnly(MemoryContext context)
{
	ShimContext *owner = (ShimContext *) context;

	while (context->reset_cbs != NULL)
	{
		MemoryContextCallback *cb = context->reset_cbs;

		context->reset_cbs = cb->next;
		cb->func(cb->arg);
	}
	while (owner->head.next != &owner->head)
		pfree(owner->head.next + 1);
}

void
MemoryContextReset(MemoryContext context)
{
	MemoryContextDeleteChildren(context);
	MemoryContextResetOnly(context);
}

void
MemoryContextDelete(MemoryContext context)
{
	if (context == CurrentMemoryContext)
		shim_fail("deletion of the current memory context \"%s\"", context->name);
	MemoryContextReset(context);
	if (context->prevchild != NULL)
		context->prevchild->nextchild = context->nextchild;
	else if (context->parent != NULL)
		context->parent->firstchild = context->nextchild;
	if (context->nextchild != NULL)
		context->nextchild->prevchild = context->prevchild;
	free(context);
}

void
MemoryContextSetIdentifier(MemoryContext context, const char *id)
{
	context->ident = id;
}

static size_t
count_chunks(MemoryContext context)
{
	size_t		n = ((ShimContext *) context)->nchunks + 1;

	for (MemoryContext child = context->firstchild; child != NULL; child = child->nextchild)
		if (child != input_context)
			n += count_chunks(child);
	return n;
}

/* ---------- errors ---------- */

bool
errstart(int elevel, const char *domain)
{
	if (error_depth++ > 0)
		shim_fail("error report within an error report");
	if (stack_base == NULL)
		shim_fail("error report outside of shim_try");
	memset(&current_error, 0, sizeof(current_error));
	current_error.elevel = elevel;
	current_error.sqlerrcode = elevel >= ERROR ? ERRCODE_INTERNAL_ERROR : ERRCODE_SUCCESSFUL_COMPLETION;
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	if (--error_depth != 0)
		shim_fail("errfinish without errstart");
	current_error.filename = filename;
	current_error.lineno = lineno;
	current_error.funcname = funcname;
	for (ErrorContextCallback *cb = error_context_stack; cb != NULL; cb = cb->previous)
		cb->callback(cb->arg);
	if (current_error.elevel >= ERROR)
		pg_re_throw();
}

void
pg_re_throw(void)
{
	if (PG_exception_stack == NULL)
		shim_fail("error without a handler: %s", current_error.message);
	siglongjmp(*PG_exception_stack, 1);
}

int
errcode(int sqlerrcode)
{
	current_error.sqlerrcode = sqlerrcode;
	return 0;
}

/* Format into the context of the input, as it outlives the contexts of its parts. */
static char *
format(const char *fmt, va_list args)
{
	va_list		copy;
	int			len;
	char	   *result;

	va_copy(copy, args);
	len = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	if (len < 0)
		shim_fail("message cannot be formatted: %s", fmt);
	result = MemoryContextAlloc(input_context, len + 1);
	vsnprintf(result, len + 1, fmt, args);
	return result;
}

#define FORMAT_INTO(field) \
	do { \
		va_list		args; \
		va_start(args, fmt); \
		current_error.field = format(fmt, args); \
		va_end(args); \
	} while (0)

int
errmsg(const char *fmt,...)
{
	FORMAT_INTO(message);
	return 0;
}

int
errmsg_internal(const char *fmt,...)
{
	FORMAT_INTO(message);
	return 0;
}

int
errdetail(const char *fmt,...)
{
	FORMAT_INTO(detail);
	return 0;
}

int
errdetail_internal(const char *fmt,...)
{
	FORMAT_INTO(detail);
	return 0;
}

int
errhint(const char *fmt,...)
{
	FORMAT_INTO(hint);
	return 0;
}

int
errcontext_msg(const char *fmt,...)
{
	FORMAT_INTO(context);
	return 0;
}

/* The plural forms get both texts; which is taken does not matter here. */
static int
plural(char **field, const char *one, const char *many, unsigned long n, va_list args)
{
	*field = format(n == 1 ? one : many, args);
	return 0;
}

#define PLURAL_FUNCTION(name, field) \
int \
name(const char *fmt_singular, const char *fmt_plural, unsigned long n,...) \
{ \
	va_list		args; \
	va_start(args, n); \
	plural(&current_error.field, fmt_singular, fmt_plural, n, args); \
	va_end(args); \
	return 0; \
}

PLURAL_FUNCTION(errmsg_plural, message)
PLURAL_FUNCTION(errdetail_plural, detail)
PLURAL_FUNCTION(errhint_plural, hint)

int
set_errcontext_domain(const char *domain)
{
	return 0;
}

int
errposition(int cursorpos)
{
	current_error.cursorpos = cursorpos;
	return 0;
}

int
internalerrposition(int cursorpos)
{
	current_error.internalpos = cursorpos;
	return 0;
}

int
internalerrquery(const char *query)
{
	current_error.internalquery = query ? MemoryContextStrdup(input_context, query) : NULL;
	return 0;
}

int
err_generic_string(int field, const char *str)
{
	(void) strlen(str);
	return 0;
}

int
geterrcode(void)
{
	return current_error.sqlerrcode;
}

int
geterrposition(void)
{
	return current_error.cursorpos;
}

ErrorData *
CopyErrorData(void)
{
	ErrorData  *copy = palloc(sizeof(ErrorData));

	*copy = current_error;		/* the strings live as long as the input */
	return copy;
}

void
FreeErrorData(ErrorData *edata)
{
	pfree(edata);
}

void
FlushErrorState(void)
{
	error_depth = 0;
}

void
ReThrowError(ErrorData *edata)
{
	current_error = *edata;
	pg_re_throw();
}

#if PG_VERSION_NUM >= 160000
/* Soft errors (16): no caller here asks for them, so they are errors. */
bool
errsave_start(struct Node *context, const char *domain)
{
	return errstart(ERROR, domain);
}

void
errsave_finish(struct Node *context, const char *filename, int lineno, const char *funcname)
{
	errfinish(filename, lineno, funcname);
}
#endif

/* ---------- stack, interrupts, encoding, JSON ---------- */

bool
stack_is_too_deep(void)
{
	return labs((long) (stack_base - (char *) __builtin_frame_address(0))) > STACK_LIMIT;
}

void
check_stack_depth(void)
{
	if (stack_is_too_deep())
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("stack depth limit exceeded")));
}

void
ProcessInterrupts(void)
{
}

/* The detail of a JSON error is not in the client's library, up to 16. */
char *
json_errdetail(JsonParseErrorType error, JsonLexContext * lex)
{
	return pstrdup("JSON is invalid.");
}

/* The bytes are valid UTF-8 by what the target checks before, so no conversion is ever needed. */
void
shim_init(void)
{
	TopMemoryContext = AllocSetContextCreateInternal(NULL, "TopMemoryContext", 0, 0, 0);
	CacheMemoryContext = AllocSetContextCreateInternal(TopMemoryContext, "CacheMemoryContext", 0, 0, 0);
	ErrorContext = AllocSetContextCreateInternal(TopMemoryContext, "ErrorContext", 0, 0, 0);
	input_context = AllocSetContextCreateInternal(TopMemoryContext, "input", 0, 0, 0);
	CurrentMemoryContext = input_context;
	SetDatabaseEncoding(PG_UTF8);
}

/* ---------- running ---------- */

bool
shim_try(void (*fn) (void *arg), void *arg)
{
	sigjmp_buf	handler;
	sigjmp_buf *save = PG_exception_stack;
	ErrorContextCallback *save_callbacks = error_context_stack;
	bool		ok;

	CurrentMemoryContext = input_context;
	stack_base = __builtin_frame_address(0);
	error_depth = 0;
	if (sigsetjmp(handler, 0) == 0)
	{
		PG_exception_stack = &handler;
		fn(arg);
		ok = true;
	}
	else
		ok = false;
	PG_exception_stack = save;
	error_context_stack = save_callbacks;
	CurrentMemoryContext = input_context;
	stack_base = NULL;
	return ok;
}

ErrorData *
shim_error(void)
{
	return &current_error;
}

void
shim_reset(void)
{
	static size_t inputs = 0;
	static size_t allowed = 0;
	size_t		n;

	MemoryContextReset(input_context);
	n = count_chunks(TopMemoryContext);
	if (++inputs <= PERMANENT_WARMUP)
		allowed = n + PERMANENT_SLACK;
	else if (n > allowed)
		shim_fail("permanent memory contexts grew to %zu chunks, %zu were expected at most", n, allowed);
}
