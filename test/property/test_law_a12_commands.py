"""
test_law_a12_commands.py: dispatching a registered command invokes its handler, and only it (A12, B7).

There are four types, three of which could be taken for each other, and three handlers for each.  Handlers are registered, replaced by
others, given new bodies, unregistered and dropped, in savepoints that are rolled back or released, and across sessions; in between,
commands are dispatched in every form, by themselves and by other handlers.  Handlers note who has run for what.  A model says who should
have.
"""
import contextlib
import json

import psycopg2
import pytest
from hypothesis import given, strategies as st

import database
import values as v
from laws import law

# the last is the row type of a table
TYPES = ('prop.a12_order', 'prop."a12_Order"', 'a12_other.a12_order', 'prop.a12_table')
HANDLERS = range(3)

SETUP = """
CREATE SCHEMA a12_other;
CREATE TABLE prop.a12_ran (n bigint GENERATED ALWAYS AS IDENTITY, pid int DEFAULT pg_backend_pid(), handler text, tag int, dispatched text);
CREATE TYPE prop.a12_order AS (tag int, calls text[]);
CREATE TYPE prop."a12_Order" AS (tag int, calls text[]);
CREATE TYPE a12_other.a12_order AS (tag int, calls text[]);
CREATE TABLE prop.a12_table (tag int, calls text[]);
CREATE FUNCTION prop.a12_ran(handler text, tag int, calls text[]) RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    call text;
    result apibase.result;
BEGIN
    INSERT INTO prop.a12_ran (handler, tag, dispatched) VALUES (handler, tag, (apibase.current_dispatch()).name);
    FOREACH call IN ARRAY coalesce(calls, '{}') LOOP
        EXECUTE call INTO result;
    END LOOP;
    RETURN jsonb_build_array(handler, tag);
END $$;
"""
# what defines a handler: its body has the number of its version
BODIES = (
    "LANGUAGE plpgsql AS $$ BEGIN RETURN prop.a12_ran(%s, m.tag, m.calls); END $$",
    "LANGUAGE sql AS $$ SELECT prop.a12_ran(%s, m.tag, m.calls) $$",
    "LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT prop.a12_ran(%s, m.tag, m.calls) $$",
)


def function(type_, handler):
    """All handlers of one number have the same name; types tell them apart."""
    return 'prop.a12_handle_%d(%s)' % (handler, type_)


def label(type_, handler, version):
    return '%s version %d' % (function(type_, handler), version)


def definition(type_, handler, version):
    return 'CREATE OR REPLACE FUNCTION prop.a12_handle_%d(m %s) RETURNS jsonb %s' % (
        handler, type_, BODIES[handler] % v.quote_literal(label(type_, handler, version)))


@pytest.fixture(scope='module')
def commands_db(db):
    db.run(SETUP)
    for type_ in TYPES:
        for handler in HANDLERS:
            db.run(definition(type_, handler, 0))
    db.connection.commit()
    return db


# ---------------------------------------------------------------------------------------------------------------------
# Commands, and the ways to dispatch them
# ---------------------------------------------------------------------------------------------------------------------
FORMS = ('value', 'name')
OUTER_FORMS = FORMS + ('call', 'call by name')
TYPE = st.sampled_from(TYPES)

LEAVES = st.fixed_dictionaries({'type': TYPE, 'tag': st.integers(1, 5), 'form': st.sampled_from(FORMS), 'calls': st.just([])})
COMMANDS = st.recursive(LEAVES, lambda inner: st.fixed_dictionaries({
    'type': TYPE, 'tag': st.integers(1, 5), 'form': st.sampled_from(FORMS), 'calls': st.lists(inner, max_size=3)}), max_leaves=6)


def dispatch_sql(command, form):
    """The statement that dispatches it; what it dispatches in turn is in its message, as statements."""
    calls = [dispatch_sql(inner, inner['form']) for inner in command['calls']]
    array = 'ARRAY[%s]::text[]' % ', '.join(v.quote_literal(call) for call in calls)
    value = 'ROW(%d, %s)::%s' % (command['tag'], array, command['type'])
    named = '%s, %s::jsonb' % (v.quote_literal(command['type']), v.quote_literal(json.dumps({'tag': command['tag'], 'calls': calls})))
    if form in FORMS:
        return 'SELECT * FROM apibase.command(%s)' % (value if form == 'value' else named)
    return 'CALL apibase.dispatch_command(%s)' % (value if form == 'call' else named)


class NoHandler(Exception):
    """PB050, which is raised to who dispatches."""


class Model:
    """The handler of each type, and the version of each function: None if it was dropped."""

    def __init__(self):
        self.registered = {}
        self.versions = {(type_, handler): 0 for type_ in TYPES for handler in HANDLERS}

    def copy(self):
        made = Model()
        made.registered, made.versions = dict(self.registered), dict(self.versions)
        return made

    def handler(self, type_):
        handler = self.registered.get(type_)
        return None if handler is None else label(type_, handler, self.versions[type_, handler])

    def dispatch(self, command):
        """(whether it is ok, its value or status, who ran: of those that were not undone)"""
        handler = self.handler(command['type'])
        if handler is None:
            raise NoHandler
        ran = [(handler, command['tag'], command['type'])]
        for inner in command['calls']:
            try:
                ran += self.dispatch(inner)[2]
            except NoHandler:
                return False, 404, []
        return True, [handler, command['tag']], ran


def dispatch(session, model, command, form):
    """Dispatch it, and compare result and log with the model.  session: as database.Database."""
    sql = dispatch_sql(command, form)
    session.run('DELETE FROM prop.a12_ran WHERE pid = pg_backend_pid()')
    try:
        expected = model.dispatch(command)
    except NoHandler:
        assert session.failure(sql) == 'PB050', sql
        return
    row = session.run(sql)[0]
    if form in FORMS:
        ok, value, error, replayed = row
    else:
        # the procedure returns one column; its text has the fields
        ok, value, error, replayed = session.run('SELECT (%s::apibase.result).*' % v.quote_literal(row[0]))[0]
    assert (ok, value if ok else error['status'], replayed) == expected[:2] + (False,), (sql, row)
    ran = session.run('SELECT handler, tag, dispatched FROM prop.a12_ran WHERE pid = pg_backend_pid() ORDER BY n')
    assert ran == expected[2], (sql, ran, expected[2])


# ---------------------------------------------------------------------------------------------------------------------
# A12: in one session, with savepoints
# ---------------------------------------------------------------------------------------------------------------------
REGISTER = st.tuples(st.just('register'), TYPE, st.sampled_from(HANDLERS))
DISPATCH = st.tuples(st.just('dispatch'), COMMANDS, st.sampled_from(OUTER_FORMS))
STEPS = st.one_of(
    REGISTER, REGISTER, DISPATCH, DISPATCH, DISPATCH,
    st.tuples(st.sampled_from(['replace', 'drop']), TYPE, st.sampled_from(HANDLERS)),
    st.tuples(st.just('unregister'), TYPE, st.none()),
    st.tuples(st.sampled_from(['savepoint', 'rollback', 'release']), st.none(), st.none()))


def change(session, model, step, type_, handler):
    """Do what changes registrations, in the database and in the model."""
    key = (type_, handler)
    if step == 'register':
        if model.versions[key] is None:
            return
        session.run("SELECT apibase.register_command(%s, %s)" % (v.quote_literal(type_), v.quote_literal(function(type_, handler))))
        model.registered[type_] = handler
    elif step == 'unregister':
        assert session.value('SELECT apibase.unregister_command(%s)' % v.quote_literal(type_)) == (type_ in model.registered)
        model.registered.pop(type_, None)
    elif step == 'replace':
        if model.versions[key] is None:
            model.versions[key] = 0
        model.versions[key] += 1
        session.run(definition(type_, handler, model.versions[key]))
    elif step == 'drop':
        if model.versions[key] is None:
            return
        session.run('DROP FUNCTION %s' % function(type_, handler))
        model.versions[key] = None
        if model.registered.get(type_) == handler:
            del model.registered[type_]


@law()
@given(st.lists(REGISTER, max_size=4), st.lists(STEPS, min_size=1, max_size=12))
def test_law_a12_commands(commands_db, first, steps):
    """Results, who ran, for what and in which order; what is not registered any more is refused."""
    with commands_db.example() as db:
        model, savepoints = Model(), []
        for step, what, how in first + steps:
            if step == 'dispatch':
                dispatch(db, model, what, how)
            elif step == 'savepoint':
                db.run('SAVEPOINT a12_%d' % len(savepoints))
                savepoints.append(model.copy())
            elif step in ('rollback', 'release'):
                if savepoints:
                    saved = savepoints.pop()
                    if step == 'rollback':
                        db.run('ROLLBACK TO a12_%d' % len(savepoints))
                        model = saved
                    db.run('RELEASE a12_%d' % len(savepoints))
            else:
                change(db, model, step, what, how)
        assert dict(db.run("SELECT message::text, handler::text FROM apibase.commands WHERE message::text ~ 'a12'")) == {
            type_: function(type_, handler) for type_, handler in model.registered.items()}


# ---------------------------------------------------------------------------------------------------------------------
# B7: what one session commits, another obeys at its next dispatch
# ---------------------------------------------------------------------------------------------------------------------
class Session:
    """A connection that looks like database.Database, as far as this file needs it."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname=database.NAME)

    run, value, failure = database.Database.run, database.Database.value, database.Database.failure


@contextlib.contextmanager
def two_sessions():
    made = (Session(), Session())
    try:
        yield made
    finally:
        for session in made:
            session.connection.close()


CHANGE = st.one_of(REGISTER, REGISTER, st.tuples(st.just('replace'), TYPE, st.sampled_from(HANDLERS)), st.tuples(st.just('unregister'), TYPE, st.none()))


@law()
@given(st.lists(st.tuples(st.lists(CHANGE, min_size=1, max_size=3), st.booleans(), COMMANDS, st.sampled_from(OUTER_FORMS)), min_size=1, max_size=5))
def test_law_b07_commands_in_all_sessions(commands_db, rounds):
    """One session changes registrations, and commits or rolls back; another dispatches, before the end of that transaction and after it."""
    commands_db.connection.rollback()
    with two_sessions() as (one, other):
        model = Model()
        try:
            for changes, commits, command, form in rounds:
                before = model.copy()
                for step, type_, handler in changes:
                    change(one, model, step, type_, handler)
                dispatch(one, model, command, form)
                dispatch(other, before, command, form)
                other.connection.rollback()
                if commits:
                    one.connection.commit()
                else:
                    one.connection.rollback()
                    model = before
                dispatch(other, model, command, form)
                other.connection.rollback()
        finally:
            one.connection.rollback()
            for type_ in TYPES:
                one.run('SELECT apibase.unregister_command(%s)' % v.quote_literal(type_))
                for handler in HANDLERS:
                    one.run(definition(type_, handler, 0))
            one.connection.commit()
