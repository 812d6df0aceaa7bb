"""
test_law_b22_idempotency.py: the effects of a command with an idempotency key are there once, if and only if its result is stored (B22).

Sequences of calls, by several callers, with keys given as options or in the header, with equal and other payloads, which succeed, are refused,
or fail in a passing way; in transactions and savepoints that are rolled back or not; time passes, expired results are deleted. A model
says which calls run, which are answered from the table and how, and what is stored.
"""
import copy
import json

import psycopg2
import pytest
from hypothesis import given, strategies as st

import database
import values as v
from laws import law

MODES = ('optional', 'required', 'off')
SUBJECTS = (None, 'ann', 'ben "x"')
# what the handler does: SQLSTATE and status of the result, and whether that is stored
OUTCOMES = {'ok': None, 'null': None, 'err': ('PT409', 409, True), 'raises': ('PT404', 404, True), 'breaks': ('XX000', 500, False),
            'unavailable': ('PT503', 503, False), 'again': ('40001', 503, False), 'itself': ('PB056', 409, False)}
TTL = 60        # minutes

SETUP = """
CREATE SEQUENCE prop.idem_number;
CREATE TABLE prop.idem_ran (n bigint GENERATED ALWAYS AS IDENTITY, message text, outcome text);
CREATE FUNCTION prop.idem_handle(message text, outcome text, x int) RETURNS apibase.result LANGUAGE plpgsql AS $$
DECLARE
    key text := (apibase.current_dispatch()).idempotency_key;
BEGIN
    INSERT INTO prop.idem_ran (message, outcome) VALUES (message, outcome);
    CASE outcome
    WHEN 'null' THEN RETURN apibase.ok();
    WHEN 'err' THEN RETURN apibase.err(apibase.problem(409, 'number ' || nextval('prop.idem_number')));
    WHEN 'raises' THEN PERFORM apibase.raise_not_found('number', nextval('prop.idem_number'));
    WHEN 'breaks' THEN RAISE internal_error;
    WHEN 'unavailable' THEN PERFORM apibase.raise_unavailable();
    WHEN 'again' THEN RAISE serialization_failure;
    WHEN 'itself' THEN
        IF key IS NOT NULL THEN
            PERFORM apibase.unwrap(apibase.command(message, jsonb_build_object('outcome', outcome, 'x', x),
                jsonb_build_object('idempotency_key', key)));
        END IF;
    ELSE NULL;
    END CASE;
    RETURN apibase.ok(nextval('prop.idem_number'));
END $$;
"""


@pytest.fixture(scope='module')
def keys_db(db):
    db.run(SETUP)
    for mode in MODES:
        name = 'prop.idem_' + mode
        db.run('CREATE TYPE %s AS (outcome text, x int)' % name)
        db.run("CREATE FUNCTION prop.idem_handle_%s(c %s) RETURNS apibase.result LANGUAGE sql RETURN prop.idem_handle('%s', c.outcome, c.x)" % (mode, name, name))
        db.run("SELECT apibase.register_command('%s', 'prop.idem_handle_%s(%s)', '%s', '%d minutes')" % (name, mode, name, mode, TTL))
    db.connection.commit()
    other = psycopg2.connect(dbname=database.NAME)
    other.autocommit = True
    yield db, other
    db.connection.rollback()
    execute(other, 'DELETE FROM apibase_internal.idempotency')
    other.close()


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


CALL = st.fixed_dictionaries({
    'mode': st.sampled_from(MODES + ('optional',)), 'key': st.sampled_from([None, 'k', 'k', 'K', 'a"b\\']), 'in_header': st.booleans(),
    'subject': st.sampled_from(SUBJECTS + (None,)), 'outcome': st.sampled_from(sorted(OUTCOMES) + ['ok', 'ok']), 'x': st.integers(0, 1),
    'typed': st.booleans()})
STEPS = st.one_of(
    st.tuples(st.just('call'), CALL), st.tuples(st.just('call'), CALL),
    # a call that was made, once more; perhaps with another payload, or in another form
    st.tuples(st.just('again'), st.tuples(st.integers(0, 4), st.fixed_dictionaries({}, optional={'in_header': st.booleans(), 'typed': st.booleans(), 'x': st.integers(0, 1)}))),
    st.tuples(st.just('again'), st.tuples(st.integers(0, 4), st.just({}))),
    st.tuples(st.just('pass'), st.sampled_from([25, 40, 60])),
    st.tuples(st.just('prune'), st.sampled_from([0, 1, 1000])),
    st.tuples(st.sampled_from(['savepoint', 'rollback to', 'release', 'commit', 'rollback']), st.none()))


class Stored:
    """A row of the table; result None: the command is still running."""

    def __init__(self, payload, number, expires):
        self.payload, self.number, self.expires, self.result = payload, number, expires, None


class Model:
    def __init__(self):
        self.stored, self.ran = {}, []
        self.minutes = self.number = 0

    def content(self):
        return copy.deepcopy((self.stored, self.ran))

    def put_back(self, content):
        self.stored, self.ran = copy.deepcopy(content)

    def prune(self, rows):
        """Delete expired results, the oldest first; how many."""
        expired = sorted((key for key, row in self.stored.items() if row.expires <= self.minutes), key=lambda key: (self.stored[key].expires, self.stored[key].number))
        for key in expired[:rows]:
            del self.stored[key]
        return len(expired[:rows])

    def run(self, call, has_key):
        """What its handler gives: (code, status, whether it is stored), or None if it is ok."""
        failure = OUTCOMES[call['outcome']] if has_key or call['outcome'] != 'itself' else None
        if failure is None:
            self.ran.append(('prop.idem_' + call['mode'], call['outcome']))
        return failure

    def expect(self, call):
        """('ran', failure or None, row to store the result in or None), ('refused', (code, status), None), or ('replayed', result, None)."""
        has_key = call['key'] is not None and call['mode'] != 'off'
        if not has_key:
            if call['mode'] == 'required':
                return 'refused', ('PB053', 400), None
            return 'ran', self.run(call, False), None
        key = (call['subject'], 'prop.idem_' + call['mode'], call['key'])
        payload = (call['outcome'], call['x'])
        row = self.stored.get(key)
        if row is not None and row.expires > self.minutes:
            if row.payload != payload:
                return 'refused', ('PB052', 422), None
            return 'replayed', row.result, None
        self.number += 1
        row = self.stored[key] = Stored(payload, self.number, self.minutes + TTL)
        self.prune(2)
        failure = self.run(call, True)
        if failure is not None and not failure[2]:
            del self.stored[key]
            row = None
        return 'ran', failure, row


def call_sql(call):
    options = {} if call['key'] is None or call['in_header'] else {'idempotency_key': call['key']}
    options = v.quote_literal(json.dumps(options))
    name = 'prop.idem_' + call['mode']
    if call['typed']:
        return "SELECT ok, value, error, replayed FROM apibase.command(ROW('%s', %d)::%s, %s)" % (call['outcome'], call['x'], name, options)
    payload = json.dumps({'x': call['x'], 'outcome': call['outcome']})
    return "SELECT ok, value, error, replayed FROM apibase.command('%s', %s, %s)" % (name, v.quote_literal(payload), options)


def settings_sql(call):
    """The request: claims, and the key in its header, as a string of RFC 8941."""
    headers = {}
    if call['key'] is not None and call['in_header']:
        headers['idempotency-key'] = '"%s"' % call['key'].replace('\\', '\\\\').replace('"', '\\"')
    claims = json.dumps({'sub': call['subject']}) if call['subject'] is not None else ''
    return 'SET LOCAL request.headers = %s; SET LOCAL request.jwt.claims = %s' % (v.quote_literal(json.dumps(headers)), v.quote_literal(claims))


def check_call(db, model, call):
    db.run(settings_sql(call))
    ok, value, error, replayed = db.run(call_sql(call))[0]
    how, what, row = model.expect(call)
    if how == 'replayed':
        assert (ok, value, error, replayed) == what + (True,), (call, what)
        return
    assert not replayed, call
    failure = what if how == 'refused' else what and what[:2]
    if failure is not None:
        assert not ok and (error['code'], error['status']) == failure, (call, error, failure)
    else:
        assert ok and error is None and (value is None) == (call['outcome'] == 'null'), (call, value, error)
    if row is not None:
        row.result = (ok, value, error)


def subject_text(subject):
    """Who calls, in the table."""
    return ' ' + json.dumps(subject) if subject is not None else ''


def check_tables(connection, model):
    """What there is, is what the model has."""
    assert execute(connection, 'SELECT message, outcome FROM prop.idem_ran ORDER BY n') == model.ran
    rows = execute(connection, "SELECT regexp_replace(caller, '^' || current_user, ''), message, key, ok, value, error FROM apibase_internal.idempotency")
    assert {row[:3]: row[3:] for row in rows} == {(subject_text(key[0]),) + key[1:]: row.result for key, row in model.stored.items()}


@law()
@given(st.lists(STEPS, min_size=2, max_size=20))
def test_law_b22_idempotency(keys_db, steps):
    """Every call's answer, and after each transaction what another session finds."""
    db, other = keys_db
    db.connection.rollback()
    execute(other, 'DELETE FROM prop.idem_ran')
    execute(other, 'DELETE FROM apibase_internal.idempotency')
    model, calls, savepoints = Model(), [], []
    committed = model.content()
    try:
        for step, what in steps + [('commit', None)]:
            if step == 'again' and calls:
                step, what = 'call', dict(calls[-1 - what[0] % len(calls)], **what[1])
            if step == 'call':
                calls.append(what)
                check_call(db, model, what)
            elif step == 'pass':
                model.minutes += what
                db.run("SELECT apibase_internal.clock_set('%d minutes')" % model.minutes)
            elif step == 'prune':
                assert db.value('SELECT apibase.idempotency_prune(%d)' % what) == model.prune(what)
            elif step == 'savepoint':
                db.run('SAVEPOINT idem_%d' % len(savepoints))
                savepoints.append(model.content())
            elif step in ('rollback to', 'release') and savepoints:
                saved = savepoints.pop()
                if step == 'rollback to':
                    db.run('ROLLBACK TO idem_%d' % len(savepoints))
                    model.put_back(saved)
                db.run('RELEASE idem_%d' % len(savepoints))
            elif step in ('commit', 'rollback'):
                if step == 'commit':
                    db.connection.commit()
                    committed = model.content()
                else:
                    db.connection.rollback()
                    model.put_back(committed)
                savepoints = []
                check_tables(other, model)
    finally:
        db.connection.rollback()
        db.run("SELECT apibase_internal.clock_set('0')")
        db.connection.rollback()
