/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, all of them.
 *
 * The only file with a comparison of PG_VERSION_NUM.  Each shim gives the
 * newest version's form, or a neutral one, to all, and says which version
 * changed what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_COMPAT_H
#define APIBASE_COMPAT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "storage/proc.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM < 160000
#include "utils/guc_tables.h"
#endif

/* 16 keeps the macros for varlenas in a header of their own (d952373a987). */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "apibase needs PostgreSQL 15, 16, 17 or 18"
#endif

/* 18 shows a module's name and version in pg_get_loaded_modules() (9324c8c5806). */
#if PG_VERSION_NUM >= 180000
#define APIBASE_MODULE_MAGIC	PG_MODULE_MAGIC_EXT(.name = "apibase", .version = APIBASE_VERSION)
#else
#define APIBASE_MODULE_MAGIC	PG_MODULE_MAGIC
#endif

/* 16 declares it in fmgr.h (089480c0770). */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

/* 18 has a prefix, pg_noreturn, instead. */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* 17 keeps the two parts of the virtual transaction id in one struct (ab355e3a88d). */
#if PG_VERSION_NUM >= 170000
#define APIBASE_PROC_LXID(proc)	((proc)->vxid.lxid)
#else
#define APIBASE_PROC_LXID(proc)	((proc)->lxid)
#endif

/* 17 lets an extension name its wait events (c9af0546139); the name shows in pg_stat_activity. */
#if PG_VERSION_NUM >= 170000
#define APIBASE_WAIT_EVENT(name)	WaitEventExtensionNew(name)
#else
#define APIBASE_WAIT_EVENT(name)	PG_WAIT_EXTENSION
#endif

/* 16 asks for privileges on any object by one function (c727f511bd7). */
#if PG_VERSION_NUM >= 160000
#define apibase_proc_aclcheck(oid, role, mode)	object_aclcheck(ProcedureRelationId, oid, role, mode)
#define apibase_proc_ownercheck(oid, role)		object_ownercheck(ProcedureRelationId, oid, role)
#else
#define apibase_proc_aclcheck(oid, role, mode)	pg_proc_aclcheck(oid, role, mode)
#define apibase_proc_ownercheck(oid, role)		pg_proc_ownercheck(oid, role)
#endif

/* 17 ties a set of wait events to a resource owner, not to memory (50c67c2019a).  These live until they are freed. */
#if PG_VERSION_NUM >= 170000
#define APIBASE_CREATE_WAIT_EVENT_SET(n)	CreateWaitEventSet(NULL, (n))
#else
#define APIBASE_CREATE_WAIT_EVENT_SET(n)	CreateWaitEventSet(TopMemoryContext, (n))
#endif

/*
 * Whether a NOT NULL constraint holds for all rows.  18 has constraints that
 * are not validated yet: attnotnull is set, and rows may break it (a379061a22a).
 */
#if PG_VERSION_NUM >= 180000
#define apibase_attribute_not_null(desc, attno) \
	(TupleDescCompactAttr(desc, (attno) - 1)->attnullability == ATTNULLABLE_VALID)
#else
#define apibase_attribute_not_null(desc, attno) \
	(TupleDescAttr(desc, (attno) - 1)->attnotnull)
#endif

/*
 * Since 16 a Var says which outer joins can make it NULL (2489d76c490).  Before
 * that, any outer join of the query may.  Since 18 a Var of RETURNING may be
 * of the OLD or NEW row, which need not exist (80feb727c86).
 */
static inline bool
apibase_var_is_nullable(PlannerInfo *root, Var *var)
{
#if PG_VERSION_NUM >= 160000
#if PG_VERSION_NUM >= 180000
	if (var->varreturningtype != VAR_RETURNING_DEFAULT)
		return true;
#endif
	return !bms_is_empty(var->varnullingrels);
#else
	ListCell   *lc;

	foreach(lc, root->parse->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_JOIN && rte->jointype != JOIN_INNER)
			return true;
	}
	return false;
#endif
}

/* A Var that the outer joins above a PlaceHolderVar make NULL as they do that. */
static inline void
apibase_null_var_like(Var *var, PlaceHolderVar *like)
{
#if PG_VERSION_NUM >= 160000
	var->varnullingrels = bms_union(var->varnullingrels, like->phnullingrels);
#endif
}

static inline void
apibase_null_placeholder_like(PlaceHolderVar *placeholder, PlaceHolderVar *like)
{
#if PG_VERSION_NUM >= 160000
	placeholder->phnullingrels = bms_copy(like->phnullingrels);
#endif
}

/* The expression that a Var of a join's alias stands for (16 wants the planner's state). */
static inline Node *
apibase_flatten_join_alias(PlannerInfo *root, Node *node)
{
#if PG_VERSION_NUM >= 160000
	return flatten_join_alias_vars(root, root->parse, node);
#else
	return flatten_join_alias_vars(root->parse, node);
#endif
}

/* Since 18 the expressions that a query groups by are not in its target list but here (247dea89f76). */
static inline List *
apibase_group_expressions(Query *query)
{
#if PG_VERSION_NUM >= 180000
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_GROUP)
			return lfirst_node(RangeTblEntry, lc)->groupexprs;
	}
#endif
	return NIL;
}

/* The columns that a whole-row Var stands for: Vars of the same row, as nullable as that. */
static inline void
apibase_expand_whole_row(RangeTblEntry *rte, Var *whole, List **names, List **columns)
{
#if PG_VERSION_NUM >= 180000
	expandRTE(rte, whole->varno, 0, whole->varreturningtype, -1, true, names, columns);
#else
	expandRTE(rte, whole->varno, 0, -1, true, names, columns);
#endif
#if PG_VERSION_NUM >= 160000
	{
		ListCell   *lc;

		foreach(lc, *columns)
		{
			if (IsA(lfirst(lc), Var))
				((Var *) lfirst(lc))->varnullingrels = bms_copy(whole->varnullingrels);
		}
	}
#endif
}

/* 17 has infinite intervals (519fc1bd9e9). The text of one, or NULL. */
#if PG_VERSION_NUM >= 170000
#define APIBASE_INTERVAL_SPECIAL(interval) \
	(INTERVAL_IS_NOBEGIN(interval) ? "-infinity" : INTERVAL_IS_NOEND(interval) ? "infinity" : NULL)
#else
#define APIBASE_INTERVAL_SPECIAL(interval) NULL
#endif

/*
 * Whether RESET transaction_read_only makes a transaction read-only.  15 resets it to off without asking whether
 * the transaction may write again, so this is set while it must not.  16 refuses to reset it.
 */
static inline void
apibase_reset_to_read_only(bool read_only)
{
#if PG_VERSION_NUM < 160000
	static struct config_bool *setting = NULL;

	for (int i = 0; setting == NULL && i < GetNumConfigOptions(); i++)
	{
		if (strcmp(get_guc_variables()[i]->name, "transaction_read_only") == 0)
			setting = (struct config_bool *) get_guc_variables()[i];
	}
	Assert(setting != NULL);
	setting->reset_val = read_only;
#endif
}

#endif							/* APIBASE_COMPAT_H */
