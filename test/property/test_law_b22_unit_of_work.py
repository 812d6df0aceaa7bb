"""
test_law_b22_unit_of_work.py: a unit of work commits whole or not at all (B22).

Trees of commands are generated: they write rows, emit events, whose subscribers do the same, and dispatch further commands; they fail at any
place, and who is around them lets the failure pass, catches it, or goes on with the problem in hand. Middleware writes, refuses, recovers, tries
again; idempotency keys are used, and used again. All is said in the message, as a little program, which a handler in PL/pgSQL runs.

The judge runs the same programs in Python, over a state that is copied where a unit begins and put back where it fails. After the commit, rows,
outbox, failures of subscribers and stored results are, for another session, exactly that state.
"""
import copy
import json

import psycopg2
import pytest
from hypothesis import given, strategies as st

import database
import values as v
from laws import law

# SQLSTATE to HTTP status
STATUS = {'PT409': 409, 'P0001': 400, 'XX000': 500, '40001': 503, '23505': 409, 'PB052': 422, 'PB056': 409}

SETUP = """
CREATE TABLE prop.b22_rows (n bigint GENERATED ALWAYS AS IDENTITY, what text);
CREATE TYPE prop.b22_plain AS (node jsonb);
CREATE TYPE prop.b22_guarded AS (node jsonb);
CREATE TYPE prop.b22_nested AS (node jsonb);
CREATE TYPE prop.b22_event AS (node jsonb);
CREATE FUNCTION prop.b22_write(what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO prop.b22_rows (what) VALUES (what) $$;
CREATE FUNCTION prop.b22_fail(code text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'b22' USING ERRCODE = code; END $$;
CREATE FUNCTION prop.b22_seen(result apibase.result) RETURNS text LANGUAGE sql
    RETURN concat_ws(' ', 'ok ' || CASE WHEN result.ok THEN result.value::text END, result.error ->> 'code', result.error ->> 'status',
        CASE WHEN result.replayed THEN 'replayed' END);
CREATE FUNCTION prop.b22_do(actions jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    action jsonb;
    result apibase.result;
BEGIN
    FOR action IN SELECT a FROM jsonb_array_elements(actions) a LOOP
        CASE action ->> 'do'
        WHEN 'write' THEN
            PERFORM prop.b22_write(action ->> 'what');
        WHEN 'fail' THEN
            PERFORM prop.b22_fail(action ->> 'code');
        WHEN 'emit' THEN
            PERFORM apibase.emit(ROW(action -> 'node')::prop.b22_event);
        WHEN 'try' THEN
            BEGIN
                PERFORM prop.b22_do(action -> 'actions');
            EXCEPTION WHEN OTHERS THEN
                PERFORM prop.b22_write('caught ' || SQLSTATE);
            END;
        WHEN 'dispatch' THEN
            result := apibase.command(action ->> 'name', jsonb_build_object('node', action -> 'node'), action -> 'options');
            PERFORM prop.b22_write('seen ' || prop.b22_seen(result));
            IF action ->> 'then' = 'unwrap' THEN
                PERFORM apibase.unwrap(result);
            END IF;
        END CASE;
    END LOOP;
END $$;
CREATE FUNCTION prop.b22_handle(node jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM prop.b22_do(node -> 'actions');
    RETURN CASE node ->> 'returns' WHEN 'err' THEN apibase.err(apibase.problem(409)) ELSE apibase.ok(node -> 'id') END;
END $$;
CREATE FUNCTION prop.b22_handle_plain(c prop.b22_plain) RETURNS apibase.result LANGUAGE sql RETURN prop.b22_handle(c.node);
CREATE FUNCTION prop.b22_handle_guarded(c prop.b22_guarded) RETURNS apibase.result LANGUAGE sql RETURN prop.b22_handle(c.node);
CREATE FUNCTION prop.b22_handle_nested(c prop.b22_nested) RETURNS apibase.result LANGUAGE plpgsql AS $$ BEGIN RETURN prop.b22_handle(c.node); END $$;

-- subscribers: the first one's failure is that of who emits, the second one's is recorded
CREATE FUNCTION prop.b22_first(e prop.b22_event) RETURNS void LANGUAGE sql AS $$ SELECT prop.b22_do(e.node -> 'first') $$;
CREATE FUNCTION prop.b22_second(e prop.b22_event) RETURNS void LANGUAGE sql AS $$ SELECT prop.b22_do(e.node -> 'second') $$;

-- middleware: what it does is in the message, too
CREATE FUNCTION prop.b22_before(d apibase.dispatch, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM prop.b22_write('before');
    IF payload #>> '{node,before}' = 'raise' THEN PERFORM prop.b22_fail('PT409'); END IF;
END $$;
CREATE FUNCTION prop.b22_after(d apibase.dispatch, payload jsonb, result apibase.result) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM prop.b22_write('after');
    CASE payload #>> '{node,after}'
    WHEN 'raise' THEN PERFORM prop.b22_fail('P0001');
    WHEN 'err' THEN RETURN apibase.err(apibase.problem(409));
    WHEN 'replace' THEN RETURN apibase.ok('"replaced"'::jsonb);
    ELSE NULL;
    END CASE;
    RETURN NULL;
END $$;
CREATE FUNCTION prop.b22_on_error(d apibase.dispatch, payload jsonb, problem jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
BEGIN
    PERFORM prop.b22_write('on error ' || (problem ->> 'code'));
    CASE payload #>> '{node,on_error}'
    WHEN 'raise' THEN PERFORM prop.b22_fail('23505');
    WHEN 'recover' THEN RETURN apibase.ok('"recovered"'::jsonb);
    ELSE NULL;
    END CASE;
    RETURN NULL;
END $$;
CREATE FUNCTION prop.b22_around(d apibase.dispatch, payload jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
DECLARE
    how text := coalesce(payload #>> '{node,around}', '');
    result apibase.result;
BEGIN
    PERFORM prop.b22_write('around');
    IF how = 'skip' THEN RETURN apibase.ok('"skipped"'::jsonb); END IF;
    result := apibase.dispatch_next();
    IF how = 'twice' OR how = 'again' AND NOT result.ok THEN
        PERFORM prop.b22_write('around again');
        result := apibase.dispatch_next();
    END IF;
    IF how = 'raise' THEN PERFORM prop.b22_fail('P0001'); END IF;
    IF how = 'err' THEN RETURN apibase.err(apibase.problem(409)); END IF;
    IF how = 'recover' AND NOT result.ok THEN RETURN apibase.ok('"recovered"'::jsonb); END IF;
    RETURN result;
END $$;
"""

# the layers of each message, from the outermost; idempotency of commands is at position 0
LAYERS = {
    'prop.b22_plain': [('idempotency', 0)],
    'prop.b22_guarded': [('before', -10), ('idempotency', 0), ('around', 10), ('after', 20), ('on_error', 30)],
    'prop.b22_nested': [('on_error', -5), ('idempotency', 0), ('after', 5), ('around', 50), ('before', 60)],
    'prop.b22_event': [('on_error', 10), ('around', 20)],
}
ARGUMENTS = {'before': 'apibase.dispatch,jsonb', 'around': 'apibase.dispatch,jsonb', 'after': 'apibase.dispatch,jsonb,apibase.result',
             'on_error': 'apibase.dispatch,jsonb,jsonb'}
COMMANDS = sorted(set(LAYERS) - {'prop.b22_event'})
TABLES = 'prop.b22_rows, apibase.outbox, apibase_internal.outbox_commit, apibase.event_failures, apibase_internal.idempotency'


@pytest.fixture(scope='module')
def work_db(db):
    db.run(SETUP)
    for name in COMMANDS:
        db.run("SELECT apibase.register_command('%s', '%s(%s)')" % (name, name.replace('b22_', 'b22_handle_'), name))
    for number, subscriber in enumerate(('first', 'second')):
        db.run("SELECT apibase.subscribe('prop.b22_event'::regtype, 'prop.b22_%s(prop.b22_event)', on_failure => '%s', rank => %d)" % (
            subscriber, ('fail', 'isolate')[number], number))
    for name, layers in LAYERS.items():
        for phase, position in layers:
            if phase != 'idempotency':
                db.run("SELECT apibase.use_middleware('prop.b22_%s(%s)', '%s', '%s', '{%s}', %d)" % (
                    phase, ARGUMENTS[phase], phase, name, 'event' if name == 'prop.b22_event' else 'command', position))
    db.connection.commit()
    other = psycopg2.connect(dbname=database.NAME)
    other.autocommit = True
    yield db, other
    other.close()
    db.connection.rollback()
    db.run('DELETE FROM ' + '; DELETE FROM '.join(TABLES.split(', ')))
    for phase, arguments in ARGUMENTS.items():
        db.run("SELECT apibase.drop_middleware('prop.b22_%s(%s)')" % (phase, arguments))
    db.connection.commit()


# ---------------------------------------------------------------------------------------------------------------------
# Programs
# ---------------------------------------------------------------------------------------------------------------------
def optional(**choices):
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(words) for name, words in choices.items()})


WRITE = st.fixed_dictionaries({'do': st.just('write'), 'what': st.sampled_from('abc')})
FAIL = st.fixed_dictionaries({'do': st.just('fail'), 'code': st.sampled_from(['PT409', 'P0001', 'XX000', '40001'])})
MIDDLEWARE = optional(before=['raise'], after=['raise', 'err', 'replace'], on_error=['raise', 'recover'],
                      around=['skip', 'twice', 'again', 'raise', 'err', 'recover'], returns=['err'])
SOMETIMES = st.one_of(st.just({}), MIDDLEWARE)


def merged(parts):
    return {**parts[0], **parts[1]}


def dispatches(actions):
    node = st.tuples(SOMETIMES, st.fixed_dictionaries({'id': st.integers(0, 9), 'actions': actions})).map(merged)
    return st.fixed_dictionaries({
        'do': st.just('dispatch'), 'name': st.sampled_from(COMMANDS), 'node': node, 'then': st.sampled_from(['unwrap', 'go on']),
        'options': st.one_of(st.just({}), st.sampled_from('kl').map(lambda key: {'idempotency_key': key}))})


def emissions(actions):
    node = st.tuples(st.one_of(st.just({}), optional(on_error=['raise', 'recover'], around=['skip', 'twice', 'again', 'err', 'recover'])),
                     st.fixed_dictionaries({'id': st.integers(0, 9), 'first': actions, 'second': actions})).map(merged)
    return st.fixed_dictionaries({'do': st.just('emit'), 'node': node})


def compound(action):
    actions = st.lists(action, max_size=3)
    return st.one_of(dispatches(actions), dispatches(actions), emissions(actions),
                     st.fixed_dictionaries({'do': st.just('try'), 'actions': actions}))


ACTIONS = st.lists(st.recursive(st.one_of(WRITE, WRITE, FAIL), compound, max_leaves=6), max_size=4)
COMMAND = dispatches(ACTIONS)


# ---------------------------------------------------------------------------------------------------------------------
# The same in Python
# ---------------------------------------------------------------------------------------------------------------------
class Failure(Exception):
    """An error, by its SQLSTATE."""

    @property
    def code(self):
        return self.args[0]


class Result:
    def __init__(self, value=None, code=None, replayed=False):
        self.ok, self.value, self.code, self.replayed = code is None, value, code, replayed

    def seen(self):
        """As prop.b22_seen writes it."""
        words = ['ok ' + json.dumps(self.value)] if self.ok else [self.code, str(STATUS[self.code])]
        return ' '.join(words + ['replayed'] * self.replayed)


class State:
    """What there is: rows, events in the outbox, failures of subscribers, stored results (None: the command is still running)."""

    def __init__(self):
        self.rows, self.events, self.failures, self.stored = [], [], [], {}

    def content(self):
        return copy.deepcopy((self.rows, self.events, self.failures, self.stored))

    def put_back(self, content):
        self.rows, self.events, self.failures, self.stored = copy.deepcopy(content)


class Judge:
    """Runs programs over a state."""

    def __init__(self):
        self.state = State()

    def write(self, what):
        self.state.rows.append(what)

    def do(self, actions):
        for action in actions:
            getattr(self, 'do_' + action['do'])(action)

    def do_write(self, action):
        self.write(action['what'])

    def do_fail(self, action):
        raise Failure(action['code'])

    def do_try(self, action):
        before = self.state.content()
        try:
            self.do(action['actions'])
        except Failure as failure:
            self.state.put_back(before)
            self.write('caught ' + failure.code)

    def do_dispatch(self, action):
        result = self.command(action)
        self.write('seen ' + result.seen())
        if action['then'] == 'unwrap' and not result.ok:
            raise Failure(result.code)

    def do_emit(self, action):
        node = action['node']
        self.state.events.append(node)
        for subscriber in ('first', 'second'):
            layers = [phase for phase, _ in LAYERS['prop.b22_event']]
            result = self.run(layers, node, None, lambda subscriber=subscriber: self.subscriber(node[subscriber]))
            if not result.ok and subscriber == 'first':
                raise Failure(result.code)
            if not result.ok:
                self.state.failures.append((node['id'], result.code))

    def subscriber(self, actions):
        self.do(actions)
        return Result()

    def command(self, action):
        node, key = action['node'], action['options'].get('idempotency_key')
        layers = [phase for phase, _ in LAYERS[action['name']] if phase != 'idempotency' or key is not None]
        return self.run(layers, node, (action['name'], key), lambda: self.handler(node))

    def handler(self, node):
        self.do(node['actions'])
        return Result(code='PT409') if node.get('returns') == 'err' else Result(node['id'])

    def attempt(self, work):
        """work() returns a result, and whether it undoes what was written; what it raises does."""
        before = self.state.content()
        try:
            result, undoes = work()
        except Failure as failure:
            result, undoes = Result(code=failure.code), True
        if undoes:
            self.state.put_back(before)
        return result

    def run(self, layers, node, key, handler):
        if not layers:
            def innermost():
                result = handler()
                return result, not result.ok
            return self.attempt(innermost)

        def inside():
            return self.run(layers[1:], node, key, handler)

        layer = getattr(self, 'layer_' + layers[0])
        if layers[0] != 'before':
            return self.attempt(lambda: layer(node, key, inside))
        result = self.attempt(lambda: layer(node))
        return inside() if result.ok else result

    def layer_before(self, node):
        self.write('before')
        if node.get('before') == 'raise':
            raise Failure('PT409')
        return Result(), False

    def layer_after(self, node, key, inside):
        result = inside()
        if not result.ok:
            return result, False
        self.write('after')
        how = node.get('after')
        if how == 'raise':
            raise Failure('P0001')
        if how == 'err':
            return Result(code='PT409'), True
        return (Result('replaced') if how == 'replace' else result), False

    def layer_on_error(self, node, key, inside):
        result = inside()
        if result.ok:
            return result, False
        self.write('on error ' + result.code)
        how = node.get('on_error')
        if how == 'raise':
            raise Failure('23505')
        return (Result('recovered') if how == 'recover' else result), False

    def layer_around(self, node, key, inside):
        how = node.get('around')
        self.write('around')
        if how == 'skip':
            return Result('skipped'), False
        result = inside()
        succeeded = result.ok
        if how == 'twice' or how == 'again' and not result.ok:
            self.write('around again')
            result = inside()
            succeeded = succeeded or result.ok
        if how == 'raise':
            raise Failure('P0001')
        if how == 'err':
            result = Result(code='PT409')
        if how == 'recover' and not result.ok:
            result = Result('recovered')
        return result, succeeded and not result.ok

    def layer_idempotency(self, node, key, inside):
        if key in self.state.stored:
            payload, result = self.state.stored[key]
            if result is None:
                raise Failure('PB056')
            if payload != node:
                raise Failure('PB052')
            return Result(result.value, result.code, True), False
        self.state.stored[key] = (node, None)
        result = inside()
        if not result.ok and (STATUS[result.code] >= 500 or result.code == 'PB056'):
            del self.state.stored[key]
        else:
            self.state.stored[key] = (node, result)
        return result, False


# ---------------------------------------------------------------------------------------------------------------------
# The law
# ---------------------------------------------------------------------------------------------------------------------
def found(connection):
    """What there is, as the state has it."""
    def rows(sql):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    return (
        [row[0] for row in rows('SELECT what FROM prop.b22_rows ORDER BY n')],
        [row[0] for row in rows("SELECT payload -> 'node' FROM apibase.outbox ORDER BY batch, ordinal")],
        rows("SELECT (o.payload #>> '{node,id}')::int, f.problem ->> 'code' FROM apibase.event_failures f JOIN apibase.outbox o ON o.id = f.event_id ORDER BY f.ctid"),
        {(message, key): (ok, value, code) for message, key, ok, value, code
         in rows("SELECT message, key, ok, value, error ->> 'code' FROM apibase_internal.idempotency")},
        rows('SELECT count(*) FROM apibase.event_failures')[0][0])


def expected(state):
    stored = {key: (result.ok, result.value, result.code) for key, (_, result) in state.stored.items()}
    return state.rows, state.events, state.failures, stored, len(state.failures)


def clean(connection):
    with connection.cursor() as cursor:
        cursor.execute('DELETE FROM ' + '; DELETE FROM '.join(TABLES.split(', ')))


def dispatch_sql(action, function='SELECT * FROM apibase.command'):
    payload = '%s::jsonb' % v.quote_literal(json.dumps({'node': action['node']}))
    options = v.quote_literal(json.dumps(action['options']))
    if function.startswith('CALL'):
        return '%s(%s, %s, NULL, %s)' % (function, v.quote_literal(action['name']), payload, options)
    return '%s(%s, %s, %s)' % (function, v.quote_literal(action['name']), payload, options)


def compare(row, result):
    ok, value, error, replayed = row
    assert (ok, value, error and (error['code'], error['status']), replayed) == (
        result.ok, result.value, None if result.ok else (result.code, STATUS[result.code]), result.replayed)


STEPS = st.lists(st.one_of(
    COMMAND.map(lambda action: ('dispatch', action)), COMMAND.map(lambda action: ('dispatch', action)),
    # one of those before, once more
    st.integers(0, 3).map(lambda back: ('again', back)),
    st.sampled_from(['savepoint', 'rollback to', 'release']).map(lambda step: (step, None))), min_size=1, max_size=6)


def run_steps(db, judge, steps):
    """Steps of one transaction."""
    done, savepoints = [], []
    for step, what in steps:
        if step == 'again' and done:
            step, what = 'dispatch', done[-1 - what % len(done)]
        if step == 'dispatch':
            done.append(what)
            compare(db.run(dispatch_sql(what))[0], judge.command(what))
        elif step == 'savepoint':
            db.run('SAVEPOINT b22_%d' % len(savepoints))
            savepoints.append(judge.state.content())
        elif step in ('rollback to', 'release') and savepoints:
            saved = savepoints.pop()
            if step == 'rollback to':
                db.run('ROLLBACK TO b22_%d' % len(savepoints))
                judge.state.put_back(saved)
            db.run('RELEASE b22_%d' % len(savepoints))


@law()
@given(st.lists(st.tuples(STEPS, st.sampled_from(['commit', 'commit', 'rollback', 'error'])), min_size=1, max_size=3))
def test_law_b22_unit_of_work(work_db, transactions):
    """Transactions of dispatches, some of them repeated, with savepoints; each is committed, rolled back, or ended by an error."""
    db, other = work_db
    db.connection.rollback()
    clean(other)
    judge = Judge()
    for steps, end in transactions:
        before = judge.state.content()
        run_steps(db, judge, steps)
        if end == 'commit':
            db.connection.commit()
        else:
            if end == 'error':
                with pytest.raises(psycopg2.Error):
                    db.run('SELECT 1 / 0')
            db.connection.rollback()
            judge.state.put_back(before)
        assert found(other) == expected(judge.state)


@law()
@given(st.lists(COMMAND, min_size=1, max_size=3))
def test_law_b22_procedure(work_db, commands):
    """Each call of the procedure is a transaction, tried again as often as is set where it fails with 40001; the last attempt is committed."""
    db, other = work_db
    db.connection.rollback()
    clean(other)
    judge = Judge()
    db.connection.autocommit = True
    try:
        db.run('SET apibase.dispatch_max_attempts = 2')
        for action in commands:
            row = db.run(dispatch_sql(action, 'CALL apibase.dispatch_command'))[0]
            result = judge.command(action)
            compare(db.run('SELECT (%s::apibase.result).*' % v.quote_literal(row[0]))[0], result)
            assert found(other) == expected(judge.state)
    finally:
        db.run('RESET apibase.dispatch_max_attempts')
        db.connection.autocommit = False
