/*-------------------------------------------------------------------------
 *
 * bus_registry.h
 *	  What the files behind the registry share: how registrations are written, and lists of them.
 *
 * Labels of functions, written by bus_register.c and read by bus_registry.c:
 *
 *	"bus": {"kind": "command", "idempotency": "optional", "idempotency_ttl": 86400, "timeout": 5}
 *	"bus": {"kind": "query", "cache_ttl": 60, "cache_key": ["id"], "tags": ["item {id}"], "scope": "role", "timeout": 5}
 *	"middleware": [{"name": "audit", "messages": "app.*", "kinds": ["command"], "phase": "before", "rank": 100, "config": {}}]
 *
 * Times are seconds.  The message is the type of the function's argument.  A use
 * on one message has the OID of its type, too ("type", as an int4): by that it is found
 * when the name is no longer there because the type was renamed.  (In a restored
 * database the name is there, and the OID means nothing.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_BUS_REGISTRY_H
#define APIBASE_BUS_REGISTRY_H

#include "bus/bus_impl.h"

#define BUS_LABEL_HANDLER		"bus"
#define BUS_LABEL_MIDDLEWARE	"middleware"

/* Queries have no more tags of their own, which leaves room for those of the relations that they read. */
#define BUS_MAX_TAGS	60

/* Words of labels and of SQL, in the order of the enums. */
extern const char *const bus_idempotency_words[];
extern const char *const bus_phase_words[];
#define BUS_NIDEMPOTENCY	3
#define BUS_NPHASES			4

/* ---------- bus_registry.c ---------- */

/* A registration as it was read; handler is complete once it is ready. */
typedef struct BusRegistration
{
	BusHandler	handler;
	Oid			function;
	Jsonb	   *label;
	bool		ready;
} BusRegistration;

/* A use of a middleware function, the same. */
typedef struct BusUse
{
	BusMiddleware middleware;
	Oid			function;
	const char *function_name;	/* with schema and arguments */
	Oid			type;			/* of the one message that it is on; InvalidOid: there is none, or it is on a pattern */
	bool		ready;
} BusUse;

/* All of them, in the order in which views show them; to be made ready before they are looked at. */
extern List *bus_registry_registrations(BusRegistry *registry);
extern List *bus_registry_uses(BusRegistry *registry);

/*
 * Check it, and prepare what it calls.  What is wrong with it is in its member
 * invalid; errors are those of the catalog and of libraries that cannot be loaded.
 */
extern void bus_registration_make_ready(BusRegistry *registry, BusRegistration *registration);
extern void bus_use_make_ready(BusRegistry *registry, BusUse *use);

/* Whether what a middleware is on is a pattern, and not the name of one message. */
extern bool bus_is_pattern(const char *names);

/* ---------- bus_label.c: members of labels; false if they are there and not of that kind ---------- */

extern bool bus_label_seconds(Jsonb *label, const char *name, int64 *microseconds);
extern bool bus_label_integer(Jsonb *label, const char *name, int *number);
extern bool bus_label_string(Jsonb *label, const char *name, const char **string);
extern bool bus_label_word(Jsonb *label, const char *name, const char *const *words, int nwords, int *number);
extern bool bus_label_strings(Jsonb *label, const char *name, List **strings);
extern bool bus_label_object(Jsonb *label, const char *name, Jsonb **object);

/* ---------- bus_check.c ---------- */

/* As bus_check_handler(): whether a query's type has the fields that its cache key and its tags name. */
extern const char *bus_check_fields(Oid type, List *cache_key, List *tags, const char **detail, const char **hint);

/*
 * The same: whether a function may be middleware of the messages of one type.  Its name may be that of somebody else's type
 * since, and a function runs with the rights of all who send the message.
 */
extern const char *bus_check_trust(Oid type, const ApibaseCallable *callable, const char **detail, const char **hint);

/* When it is registered: warn of a search_path that is well enough, but could be better. */
extern void bus_warn_of_search_path(const ApibaseCallable *callable);

/* ---------- bus_own.c ---------- */

/* Write the uses of a middleware function that belongs to the extension; NULL: there are none any more. */
extern void bus_own_set_uses(Oid function, Jsonb *uses);

#endif							/* APIBASE_BUS_REGISTRY_H */
