"""
test_law_b13_retry.py: an operation that keeps failing is tried exactly max_attempts times; in general, until it succeeds, fails with an error that
is not to be tried again, or has been tried max_attempts times.  What attempts that fail have done is undone.
"""
import psycopg2
import pytest
from hypothesis import given, strategies as st

import values as v
from laws import law

SQLSTATES = ['40001', '40P01', '55P03', '40002', '22012', '23505', '08006', '08000', '08P01', 'P0001', 'PB033', 'XX000', '57014', '57P01']
FINAL = {'57014', '57P01'}
# items of the option, and the SQLSTATEs that they stand for
ITEMS = {'40001': {'40001'}, '40P01': {'40P01'}, '55P03': {'55P03'}, 'P0001': {'P0001'}, 'PB033': {'PB033'},
         '40': {'40001', '40P01', '40002'}, '08': {'08006', '08000', '08P01'}, '08000': {'08006', '08000', '08P01'}, '22': {'22012'}, '57': set(),
         'XX': {'XX000'}}
DEFAULT = ['40001', '40P01', '55P03']

# Fails with the errors of the list, one a call, and then succeeds.
FUNCTIONS_SQL = """
CREATE SEQUENCE prop.retry_calls;
CREATE TABLE prop.retry_effects (n int);
CREATE FUNCTION prop.retried(errors text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int := nextval('prop.retry_calls');
BEGIN
    INSERT INTO prop.retry_effects VALUES (n);
    IF n <= cardinality(errors) THEN
        RAISE 'attempt % has failed', n USING ERRCODE = errors[n], DETAIL = 'detail ' || n, HINT = 'hint ' || n;
    END IF;
    RETURN n;
END $$;
CREATE FUNCTION prop.retried_set(errors text[]) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT -1;
    RETURN NEXT prop.retried_plain(errors);
END $$;
"""
FUNCTIONS_SQL += FUNCTIONS_SQL[FUNCTIONS_SQL.index('CREATE FUNCTION prop.retried('):FUNCTIONS_SQL.index('CREATE FUNCTION prop.retried_set')].replace(
    'prop.retried(', 'prop.retried_plain(')


@pytest.fixture(scope='module')
def retried(db):
    db.run(FUNCTIONS_SQL)
    db.connection.commit()
    return db


def expected(errors, max_attempts, retryable, snapshot):
    """Number of calls, and the error that is raised or None."""
    for attempt in range(1, max_attempts + 1):
        error = errors[attempt - 1] if attempt <= len(errors) else None
        if error is None:
            return attempt, None
        if error not in retryable or error in FINAL or (error == '40001' and snapshot):
            return attempt, error
    return max_attempts, error


def try_it(db, function, errors):
    """The rows, and the error or None."""
    db.run("SELECT setval('prop.retry_calls', 1, false)")
    db.run('SAVEPOINT call')
    try:
        return db.run('SELECT * FROM %s(%s::text[])' % (function, v.quote_literal('{%s}' % ','.join(errors)))), None
    except psycopg2.Error as error:
        db.run('ROLLBACK TO call')
        return None, error


@law()
@given(errors=st.lists(st.sampled_from(SQLSTATES), max_size=8), max_attempts=st.integers(1, 8),
       items=st.one_of(st.none(), st.lists(st.sampled_from(sorted(ITEMS)), min_size=1, max_size=4)),
       backoff=st.sampled_from(['exponential', 'linear', 'constant']), delay=st.sampled_from(['0', '1 us', '20 us']), jitter=st.sampled_from([0, 0.1, 1]),
       level=st.sampled_from(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']), function=st.sampled_from(['prop.retried', 'prop.retried_set']))
def test_law_b13_attempts(retried, errors, max_attempts, items, backoff, delay, jitter, level, function):
    """Attempts and outcome for any sequence of errors, any options, in any isolation level, of functions that return a value or a set."""
    db = retried
    retryable = set().union(*(ITEMS[item] for item in items or DEFAULT))
    calls, state = expected(errors, max_attempts, retryable, level != 'READ COMMITTED')
    with db.example():
        db.run('SET TRANSACTION ISOLATION LEVEL %s' % level)
        db.run("SELECT apibase.retry('%s(text[])', %d, '%s', '%s', jitter => %s%s)" % (
            function, max_attempts, backoff, delay, jitter, '' if items is None else ", sqlstates => '{%s}'" % ','.join(items)))
        rows, error = try_it(db, function, errors)
        assert db.value('SELECT last_value FROM prop.retry_calls') == calls
        if state is None:
            assert error is None
            assert rows == [(calls,)] if function == 'prop.retried' else rows == [(-1,), (calls,)]
            assert db.run('SELECT n FROM prop.retry_effects') == [(calls,)]
        else:
            assert error.pgcode == state
            assert error.diag.message_primary == 'attempt %d has failed' % calls
            assert error.diag.message_detail == 'detail %d' % calls
            assert error.diag.message_hint.split('\n')[0] == 'hint %d' % calls
            assert ('\n' in error.diag.message_hint) == (state == '40001' and '40001' in retryable and level != 'READ COMMITTED' and calls < max_attempts)
            assert error.diag.context.endswith('attempt %d of %d' % (calls, max_attempts))
            assert db.run('SELECT n FROM prop.retry_effects') == []


@law(0.3)
@given(max_attempts=st.integers(1, 50), state=st.sampled_from(sorted(set(SQLSTATES) - FINAL)))
def test_law_b13_always_failing(retried, max_attempts, state):
    """An operation that keeps failing is tried exactly max_attempts times."""
    db = retried
    with db.example():
        db.run("SELECT apibase.retry('prop.retried(text[])', %d, delay => '0', sqlstates => '{%s}')" % (max_attempts, state))
        _, error = try_it(db, 'prop.retried', [state] * 60)
        assert error.pgcode == state
        assert db.value('SELECT last_value FROM prop.retry_calls') == max_attempts
        assert db.run('SELECT n FROM prop.retry_effects') == []
