"""
test_law_b20_pipeline_types.py: a pipeline whose steps do not fit is refused before it runs, and one whose steps fit runs them all, in order.

There is a step from every type to every other, and to a result.  Which type fits which is written here by hand: it is what PostgreSQL
documents of implicit casts.  That a step ran is noted in a sequence, which no rollback takes back.
"""
import psycopg2
import pytest
from hypothesis import given, strategies as st

import values as v
from laws import law

# a value of each type, and the types that it fits beside its own
TYPES = {
    'smallint': ('1::smallint', {'integer', 'bigint', 'numeric', 'real', 'double precision'}),
    'integer': ('1', {'bigint', 'numeric', 'real', 'double precision'}),
    'bigint': ('1::bigint', {'numeric', 'real', 'double precision'}),
    'numeric': ('1::numeric', {'real', 'double precision'}),
    'real': ('1::real', {'double precision'}),
    'double precision': ('1::double precision', set()),
    'text': ("'1'::text", {'character varying'}),
    'character varying': ("'1'::varchar", {'text'}),
    'date': ("'2024-01-01'::date", {'timestamp without time zone', 'timestamp with time zone'}),
    'timestamp without time zone': ("'2024-01-01'::timestamp", {'timestamp with time zone'}),
    'timestamp with time zone': ("'2024-01-01'::timestamptz", set()),
    'boolean': ('true', set()),
    'jsonb': ("'1'::jsonb", {'json'}),
    'json': ("'1'::json", {'jsonb'}),
    'prop.pipe_domain': ('1::prop.pipe_domain', {'integer', 'bigint', 'numeric', 'real', 'double precision'}),
    'integer[]': ("'{1}'::integer[]", {'bigint[]'}),
    'bigint[]': ("'{1}'::bigint[]", set()),
}
# what fits an integer fits a domain over it
for name in ('smallint', 'integer'):
    TYPES[name][1].add('prop.pipe_domain')
RESULT = 'apibase.result'
NUMBER = {name: number for number, name in enumerate(TYPES)}
NUMBER[RESULT] = len(TYPES)


def function(takes, returns):
    return 'prop.pipe_%d_%d(%s)' % (NUMBER[takes], NUMBER[returns], takes)


SETUP = """
CREATE SEQUENCE prop.pipe_runs;
CREATE DOMAIN prop.pipe_domain AS integer CHECK (VALUE > 0);
""" + '\n'.join(
    """CREATE FUNCTION %s RETURNS %s LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('prop.pipe_runs'); RETURN %s; END $$;"""
    % (function(takes, returns), returns, 'apibase.ok(%s)' % TYPES[takes][0] if returns == RESULT else TYPES[returns][0])
    for takes in TYPES for returns in list(TYPES) + [RESULT])


@pytest.fixture(scope='module')
def pipes(db):
    db.run(SETUP)
    db.connection.commit()
    return db


def fits(given_type, takes):
    return given_type in (takes, RESULT) or takes in TYPES[given_type][1]


@st.composite
def pipelines(draw, same_type):
    """The type of the value, and steps as (takes, returns), that mostly fit."""
    start = draw(st.sampled_from(sorted(TYPES)))
    current, document, steps = start, False, []
    for _ in range(draw(st.integers(1, 6))):
        # a document fits anything until it is read: it is read as a type that its value fits
        fitting = [current] + sorted(TYPES[current][1])
        takes = draw(st.sampled_from(fitting if document or draw(st.integers(0, 9)) else sorted(TYPES)))
        returns = draw(st.sampled_from([takes, takes, RESULT] if same_type and draw(st.integers(0, 9)) else sorted(TYPES) + [RESULT]))
        steps.append((takes, returns))
        document = returns == RESULT
        current = takes if same_type or document else returns
    return start, steps


def run(db, name, start, steps):
    """How many steps ran, the result as text, the error or None."""
    db.run("SELECT setval('prop.pipe_runs', 1, false)")
    db.run('SAVEPOINT attempt')
    result, error = None, None
    try:
        result = db.run('SELECT (r).ok, (r).error::text FROM apibase.%s(%s, %s) r' % (
            name, TYPES[start][0], ', '.join(v.quote_literal(function(*step)) for step in steps)))[0]
    except psycopg2.Error as failure:
        error = failure
        db.run('ROLLBACK TO attempt')
    last, called = db.run('SELECT last_value, is_called FROM prop.pipe_runs')[0]
    return last if called else 0, result, error


@law()
@given(pipelines(same_type=False))
def test_law_b20_pipe_types(pipes, case):
    """pipe(): each step must take what the one before it returns."""
    start, steps = case
    current, wrong = start, None
    for number, (takes, returns) in enumerate(steps, 1):
        if wrong is None and not fits(current, takes):
            wrong = (number, takes, current)
        current = returns
    with pipes.example() as db:
        runs, result, error = run(db, 'pipe', start, steps)
        if wrong is None:
            assert error is None and result == (True, None) and runs == len(steps), (case, error, result, runs)
        else:
            assert runs == 0 and error is not None and error.pgcode == 'PB040', (case, wrong, runs, error)
            assert 'step %d of' % wrong[0] in error.diag.message_primary, (case, str(error))
            assert wrong[1] in error.diag.message_detail and wrong[2] in error.diag.message_detail, (case, str(error))


@law()
@given(pipelines(same_type=True))
def test_law_b20_pipe_all_types(pipes, case):
    """pipe_all(): each step but the last must return what it takes, and the next one must take that."""
    start, steps = case
    current, wrong = start, None
    for number, (takes, returns) in enumerate(steps, 1):
        if wrong is None and (not fits(current, takes) or (number < len(steps) and returns not in (takes, RESULT))):
            wrong = number
        current = takes
    with pipes.example() as db:
        runs, result, error = run(db, 'pipe_all', start, steps)
        if wrong is None:
            assert error is None and result == (True, None) and runs == len(steps), (case, error, result, runs)
        else:
            assert runs == 0 and error is not None and error.pgcode == 'PB040', (case, wrong, runs, error)
            assert 'step %d of' % wrong in error.diag.message_primary, (case, str(error))
