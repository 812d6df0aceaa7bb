"""
test_law_b14_query_cache.py: a query that is cached is served from the cache the second time (B14).

Two sessions ask four queries, as several roles and with several claims, by value, by name and through the procedure; in between, tables
that the handlers read are written, by statements and by commands, committed or not, tags are invalidated, handlers replaced, time passes.
The handlers say in a notice that they run, and return something that no two runs return.  A model says when they must run: then and only
then they do, and otherwise the answer is the one that was given before.
"""
import json

import psycopg2
import pytest
from hypothesis import given, strategies as st

import database
import values as v
from laws import law

ROLES = ('apibase_property_asks', 'apibase_property_asks_too')
CLAIMS = ('', '{"sub": "ann"}', '{"sub": "ben"}')
FIELDS = ('what', 'x', 'y')

# query: (what it is registered with, the fields of its key, whether each role has its own results, its tags)
QUERIES = {
    'plain': ("cache_ttl => '1 hour'", FIELDS, True, ()),
    'chosen': ("cache_ttl => '1 hour', cache_key => '{what,x}'", ('what', 'x'), True, ()),
    'shared': ("cache_ttl => '1 hour', scope => 'shared', tags => '{b14,\"b14 {x}\"}'", FIELDS, False, ('b14', 'b14 {x}')),
    'guarded': ("cache_ttl => '1 hour', cache_key => '{x,what}'", ('what', 'x'), True, ()),
}
# which tables a handler reads, by its field what
READS = {'a': ('a',), 'b': ('b',), 'both': ('a', 'b'), 'none': (), 'nothing': ('a',), 'fails': ('a',)}

SETUP = """
CREATE TABLE prop.b14_a (n int);
CREATE TABLE prop.b14_b (n int);
GRANT SELECT ON prop.b14_a, prop.b14_b TO PUBLIC;
GRANT USAGE ON SCHEMA prop TO PUBLIC;
SELECT apibase.cache_watch('prop.b14_a'), apibase.cache_watch('prop.b14_b');
CREATE FUNCTION prop.b14_answer(query text, what text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    read jsonb := '{}';
BEGIN
    RAISE NOTICE 'ran %', query;
    IF what IN ('a', 'both', 'nothing', 'fails') THEN
        read := read || jsonb_build_object('a', (SELECT sum(n) FROM prop.b14_a));
    END IF;
    IF what IN ('b', 'both') THEN
        read := read || jsonb_build_object('b', (SELECT sum(n) FROM prop.b14_b));
    END IF;
    IF what = 'fails' THEN
        PERFORM apibase.raise_conflict('it fails');
    ELSIF what = 'nothing' THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object('read', read, 'role', current_user, 'sub', apibase.request_claim('sub'), 'run', gen_random_uuid());
END $$;
CREATE TYPE prop.b14_write AS (statement text);
CREATE FUNCTION prop.b14_handle_write(command prop.b14_write) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE command.statement; END $$;
SELECT apibase.register_command('prop.b14_write', 'prop.b14_handle_write(prop.b14_write)');
CREATE FUNCTION prop.b14_guard(dispatch apibase.dispatch, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'let through'; END $$;
"""
HANDLER = """CREATE OR REPLACE FUNCTION prop.b14_handle_{0}(q prop.b14_{0}) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN prop.b14_answer('{0}', q.what);       -- version {1}
END $$;
"""


class Session:
    """A connection in which every statement commits."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname=database.NAME)
        self.connection.autocommit = True

    def run(self, sql):
        del self.connection.notices[:]
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def notices(self, word):
        """How many of the last statement have it."""
        return sum(word in notice for notice in self.connection.notices)


@pytest.fixture(scope='module')
def sessions(db):
    for role in ROLES:
        db.administer('DROP ROLE IF EXISTS ' + role)
        db.administer('CREATE ROLE ' + role)
    db.run(SETUP)
    for query, (options, *_) in QUERIES.items():
        db.run('CREATE TYPE prop.b14_%s AS (what text, x int, y text)' % query)
        db.run(HANDLER.format(query, 0))
        db.run("SELECT apibase.register_query('prop.b14_%s', 'prop.b14_handle_%s(prop.b14_%s)', %s)" % (query, query, query, options))
    db.run("SELECT apibase.use_middleware('prop.b14_guard(apibase.dispatch,jsonb)', 'before', 'prop.b14_guarded')")
    db.connection.commit()
    made = [Session(), Session()]
    yield made
    for session in made:
        session.connection.close()
    db.connection.rollback()
    db.run('REVOKE USAGE ON SCHEMA prop FROM PUBLIC')
    db.run("SELECT apibase.drop_middleware('prop.b14_guard(apibase.dispatch,jsonb)')")
    db.connection.commit()
    for role in ROLES:
        db.administer('DROP ROLE ' + role)


# ---------------------------------------------------------------------------------------------------------------------
# Steps
# ---------------------------------------------------------------------------------------------------------------------
SESSION = st.integers(0, 1)
TABLE = st.sampled_from('ab')
ASK = st.tuples(st.just('ask'), SESSION, st.fixed_dictionaries({
    'query': st.sampled_from(sorted(QUERIES)), 'role': st.sampled_from(ROLES), 'claims': st.sampled_from(CLAIMS),
    'message': st.tuples(st.sampled_from(sorted(READS)), st.sampled_from([None, 1, 2]), st.sampled_from([None, '', 'y'])),
    'form': st.sampled_from(['value', 'name', 'result', 'call'])}))
# the same question once more, by somebody
AGAIN = st.tuples(st.just('again'), SESSION, st.tuples(st.integers(0, 3), st.sampled_from(['value', 'name', 'result', 'call'])))
STEPS = st.one_of(
    ASK, ASK, ASK, AGAIN, AGAIN, AGAIN, AGAIN,
    st.tuples(st.sampled_from(['insert', 'update', 'truncate', 'command', 'failed command', 'rolled back']), SESSION, TABLE),
    st.tuples(st.just('invalidate'), SESSION, st.sampled_from(['b14', 'b14 1', 'b14 2', 'b14 3'])),
    st.tuples(st.sampled_from(['pass 50 minutes', 'replace']), SESSION, st.sampled_from(sorted(QUERIES))))


class Model:
    """What is cached: key to (answer, what invalidates it, when it ends); and what is in the tables."""

    def __init__(self):
        self.cached = {}
        self.sums = {'a': None, 'b': None}
        self.minutes = 0
        self.versions = dict.fromkeys(QUERIES, 0)
        self.hits = 0

    def key(self, question):
        _, fields, by_role, _ = QUERIES[question['query']]
        message = dict(zip(FIELDS, question['message']))
        return (question['query'], self.versions[question['query']], tuple(message[field] for field in fields),
                (question['role'], question['claims']) if by_role else None)

    def find(self, question):
        """The answer, or None: the handler must run."""
        found = self.cached.get(self.key(question))
        if found is None or found[2] <= self.minutes:
            return None
        return found[:1]

    def keep(self, question, answer):
        what, x, _ = question['message']
        tags = [tag.format(x=x) for tag in QUERIES[question['query']][3] if x is not None or '{x}' not in tag]
        self.cached[self.key(question)] = (answer, set(READS[what]) | set(tags), self.minutes + 60)

    def invalidate(self, what):
        self.cached = {key: entry for key, entry in self.cached.items() if what not in entry[1]}


def question_sql(question):
    message = dict(zip(FIELDS, question['message']))
    name = 'prop.b14_' + question['query']
    value = 'ROW(%s)::%s' % (', '.join('NULL' if part is None else v.quote_literal(str(part)) for part in message.values()), name)
    return {'value': 'SELECT true, apibase.query(%s), NULL' % value,
            'name': "SELECT true, apibase.query('%s', %s), NULL" % (name, v.quote_literal(json.dumps(message))),
            'result': 'SELECT ok, value, error FROM apibase.query_result(%s)' % value,
            'call': 'CALL apibase.dispatch_query(%s)' % value}[question['form']]


def answer_of(session, question):
    """(ok, value), or (False, status)."""
    sql = question_sql(question)
    try:
        row = session.run(sql)[0]
    except psycopg2.Error as error:
        assert error.pgcode == 'PT409', sql
        return False, 409
    if question['form'] == 'call':
        notices = list(session.connection.notices)
        row = session.run('SELECT ok, value, error FROM (SELECT (%s::apibase.result).*) r' % v.quote_literal(row[0]))[0]
        session.connection.notices[:] = notices
    return row[:2] if row[0] else (False, row[2]['status'])


def ask(session, model, question):
    session.run('SET ROLE %s' % question['role'])
    session.run("SET request.jwt.claims = %s" % v.quote_literal(question['claims']))
    known = model.find(question)
    answer = answer_of(session, question)
    noticed = session.notices('ran ' + question['query']), session.notices('ran '), session.notices('let through')
    session.run('RESET ROLE')
    what = question['message'][0]
    runs = 0 if known else 1
    assert noticed == (runs, runs, int(question['query'] == 'guarded')), (question, noticed, known)
    if known:
        model.hits += 1
        assert answer == (True, known[0]), (question, answer, known)
    elif what == 'fails':
        assert answer == (False, 409), (question, answer)
    else:
        if what == 'nothing':
            assert answer == (True, None), (question, answer)
        else:
            sub = json.loads(question['claims']).get('sub') if question['claims'] else None
            expected = {'read': {table: model.sums[table] for table in READS[what]}, 'role': question['role'], 'sub': sub}
            assert {name: part for name, part in answer[1].items() if name != 'run'} == expected, (question, answer)
            assert all(entry[0] != answer[1] for entry in model.cached.values()), question
        model.keep(question, answer[1])


def write(session, model, how, table):
    insert = 'INSERT INTO prop.b14_%s VALUES (1)' % table
    command = "SELECT apibase.command('prop.b14_write', jsonb_build_object('statement', %s))"
    if how == 'rolled back':
        session.run('BEGIN; %s; ROLLBACK' % insert)
        return
    if how == 'failed command':
        session.run(command % v.quote_literal(insert + '; SELECT 1/0'))
        return
    if how == 'update' and model.sums[table] is None:
        how = 'insert'
    if how == 'update':
        session.run('UPDATE prop.b14_%s SET n = n' % table)
    elif how == 'truncate':
        session.run('TRUNCATE prop.b14_%s' % table)
        model.sums[table] = None
    else:
        session.run(command % v.quote_literal(insert) if how == 'command' else insert)
        model.sums[table] = (model.sums[table] or 0) + 1
    model.invalidate(table)


def take_step(session, model, asked, step, what):
    if step == 'ask':
        asked.append(what)
        ask(session, model, what)
    elif step == 'again':
        if asked:
            ask(session, model, dict(asked[-1 - what[0] % len(asked)], form=what[1]))
    elif step == 'invalidate':
        session.run('SELECT apibase.cache_invalidate(%s)' % v.quote_literal(what))
        model.invalidate(what)
    elif step == 'pass 50 minutes':
        model.minutes += 50
        session.run("SELECT apibase_internal.clock_set('%d min')" % model.minutes)
    elif step == 'replace':
        model.versions[what] += 1
        session.run(HANDLER.format(what, model.versions[what]))
    else:
        write(session, model, step, what)


HITS = "SELECT coalesce(sum(cached), 0)::int FROM apibase.bus_stats WHERE kind = 'query' AND name LIKE 'prop.b14%'"


@law()
@given(ASK, st.lists(STEPS, min_size=1, max_size=20))
def test_law_b14_query_cache(sessions, first, steps):
    """Who runs, who is served from the cache, with what; and bus_stats counts the hits."""
    one = sessions[0]
    one.run('SELECT apibase.cache_clear()')
    one.run('TRUNCATE prop.b14_a, prop.b14_b')
    for query in QUERIES:
        one.run(HANDLER.format(query, 0))
    before = one.run(HITS)[0][0]
    model, asked = Model(), []
    try:
        for step, session, what in [first] + steps:
            take_step(sessions[session], model, asked, step, what)
    finally:
        one.run("SELECT apibase_internal.clock_set('0')")
    assert one.run(HITS)[0][0] - before == model.hits
