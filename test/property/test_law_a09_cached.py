"""
test_law_a09_cached.py: a cached function called again with equal arguments within its time to live runs once and returns the same,
in one session and in several (B8).

The functions say in a notice that they run, and return something that no two runs return.
"""
import contextlib
import threading

import psycopg2
from hypothesis import given, strategies as st

import database
import values as v
from laws import law

# types of arguments, and texts of their values: no two texts of a type mean the same to its output function
TYPES = {
    'int4': st.integers(-2 ** 31, 2 ** 31 - 1).map(str),
    'numeric': st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    'text': st.text(st.characters(blacklist_characters='\0', blacklist_categories=('Cs',)), max_size=40),
    'float8': st.floats(allow_nan=False).map(repr),
    'bool': st.sampled_from(['true', 'false']),
    'timestamptz': st.datetimes().map(lambda moment: moment.isoformat() + '+00'),
    'jsonb': st.sampled_from(['null', '{}', '[]', '{"a": 1}', '{"a": 1.0}', '[1]', '["1"]', '"x"', '1', '[[1]]']),
    'text[]': st.sampled_from(['{}', '{a}', '{a,b}', '{"a,b"}', '{NULL}', '{"NULL"}', '{""}', '{{a},{b}}']),
    'int4range': st.sampled_from(['empty', '[1,2)', '[1,3)', '(,3)', '(,)']),
    'bytea': st.binary(max_size=20).map(lambda data: '\\x' + data.hex()),
    'uuid': st.uuids().map(str),
    'interval': st.sampled_from(['1 mon', '30 days', '720:00:00', '1 day', '24:00:00', '00:00:00']),
    'prop.cached_pair': st.sampled_from(['(1,a)', '(1,b)', '(,a)', '(1,)', '(,)', '(1,"a,b")']),
}

SETUP = """
CREATE TYPE prop.cached_pair AS (n int, t text);
CREATE FUNCTION prop.cached_echo(a anyelement, b anyelement) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'run'; RETURN concat_ws('|', a::text, b::text, random(), clock_timestamp()); END $$;
CREATE FUNCTION prop.cached_rows(a anyelement, OUT n int, OUT echo text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'run';
    FOR n IN 1 .. coalesce(length(a::text) % 4, 0) LOOP echo := concat_ws('|', n, a::text, random()); RETURN NEXT; END LOOP;
END $$;
CREATE FUNCTION prop.cached_slow(a int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'run'; PERFORM pg_sleep(0.005); RETURN random()::text; END $$;
SELECT apibase.cached('prop.cached_echo(anyelement, anyelement)', ttl => '1 hour');
SELECT apibase.cached('prop.cached_rows(anyelement)', ttl => '1 hour');
SELECT apibase.cached('prop.cached_slow(int)', ttl => '1 hour');
"""


class Session:
    """A connection in which every statement commits; runs counts how often a function has run in it."""

    def __init__(self):
        self.connection = psycopg2.connect(dbname=database.NAME)
        self.connection.autocommit = True
        self.runs = 0

    def rows(self, sql):
        del self.connection.notices[:]
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetchall() if cursor.description else None
        self.runs += sum('run' in notice for notice in self.connection.notices)
        return found


@contextlib.contextmanager
def sessions(n):
    made = [Session() for _ in range(n)]
    try:
        yield made
    finally:
        for session in made:
            session.connection.close()


def prepare(db):
    """The functions, once, and an empty cache."""
    db.connection.rollback()
    if not db.value("SELECT to_regprocedure('prop.cached_slow(int)') IS NOT NULL"):
        db.run(SETUP)
    db.run('SELECT apibase.cache_clear()')
    db.connection.commit()


def literal(text, type_):
    return 'NULL::' + type_ if text is None else '%s::%s' % (v.quote_literal(text), type_)


@st.composite
def calls(draw, arguments):
    """A type, and a list of calls with values of it in which some return."""
    type_ = draw(st.sampled_from(sorted(TYPES)))
    value = st.one_of(st.none(), TYPES[type_])
    pool = draw(st.lists(st.tuples(*[value] * arguments), min_size=1, max_size=4, unique=True))
    return type_, draw(st.lists(st.sampled_from(pool), min_size=2, max_size=8))


@law(0.2)
@given(calls(2))
def test_law_a09_runs_once(db, case):
    """Scalar results: one run for each list of arguments, the same answer every time, another after the time to live."""
    type_, made = case
    prepare(db)
    with sessions(1) as (session,):
        answers = {}
        for arguments in made:
            sql = 'SELECT prop.cached_echo(%s)' % ', '.join(literal(text, type_) for text in arguments)
            answer = session.rows(sql)
            assert answers.setdefault(arguments, answer) == answer, (sql, answers[arguments], answer)
        assert session.runs == len(answers), (type_, made, session.runs)
        session.rows("SELECT apibase_internal.clock_set('2 hours')")
        try:
            again = session.rows('SELECT prop.cached_echo(%s)' % ', '.join(literal(text, type_) for text in made[0]))
        finally:
            session.rows("SELECT apibase_internal.clock_set('0')")
        assert session.runs == len(answers) + 1 and again != answers[made[0]], (type_, made[0])


@law(0.1)
@given(calls(1))
def test_law_a09_sets_run_once(db, case):
    """Results of several rows, and of none."""
    type_, made = case
    prepare(db)
    with sessions(1) as (session,):
        answers = {}
        for arguments in made:
            sql = 'SELECT * FROM prop.cached_rows(%s)' % literal(arguments[0], type_)
            answer = session.rows(sql)
            assert answers.setdefault(arguments, answer) == answer, (sql, answers[arguments], answer)
        assert session.runs == len(answers), (type_, made, session.runs)


@law(0.05)
@given(st.lists(st.integers(1, 2), min_size=1, max_size=3), st.integers(2, 4))
def test_law_b08_runs_once_in_all_sessions(db, arguments, n):
    """Sessions that call at the same time: one computes, all have the same answer."""
    prepare(db)
    with sessions(n) as several:
        answers = [[] for _ in several]
        barrier = threading.Barrier(n)

        def call(number):
            for argument in arguments:
                barrier.wait()
                answers[number].append(several[number].rows('SELECT prop.cached_slow(%d)' % argument))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found == answers[0] for found in answers), (arguments, answers)
        assert sum(session.runs for session in several) == len(set(arguments)), (arguments, [session.runs for session in several])
