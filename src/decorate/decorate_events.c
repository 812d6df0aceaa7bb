/*-------------------------------------------------------------------------
 *
 * decorate_events.c
 *	  Event triggers: decorated functions that are replaced, altered, restored.
 *
 * Before and after each command that may concern a function, all decorated
 * functions are looked at; there are never so many that it matters, and nothing
 * has to be known about the command.
 *
 *	- CREATE OR REPLACE has put a new implementation where the chain was: it
 *	  becomes the body, and the chain, remembered from before, is put back.
 *	- ALTER FUNCTION has changed the name, or what the body must have in
 *	  common with the function: the body follows.  What the decorators do
 *	  not allow is refused.
 *	- Some command has changed something that a chain names.  It is refused if
 *	  the chain was whole before; for a type there is a warning.  A chain that was
 *	  not whole before is its owner's business, and no command's.
 *	- A dump has been restored: once all is there that a chain needs,
 *	  dependencies are recorded that a dump does not have.
 *
 * Commands nest: another event trigger may run some.  What is remembered for each
 * is on a stack, and goes with its command, or with the subtransaction in which
 * that failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "core/compat.h"
#include "core/subxact.h"
#include "decorate/decorate_chain.h"

PG_FUNCTION_INFO_V1(apibase_decorate_ddl_start);
PG_FUNCTION_INFO_V1(apibase_decorate_ddl_end);

/* A decorated function, as it was before the command. */
typedef struct Remembered
{
	Oid			function;
	char	   *source;
	ItemPointerData row;		/* of pg_proc */
	bool		whole;			/* its chain could be made; false where the command cannot concern it */
} Remembered;

/* A command that has begun. */
typedef struct Command
{
	struct Command *outer;
	MemoryContext context;		/* has this and what hangs on it */
	const Node *parsetree;		/* says which it is */
	int			nest_level;		/* of the transaction */
	List	   *functions;		/* of Remembered */
} Command;

static Command *command = NULL; /* the innermost */

static void
forget_command(void)
{
	MemoryContext context = command->context;

	command = command->outer;
	MemoryContextDelete(context);
}

/* Whether the beginning of a command was seen.  It is the innermost one then. */
static bool
find_command(const Node *parsetree)
{
	Command    *found = command;

	while (found != NULL && found->parsetree != parsetree)
		found = found->outer;
	if (found == NULL)
		return false;
	/* those within it whose end was not seen, because event triggers were switched off */
	while (command != found)
		forget_command();
	return true;
}

static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		while (command != NULL)
			forget_command();
	}
}

static void
subtransaction_ended(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	while (command != NULL && command->nest_level >= GetCurrentTransactionNestLevel())
		forget_command();
}

void
decorate_events_install(void)
{
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
}

/* ---------- chains ---------- */

static bool
is_decorated(HeapTuple tuple)
{
	return ((Form_pg_proc) GETSTRUCT(tuple))->prolang == decorate_language();
}

/* The lock of those who decorate or drop a function, if nobody has it. */
static bool
try_lock(Oid function)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ProcedureRelationId, function, 0);
	if (LockAcquire(&tag, AccessExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

/* A chain on trial. */
typedef struct Trial
{
	Oid			function;
	bool		link;			/* record what it depends on */
	MemoryContext context;		/* for what is made */
} Trial;

/* Make the chain as it will be called; for apibase_try. */
static void
make_chain(void *arg)
{
	Trial	   *trial = arg;
	HeapTuple	tuple;
	List	   *uses;
	DecorateChain *chain;

	MemoryContextSwitchTo(trial->context);
	if (trial->link && (!try_lock(trial->function) || decorate_is_linked(trial->function)))
		return;
	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(trial->function));
	/* others may have dropped or undecorated it since it was found */
	if (!HeapTupleIsValid(tuple) || !is_decorated(tuple))
		return;
	chain = decorate_chain_make(tuple, false, &uses);
	if (trial->link)
		decorate_set_dependencies(trial->function, chain->body, uses);
}

/*
 * Find what is wrong with a chain now, and record what it depends on if that
 * is wanted.  Gives the error, or NULL.
 */
static ErrorData *
try_chain(Oid function, bool link)
{
	Trial		trial = {.function = function, .link = link};
	ErrorData  *error;

	trial.context = AllocSetContextCreate(CurrentMemoryContext, "apibase chain on trial", ALLOCSET_SMALL_SIZES);
	error = apibase_try(make_chain, &trial);
	MemoryContextDelete(trial.context);
	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

/* Record the dependencies of functions that have been restored, if all that they need is there. */
static void
link_restored(void)
{
	ListCell   *lc;

	foreach(lc, decorate_all_functions())
	{
		if (!decorate_is_linked(lfirst_oid(lc)))
			try_chain(lfirst_oid(lc), true);
	}
}

/* ---------- before a command ---------- */

/* Whether a command could break the chain of a function without changing the function. */
static bool
may_concern(CommandTag tag, Oid function)
{
	if (tag == CMDTAG_CREATE_FUNCTION)
		return false;
	return tag == CMDTAG_ALTER_TYPE || tag == CMDTAG_ALTER_DOMAIN || decorate_names_functions(function);
}

/* Remember all decorated functions. */
static void
remember_functions(const Node *parsetree, CommandTag tag)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "apibase decorated functions before a command",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Command    *begun = palloc0(sizeof(Command));
	ListCell   *lc;

	begun->context = context;
	begun->parsetree = parsetree;
	begun->nest_level = GetCurrentTransactionNestLevel();
	foreach(lc, decorate_all_functions())
	{
		HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(lfirst_oid(lc)));
		Remembered *function = palloc(sizeof(Remembered));

		CHECK_FOR_INTERRUPTS();
		if (!HeapTupleIsValid(tuple))
			continue;
		if (!is_decorated(tuple))
		{
			ReleaseSysCache(tuple);
			continue;
		}
		function->function = lfirst_oid(lc);
		function->source = decorate_source_text(tuple);
		function->row = tuple->t_self;
		ReleaseSysCache(tuple);
		function->whole = may_concern(tag, function->function) && try_chain(function->function, false) == NULL;
		begun->functions = lappend(begun->functions, function);
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);
	begun->outer = command;
	command = begun;
}

/* ---------- after it ---------- */

/* Whether the row of a function was written by this transaction since it was remembered. */
static bool
was_changed(Remembered *before, HeapTuple tuple)
{
	return !ItemPointerEquals(&before->row, &tuple->t_self) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmin(tuple->t_data));
}

/* If the command has given a decorated function a new implementation, decorate that. */
static void
put_back(Remembered *before)
{
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(before->function));
	DecorateSource *source;
	Oid			body;
	List	   *uses;

	if (!HeapTupleIsValid(tuple) || is_decorated(tuple) || !was_changed(before, tuple))
		return;
	source = decorate_source_read(before->source);
	body = decorate_find_body(tuple, source->schema);
	if (!OidIsValid(body))
		return;					/* undecorated */
	decorate_check_function(tuple);
	decorate_resplit(before->function, body);
	decorate_set_source(before->function, source);
	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(before->function));
	MemoryContextDelete(decorate_chain_make(tuple, false, &uses)->context);
	decorate_set_dependencies(before->function, body, uses);
}

/* A command has ended that is not CREATE FUNCTION: is the chain still whole? */
static void
check_chain(const Remembered *before, bool changed, CommandTag tag)
{
	ErrorData  *error = changed || before->whole ? try_chain(before->function, false) : NULL;

	if (error == NULL)
		return;
	if (changed || (tag != CMDTAG_ALTER_TYPE && tag != CMDTAG_ALTER_DOMAIN))
		ReThrowError(error);
	ereport(WARNING,
			(errmsg("the decorators of function %s are not valid any more", decorate_function_name(before->function)),
			 errdetail("Calls of it will fail: %s", error->message)));
}

static void
look_after(Remembered *before, CommandTag tag)
{
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(before->function));
	bool		changed;

	if (!HeapTupleIsValid(tuple) || !is_decorated(tuple) || !decorate_is_linked(before->function))
		return;
	changed = was_changed(before, tuple);
	if (changed)
	{
		DecorateSource *source = decorate_source_read(decorate_source_text(tuple));
		Oid			body = decorate_find_body(tuple, source->schema);

		decorate_follow(before->function, body);
	}
	/* what a restored chain names may come later, so CREATE FUNCTION is no time to look at it */
	if (tag != CMDTAG_CREATE_FUNCTION)
		check_chain(before, changed, tag);
}

/* ---------- triggers ---------- */

static const EventTriggerData *
event_trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("not fired by event trigger manager")));
	return (EventTriggerData *) fcinfo->context;
}

/* After these there is nothing to do: what is dropped, or must not be, the dependencies say. */
static bool
is_drop(CommandTag tag)
{
	return strncmp(GetCommandTagName(tag), "DROP ", 5) == 0;
}

/*
 * Trigger for ddl_command_start.
 */
Datum
apibase_decorate_ddl_start(PG_FUNCTION_ARGS)
{
	const EventTriggerData *data = event_trigger_data(fcinfo);

	link_restored();
	if (!is_drop(data->tag))
		remember_functions(data->parsetree, data->tag);
	PG_RETURN_NULL();
}

/*
 * Trigger for ddl_command_end.
 */
Datum
apibase_decorate_ddl_end(PG_FUNCTION_ARGS)
{
	const EventTriggerData *data = event_trigger_data(fcinfo);
	ListCell   *lc;

	if (find_command(data->parsetree))
	{
		foreach(lc, command->functions)
			put_back(lfirst(lc));
		foreach(lc, command->functions)
		{
			CHECK_FOR_INTERRUPTS();
			look_after(lfirst(lc), data->tag);
		}
		forget_command();
	}
	link_restored();
	PG_RETURN_NULL();
}
