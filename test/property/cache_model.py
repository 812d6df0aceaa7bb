"""
cache_model.py: what the cache promises about what it holds, written again in Python from docs/cache.md alone; and the way in which the laws use
the cache of the server.

The model is exact: at any time it knows which keys are held, in the order of their last use, what each will answer, and which of them a further
entry pushes out.  It never asks the database.  Things that are not obvious:

* what has expired, or depends on a tag that was invalidated since, is never served, but it keeps its place until somebody looks for it;
* get, touch and whatever gives a value are uses; exists and ttl are not;
* a key is never pushed out by its own new value; but when that does not fit at all, the old value goes all the same.
"""
import json
from collections import OrderedDict
from contextlib import contextmanager

import values as v

# Runs operations, one JSON object each, in a transaction of its own each, and collects what they answer.  clock is in microseconds.
HELPERS_SQL = """
CREATE SCHEMA IF NOT EXISTS cache_law;
CREATE OR REPLACE PROCEDURE cache_law.run(operations jsonb, INOUT answers jsonb) LANGUAGE plpgsql AS $$
DECLARE
    o jsonb;
    answer jsonb;
BEGIN
    answers := '[]';
    FOR o IN SELECT jsonb_array_elements(operations) LOOP
        CASE o->>'op'
        WHEN 'set' THEN
            answer := to_jsonb(apibase.cache_set(o->>'key', o->'value', make_interval(secs => (o->>'ttl')::float8),
                                                 ARRAY(SELECT jsonb_array_elements_text(o->'tags'))));
        WHEN 'add' THEN
            answer := to_jsonb(apibase.cache_add(o->>'key', o->'value', make_interval(secs => (o->>'ttl')::float8)));
        WHEN 'increment' THEN
            answer := to_jsonb(apibase.cache_increment(o->>'key', (o->>'by')::bigint, make_interval(secs => (o->>'ttl')::float8)));
        WHEN 'get' THEN
            answer := apibase.cache_get(o->>'key');
        WHEN 'get_many' THEN
            answer := (SELECT jsonb_object_agg(key, value) FROM apibase.cache_get_many(ARRAY(SELECT jsonb_array_elements_text(o->'keys'))));
        WHEN 'exists' THEN
            answer := to_jsonb(apibase.cache_exists(o->>'key'));
        WHEN 'ttl' THEN
            answer := to_jsonb(apibase.cache_ttl(o->>'key') IS NOT NULL);
        WHEN 'touch' THEN
            answer := to_jsonb(apibase.cache_touch(o->>'key', make_interval(secs => (o->>'ttl')::float8)));
        WHEN 'delete' THEN
            answer := to_jsonb(apibase.cache_delete(o->>'key'));
        WHEN 'clear' THEN
            answer := 'null';
            PERFORM apibase.cache_clear(o->>'pattern');
        WHEN 'invalidate' THEN
            answer := 'null';
            PERFORM apibase.cache_invalidate(o->>'tag');
        WHEN 'clock' THEN
            answer := 'null';
            PERFORM apibase_internal.clock_set(make_interval(secs => (o->>'offset')::float8));
        END CASE;
        answers := answers || jsonb_build_array(answer);
        COMMIT;
    END LOOP;
END $$;
"""


def concerns(tag, tags):
    """Whether invalidating a tag concerns what depends on tags.  "a:b" is a part of "a": "a:*" is all parts, and not "a" itself."""
    return any(tag == one or (':' in one and tag == one.split(':')[0] + ':*') for one in tags)


class Entry:
    """A value with what it depends on.  size: bytes that it counts for, where the model has a bound of bytes."""

    def __init__(self, value, expires, tags, size):
        self.value, self.expires, self.tags, self.size = value, expires, tags, size


class Cache:
    """An exact LRU cache of at most max_entries, and of at most max_bytes as size_of(key, value, tags) counts them."""

    def __init__(self, max_entries=None, max_bytes=None, size_of=None):
        self.max_entries, self.max_bytes, self.size_of = max_entries, max_bytes, size_of or (lambda key, value, tags: 0)
        self.entries = OrderedDict()        # the least recently used first
        self.evicted = 0
        self.now = 0.0                      # seconds

    def live(self, key):
        """The entry that may be served; one that may not goes."""
        entry = self.entries.get(key)
        if entry is not None and (entry.tags is None or entry.expires is not None and self.now >= entry.expires):
            del self.entries[key]
            return None
        return entry

    def fits(self, size):
        return self.max_bytes is None or size <= self.max_bytes

    def store(self, key, value, expires, tags):
        size = self.size_of(key, value, tags)
        self.entries.pop(key, None)
        if not self.fits(size):
            return False
        self.entries[key] = Entry(value, expires, tags, size)
        while (self.max_entries is not None and len(self.entries) > self.max_entries or
               self.max_bytes is not None and sum(entry.size for entry in self.entries.values()) > self.max_bytes):
            self.entries.popitem(last=False)
            self.evicted += 1
        return True

    # ---- the operations; each returns what the procedure answers ----

    def op_set(self, key, value, ttl, tags):
        return self.store(key, value, self.now + ttl, tuple(tags))

    def op_add(self, key, value, ttl):
        return self.live(key) is None and self.store(key, value, self.now + ttl, ())

    def op_increment(self, key, by, ttl):
        entry = self.live(key)
        number = (entry.value if entry else 0) + by
        self.store(key, number, entry.expires if entry else self.now + ttl, entry.tags if entry else ())
        return number

    def op_get(self, key):
        entry = self.live(key)
        if entry is None:
            return None
        self.entries.move_to_end(key)
        return entry.value

    def op_get_many(self, keys):
        # a value here is never a JSON null, so what is not None was found
        found = {key: value for key, value in ((key, self.op_get(key)) for key in keys) if value is not None}
        return found or None

    def op_exists(self, key):
        return self.live(key) is not None

    def op_ttl(self, key):
        return self.live(key) is not None

    def op_touch(self, key, ttl):
        entry = self.live(key)
        if entry is None:
            return False
        self.entries.move_to_end(key)
        entry.expires = self.now + ttl
        return True

    def op_delete(self, key):
        there = self.live(key) is not None
        self.entries.pop(key, None)
        return there

    def op_clear(self, pattern):
        prefix = pattern.rstrip('*')
        for key in [key for key in self.entries if key.startswith(prefix)]:
            del self.entries[key]

    def op_invalidate(self, tag):
        for entry in self.entries.values():
            if entry.tags is not None and concerns(tag, entry.tags):
                entry.tags = None

    def op_clock(self, offset):
        self.now = offset

    def apply(self, operation):
        arguments = dict(operation)
        return getattr(self, 'op_' + arguments.pop('op'))(**arguments)

    def served(self):
        """The keys that would be served now, the least recently used first."""
        return [key for key, entry in self.entries.items() if entry.tags is not None and (entry.expires is None or self.now < entry.expires)]


# ---- the server ----

@contextmanager
def session(db):
    """The connection of the run without a transaction around, because deletes and invalidations act at commit; leaves the clock right."""
    if db.connection.closed:
        db.reconnect()
    db.connection.rollback()
    db.connection.autocommit = True
    try:
        yield db
    finally:
        if not db.connection.closed:
            db.run('ROLLBACK')      # what a law that failed has left open
            db.run("SELECT apibase_internal.clock_set('0')")
            db.connection.autocommit = False


def install(db):
    """What the laws of the cache need in the database; once."""
    if db.value("SELECT to_regnamespace('cache_law') IS NULL"):
        db.run(HELPERS_SQL)


def run(db, operations):
    """The answers of the server to the operations."""
    return db.value('CALL cache_law.run(%s, NULL)' % v.quote_literal(json.dumps(operations)))


def configure(db, namespace, **settings):
    """Give a namespace exactly these settings, in SQL; what is not named it has not."""
    db.run('SELECT apibase.cache_unconfigure(%s)' % v.quote_literal(namespace))
    if settings:
        db.run('SELECT apibase.cache_configure(%s, %s)' % (v.quote_literal(namespace), ', '.join('%s => %s' % setting for setting in settings.items())))


def held(db, prefix=''):
    """The keys that the server would serve now, of those that begin with prefix, the least recently used first."""
    return [row[0] for row in db.run("SELECT key FROM apibase.cache_entries WHERE valid AND starts_with(key, %s) ORDER BY last_used_rank DESC"
                                     % v.quote_literal(prefix))]
