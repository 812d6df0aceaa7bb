/*-------------------------------------------------------------------------
 *
 * label.h
 *	  What the modules note on functions and types of others.
 *
 * A note is a security label of the provider "apibase": one JSON object for each
 * object, with a member for each module that has something to note.  So what
 * is noted follows the object when it is renamed, goes when it is dropped, is
 * dumped, restored and upgraded with it, and no table beside the catalog can
 * disagree with it.
 *
 * The modules' functions check what may be noted by whom.  The statement
 * SECURITY LABEL FOR apibase is there for restored dumps: superusers and the
 * extension's owner may use it, and it checks only that the label is a JSON
 * object.  So who reads labels trusts nothing in them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_LABEL_H
#define APIBASE_LABEL_H

#include "catalog/objectaddress.h"
#include "utils/jsonb.h"

/* For _PG_init. */
extern void apibase_label_install(void);

/* Raise insufficient_privilege unless the user owns the extension: for labels that act on everybody's calls. */
extern void apibase_label_require_extension_owner(void);

/* The member of that name of the label of an object, palloc'd; NULL if there is none. */
extern Jsonb *apibase_label_get(const ObjectAddress *object, const char *name);

/*
 * Replace that member; NULL takes it away.  Checks no privileges.  Visible at once.  Who changes what it has
 * read locks the object before it reads (LockDatabaseObject, ShareUpdateExclusiveLock).
 */
extern void apibase_label_set(const ObjectAddress *object, const char *name, Jsonb *value);

/* Call fn for each object of a class (ProcedureRelationId, TypeRelationId) with that member, in the order of their OIDs. */
typedef void (*ApibaseLabelVisitor) (Oid object, Jsonb *value, void *arg);
extern void apibase_label_scan(Oid classid, const char *name, ApibaseLabelVisitor fn, void *arg);

/*
 * A number that changes whenever a label, a schema, or something that is watched has changed
 * for this backend: what was made of these earlier is out of date.
 */
extern uint64 apibase_label_generation(void);

/*
 * Watch a function, a type (ProcedureRelationId, TypeRelationId), or a relation (RelationRelationId), from before it is
 * looked at.  Whose label is read is watched by that.
 */
extern void apibase_label_watch(Oid classid, Oid object);

#endif							/* APIBASE_LABEL_H */
