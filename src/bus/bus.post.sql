-- bus: views, privileges, comments

-- ---- registration

CREATE TRIGGER own_middleware_changed AFTER INSERT OR UPDATE OR DELETE ON apibase_internal.own_middleware
    FOR EACH ROW EXECUTE FUNCTION apibase_internal.own_middleware_changed();
ALTER TABLE apibase_internal.own_middleware ENABLE ALWAYS TRIGGER own_middleware_changed;
REVOKE ALL ON FUNCTION apibase_internal.own_middleware_changed() FROM PUBLIC;

COMMENT ON TABLE apibase_internal.own_middleware IS 'Uses of middleware of the extension, for dumps; its trigger writes the labels';
COMMENT ON COLUMN apibase_internal.own_middleware.function IS 'The function';
COMMENT ON COLUMN apibase_internal.own_middleware.uses IS 'Its uses, as they are in its label';
COMMENT ON FUNCTION apibase_internal.own_middleware_changed() IS 'Trigger of the table own_middleware';

CREATE VIEW apibase.commands AS
    SELECT r.message, r.handler, r.idempotency, r.idempotency_ttl, r.timeout, r.problem
    FROM apibase_internal.bus_registrations() r WHERE r.kind = 'command';
GRANT SELECT ON apibase.commands TO PUBLIC;

CREATE VIEW apibase.queries AS
    SELECT r.message, r.handler, r.cache_ttl, r.cache_key, r.tags, r.scope, r.timeout, r.problem
    FROM apibase_internal.bus_registrations() r WHERE r.kind = 'query';
GRANT SELECT ON apibase.queries TO PUBLIC;

CREATE VIEW apibase.middleware AS
    SELECT m.name, m.middleware, m.phase, m.messages, m.kinds, m.rank, m.config, m.problem
    FROM apibase_internal.bus_middleware() m;
GRANT SELECT ON apibase.middleware TO PUBLIC;

COMMENT ON FUNCTION apibase.register_command(regtype, regprocedure, text, interval, interval) IS
    'Let a function handle the commands of a type, in the place of what handled them before';
COMMENT ON FUNCTION apibase.unregister_command(regtype) IS
    'Let nothing handle the commands of a type any more; whether anything did';
COMMENT ON FUNCTION apibase.register_query(regtype, regprocedure, interval, text[], text[], text, interval) IS
    'Let a function handle the queries of a type, in the place of what handled them before';
COMMENT ON FUNCTION apibase.unregister_query(regtype) IS
    'Let nothing handle the queries of a type any more; whether anything did';
COMMENT ON FUNCTION apibase.use_middleware(regprocedure, text, text, text[], integer, jsonb, text) IS
    'Run a function around handlers of messages, all or some; the name of this use';
COMMENT ON FUNCTION apibase.drop_middleware(regprocedure, text) IS
    'End the use of that name of a middleware, or all its uses; how many these were';
COMMENT ON FUNCTION apibase_internal.bus_registrations() IS 'For the views apibase.commands and apibase.queries';
COMMENT ON FUNCTION apibase_internal.bus_middleware() IS 'For the view apibase.middleware';
COMMENT ON VIEW apibase.commands IS 'Commands that have a handler';
COMMENT ON COLUMN apibase.commands.message IS 'The type of the command';
COMMENT ON COLUMN apibase.commands.handler IS 'The function that handles it';
COMMENT ON COLUMN apibase.commands.idempotency IS 'Whether idempotency keys are optional, required or off';
COMMENT ON COLUMN apibase.commands.idempotency_ttl IS 'How long a result is kept for its key';
COMMENT ON COLUMN apibase.commands.timeout IS 'How long the handler may run; NULL: as long as the dispatch may';
COMMENT ON COLUMN apibase.commands.problem IS 'Why the handler cannot be called now; NULL: it can';
COMMENT ON VIEW apibase.queries IS 'Queries that have a handler';
COMMENT ON COLUMN apibase.queries.message IS 'The type of the query';
COMMENT ON COLUMN apibase.queries.handler IS 'The function that handles it';
COMMENT ON COLUMN apibase.queries.cache_ttl IS 'How long a result is cached; NULL: it is not';
COMMENT ON COLUMN apibase.queries.cache_key IS 'The fields that results depend on; NULL: all';
COMMENT ON COLUMN apibase.queries.tags IS 'Tags of cached results, beside those of the tables that they were read from';
COMMENT ON COLUMN apibase.queries.scope IS 'role: each role and its claims have their own results; shared: all have the same';
COMMENT ON COLUMN apibase.queries.timeout IS 'How long the handler may run; NULL: as long as the dispatch may';
COMMENT ON COLUMN apibase.queries.problem IS 'Why the handler cannot be called now; NULL: it can';
COMMENT ON VIEW apibase.middleware IS 'Uses of middleware, the outermost first';
COMMENT ON COLUMN apibase.middleware.name IS 'Name of this use';
COMMENT ON COLUMN apibase.middleware.middleware IS 'The function';
COMMENT ON COLUMN apibase.middleware.phase IS 'before, after, on_error or around';
COMMENT ON COLUMN apibase.middleware.messages IS 'Names of the messages that it is for, as a pattern';
COMMENT ON COLUMN apibase.middleware.kinds IS 'Kinds of messages that it is for';
COMMENT ON COLUMN apibase.middleware.rank IS 'Smaller ones are further out; idempotency is at 0';
COMMENT ON COLUMN apibase.middleware.config IS 'What the function is given as its last argument';
COMMENT ON COLUMN apibase.middleware.problem IS 'Why it cannot be called now, so that what it is for is refused; NULL: it can';

-- ---- dispatch

COMMENT ON TYPE apibase.dispatch IS 'Metadata of a message that is being handled';
COMMENT ON COLUMN apibase.dispatch.id IS 'Id of this dispatch, a UUID of version 7';
COMMENT ON COLUMN apibase.dispatch.kind IS 'command, query or event';
COMMENT ON COLUMN apibase.dispatch.name IS 'Type of the message, with its schema';
COMMENT ON COLUMN apibase.dispatch.depth IS '1 for the message that the client has sent, more for those that handlers dispatch and emit';
COMMENT ON COLUMN apibase.dispatch.attempt IS 'From 1: how often the procedures have begun a transaction for it';
COMMENT ON COLUMN apibase.dispatch."time" IS 'When it was dispatched';
COMMENT ON COLUMN apibase.dispatch.correlation_id IS 'What all that is done for one request has in common';
COMMENT ON COLUMN apibase.dispatch.causation_id IS 'Id of the dispatch whose handler has dispatched this one';
COMMENT ON COLUMN apibase.dispatch.caller IS 'Role that has dispatched it';
COMMENT ON COLUMN apibase.dispatch.claims IS 'Claims of the request';
COMMENT ON COLUMN apibase.dispatch.traceparent IS 'Trace context, as in the header of the same name';
COMMENT ON COLUMN apibase.dispatch.deadline IS 'When it must have been handled';
COMMENT ON COLUMN apibase.dispatch.idempotency_key IS 'Key under which its result is stored';
COMMENT ON FUNCTION apibase.command(anyelement, jsonb) IS
    'Have a command handled: the result, its value or the problem';
COMMENT ON FUNCTION apibase.command(text, jsonb, jsonb) IS
    'Have a command handled that is given by its name and its fields as JSON: the result, its value or the problem';
COMMENT ON FUNCTION apibase.dispatch_next() IS
    'For middleware of the phase around: run what is inside of it, and the handler';
COMMENT ON FUNCTION apibase.current_dispatch() IS 'Metadata of the message that is being handled; NULL outside of any handler';
COMMENT ON FUNCTION apibase.correlation_id() IS
    'What all that is done for one request has in common: given with the outermost message, or the id of the request';
COMMENT ON FUNCTION apibase.causation_id() IS 'Id of the message whose handler has dispatched the one that is being handled';
COMMENT ON FUNCTION apibase.deadline() IS 'When the message that is being handled must have been handled; NULL if there is no deadline';
COMMENT ON PROCEDURE apibase.dispatch_command(anyelement, apibase.result, jsonb) IS
    'Have a command handled in a transaction of its own, which is tried again after a serialization failure or a deadlock';
COMMENT ON PROCEDURE apibase.dispatch_command(text, jsonb, apibase.result, jsonb) IS
    'The same for a command that is given by its name and its fields as JSON';
COMMENT ON PROCEDURE apibase.dispatch_command(text, text, apibase.result, jsonb) IS
    'The same, with the JSON of the payload as text: for literals';
COMMENT ON PROCEDURE apibase.dispatch_query(anyelement, apibase.result, jsonb) IS
    'Have a query answered in a transaction of its own, which is tried again after a serialization failure or a deadlock';
COMMENT ON PROCEDURE apibase.dispatch_query(text, jsonb, apibase.result, jsonb) IS
    'The same for a query that is given by its name and its fields as JSON';
COMMENT ON PROCEDURE apibase.dispatch_query(text, text, apibase.result, jsonb) IS
    'The same, with the JSON of the payload as text: for literals';

-- queries: bus_query.c
COMMENT ON FUNCTION apibase.query(anyelement, jsonb) IS
    'what the handler of a query returns, as JSON; raises what fails';
COMMENT ON FUNCTION apibase.query(text, jsonb, jsonb) IS
    'what the handler of a query returns, the query given by its name and its fields as JSON; raises what fails';
COMMENT ON FUNCTION apibase.query_result(anyelement, jsonb) IS
    'the result of a query: its value, or the problem';
COMMENT ON FUNCTION apibase.query_result(text, jsonb, jsonb) IS
    'the result of a query that is given by its name and its fields as JSON: its value, or the problem';

-- ---- middleware that comes with the extension

COMMENT ON FUNCTION apibase.middleware_validation(apibase.dispatch, jsonb, jsonb) IS
    'middleware (before): refuse payloads that do not satisfy a specification; config {"specification": "quantity > 0"}';
COMMENT ON FUNCTION apibase.middleware_authorization(apibase.dispatch, jsonb, jsonb) IS
    'middleware (before): refuse callers without one of these roles, or without these claims; config {"roles": ["clerk"], "claims": {"department": "sales"}}';
COMMENT ON FUNCTION apibase.middleware_logging(apibase.dispatch, jsonb, jsonb) IS
    'middleware (around): write a line about each dispatch to the server''s log; config {"level": "log", "payload": false}';

-- ---- counters

CREATE VIEW apibase.bus_stats AS
    SELECT s.kind, s.name, s.dispatches, s.errors, s.replayed, s.cached, s.seconds FROM apibase_internal.bus_stats() s;
REVOKE ALL ON FUNCTION apibase_internal.bus_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION apibase_internal.bus_stats() TO pg_monitor;
GRANT SELECT ON apibase.bus_stats TO pg_monitor;

REVOKE ALL ON FUNCTION apibase.bus_reset_stats() FROM PUBLIC;

COMMENT ON FUNCTION apibase_internal.bus_stats() IS 'For the view apibase.bus_stats';
COMMENT ON FUNCTION apibase.bus_reset_stats() IS 'Set the counters of commands and queries of this database to zero';
COMMENT ON VIEW apibase.bus_stats IS
    'What was dispatched, since the server started or the counters were reset; no rows where apibase is not preloaded';
COMMENT ON COLUMN apibase.bus_stats.kind IS 'command or query; NULL: all for which there were no counters left, of all databases';
COMMENT ON COLUMN apibase.bus_stats.name IS 'Name of the message';
COMMENT ON COLUMN apibase.bus_stats.dispatches IS 'How many were dispatched';
COMMENT ON COLUMN apibase.bus_stats.errors IS 'How many of them failed';
COMMENT ON COLUMN apibase.bus_stats.replayed IS 'How many of them had the result of an earlier one with the same idempotency key';
COMMENT ON COLUMN apibase.bus_stats.cached IS 'How many of them had a result of the cache';
COMMENT ON COLUMN apibase.bus_stats.seconds IS 'How long they took together';

-- ---- idempotency

REVOKE ALL ON FUNCTION apibase.idempotency_prune(integer) FROM PUBLIC;

COMMENT ON TABLE apibase_internal.idempotency IS 'results of commands that were given an idempotency key';
COMMENT ON INDEX apibase_internal.idempotency_expires_at IS 'results in the order in which they expire';
COMMENT ON FUNCTION apibase.idempotency_prune(integer) IS
    'delete at most so many expired results of idempotent commands, oldest first; returns how many';
COMMENT ON COLUMN apibase_internal.idempotency.caller IS 'The role, and the claim sub of the request where there is one';
COMMENT ON COLUMN apibase_internal.idempotency.message IS 'Name of the command';
COMMENT ON COLUMN apibase_internal.idempotency.key IS 'The key, as the caller gave it';
COMMENT ON COLUMN apibase_internal.idempotency.fingerprint IS 'SHA-256 of the payload';
COMMENT ON COLUMN apibase_internal.idempotency.created_at IS 'When the command was run';
COMMENT ON COLUMN apibase_internal.idempotency.expires_at IS 'When the key can be used anew';
COMMENT ON COLUMN apibase_internal.idempotency.ok IS 'Of the result, as the next two; NULL while the command runs';
COMMENT ON COLUMN apibase_internal.idempotency.value IS 'Of the result';
COMMENT ON COLUMN apibase_internal.idempotency.error IS 'Of the result';
