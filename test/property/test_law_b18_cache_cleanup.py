"""
test_law_b18_cache_cleanup.py: what a transaction did to the cache is done when it commits, in the order in which it was done, and undone when it, or
the savepoint, or the statement, is rolled back or fails; nobody else sees any of it before.

The judge is a model that knows what a sequence of operations leaves, and nothing else.  Two things are the cache's own rules: as long as a
transaction has neither written nor invalidated anything, what it sets is everybody's at once (it can only have read what is committed); and once
it has cleared by a pattern, it gets nothing that it has not set itself after that.
"""
from hypothesis import given, strategies as st
import psycopg2
import pytest

import cache_model
import database
import values as v
from laws import law

KEYS = ['law xact:a', 'law xact:b', 'law xact:c', 'law two:a']
TAGS = ['law x', 'law y', 'law y:1', 'law y:2']
PATTERNS = ['*', 'law xact:*', 'law xact:a', '*a', '?aw two:a', 'nothing*']

key = st.sampled_from(KEYS)
step = st.one_of(
    st.tuples(st.just('set'), key, st.integers(0, 99), st.lists(st.sampled_from(TAGS), max_size=2, unique=True)),
    st.tuples(st.just('set'), key, st.integers(0, 99), st.lists(st.sampled_from(TAGS), max_size=2, unique=True)),
    st.tuples(st.just('get'), key),
    st.tuples(st.just('delete'), key),
    st.tuples(st.just('invalidate'), st.sampled_from(TAGS + ['law y:*', 'law none'])),
    st.tuples(st.just('clear'), st.sampled_from(PATTERNS)),
    st.tuples(st.just('write')),
    st.tuples(st.just('fail')),
    st.tuples(st.just('savepoint')), st.tuples(st.just('savepoint')),
    st.tuples(st.just('rollback to'), st.integers(0, 3)), st.tuples(st.just('rollback to'), st.integers(0, 3)),
    st.tuples(st.just('release'), st.integers(0, 3)))


def matches(pattern, text):
    """The patterns of cache_clear, without backslashes."""
    if not pattern:
        return not text
    if pattern[0] == '*':
        return any(matches(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ('?', text[0]) and matches(pattern[1:], text[1:])


def applied(state, operation):
    """What a state is after an operation: key to (value, tags)."""
    state, (op, what), rest = dict(state), operation[:2], operation[2:]
    if op == 'set':
        state[what] = rest
    elif op == 'delete':
        state.pop(what, None)
    elif op == 'clear':
        state = {name: entry for name, entry in state.items() if not matches(what, name)}
    elif op == 'invalidate':
        state = {name: entry for name, entry in state.items() if not cache_model.concerns(what, entry[1])}
    return state


class Model:
    """shared: what everybody sees.  done: what this transaction has done and nobody sees.  savepoints: how much of it there was at each."""

    def __init__(self):
        self.shared, self.done, self.savepoints, self.wrote = {}, [], [], False

    def private(self):
        return self.wrote or any(operation[0] != 'set' for operation in self.done)

    def do(self, *operation):
        if operation[0] == 'set' and not self.private():
            self.shared = applied(self.shared, operation)
        else:
            self.done.append(operation)

    def mine(self):
        """What this transaction gets: of what was there before, and of what it has set."""
        before, own = self.shared, {}
        for operation in self.done:
            if operation[0] == 'set':
                own = applied(own, operation)
                before = {name: entry for name, entry in before.items() if name != operation[1]}
            else:
                own = applied(own, operation)
                before = {} if operation[0] == 'clear' else applied(before, operation)
        return dict(before, **own)

    def commit(self):
        for operation in self.done:
            self.shared = applied(self.shared, operation)
        self.rollback()

    def rollback(self):
        self.done, self.savepoints, self.wrote = [], [], False


@pytest.fixture(scope='module')
def observer(db):
    """A second session, which only looks; and what the tests write."""
    with cache_model.session(db):
        db.run('CREATE TABLE IF NOT EXISTS prop.law_xact (n integer)')
    connection = database.connect(database.NAME)
    connection.autocommit = True
    yield connection
    connection.close()


def look(connection):
    """What a session gets, of all keys."""
    with connection.cursor() as cursor:
        cursor.execute('SELECT key, value FROM apibase.cache_get_many(ARRAY[%s])' % ', '.join(map(v.quote_literal, KEYS)))
        return dict(cursor.fetchall())


def values_of(state):
    return {name: entry[0] for name, entry in state.items()}


def perform(db, model, one):
    """One step, on both; a step that makes no sense there is left out.  Returns what was done."""
    op = one[0]
    if op == 'set':
        assert db.value("SELECT apibase.cache_set(%s, '%d', '1 hour', ARRAY[%s]::text[])"
                        % (v.quote_literal(one[1]), one[2], ', '.join(map(v.quote_literal, one[3])))) is True
        model.do('set', one[1], one[2], one[3])
    elif op == 'get':
        assert db.value('SELECT apibase.cache_get(%s)' % v.quote_literal(one[1])) == values_of(model.mine()).get(one[1])
    elif op in ('delete', 'invalidate', 'clear'):
        db.run('SELECT apibase.cache_%s(%s)' % (op, v.quote_literal(one[1])))
        model.do(op, one[1])
    elif op == 'write':
        db.run('INSERT INTO prop.law_xact VALUES (1)')
        model.wrote = True
    elif op == 'savepoint':
        model.savepoints.append(len(model.done))
        db.run('SAVEPOINT s%d' % len(model.savepoints))
    elif op == 'rollback to' and one[1] < len(model.savepoints):
        db.run('ROLLBACK TO s%d' % (one[1] + 1))
        del model.savepoints[one[1] + 1:]
        del model.done[model.savepoints[one[1]]:]
    elif op == 'release' and one[1] < len(model.savepoints):
        db.run('RELEASE s%d' % (one[1] + 1))
        del model.savepoints[one[1]:]
    elif op == 'fail' and model.savepoints:
        # a statement that sets, deletes and invalidates before it fails
        with pytest.raises(psycopg2.errors.DivisionByZero):
            db.run("SELECT apibase.cache_delete('law xact:b'), apibase.cache_invalidate('law x', 'law y'), apibase.cache_set('law xact:a', '-1'), 1 / count(*) FROM prop.law_xact WHERE n = 2")
        db.run('ROLLBACK TO s%d' % len(model.savepoints))
        del model.done[model.savepoints[-1]:]
    else:
        return False
    return True


@law()
@given(st.lists(st.tuples(st.lists(step, max_size=14), st.sampled_from(['COMMIT', 'COMMIT', 'ROLLBACK', 'FAIL'])), min_size=1, max_size=4))
def test_law_b18_cache_transactions(db, observer, transactions):
    """Some transactions one after the other; after each step, what this session gets and what another gets."""
    with cache_model.session(db):
        for name in KEYS:
            db.run('SELECT apibase.cache_delete(%s)' % v.quote_literal(name))
        model, story = Model(), []
        for steps, end in transactions:
            db.run('BEGIN')
            story.append('BEGIN')
            for one in steps:
                if perform(db, model, one):
                    story.append(one)
                    assert look(observer) == values_of(model.shared), ('another session', story)
                    assert look(db.connection) == values_of(model.mine()), ('this session', story)
            if end == 'FAIL':
                with pytest.raises(psycopg2.errors.DivisionByZero):
                    db.run("SELECT apibase.cache_clear('law*'), 1 / count(*) FROM prop.law_xact WHERE n = 2")
            if end == 'COMMIT':
                db.run('COMMIT')
                model.commit()
            else:
                db.run('ROLLBACK')
                model.rollback()
            story.append(end)
            for connection in (observer, db.connection):
                assert look(connection) == values_of(model.shared), story
