"""
test_law_b12_aggregate_events.py: an aggregate's events accumulate; clearing returns them all and leaves none.  A transaction records, reads, clears
and emits events of several aggregates, in savepoints that are rolled back or released; each step is compared with a model, and in the end the outbox
has what was emitted and not rolled back, in that order.
"""
import copy
import json

import pytest
from hypothesis import given, strategies as st

import kinds
import values as v
from laws import law

# what an aggregate is told by: similar ones must not be taken for each other
AGGREGATES = [('order', '1'), ('order', '2'), ('order', '12'), ('order1', '2'), ('', ''), ("o'rder\u00e9", '1 ')]

TYPES_SQL = """
CREATE TYPE prop.happened AS (what text, number int);
CREATE TYPE prop."Happened too" AS (what text, numbers int[]);
"""
PAYLOADS = st.one_of(
    st.tuples(st.just('prop.happened'), st.fixed_dictionaries({'what': st.none() | kinds.texts, 'number': st.none() | st.integers(-5, 5)})),
    st.tuples(st.just('prop."Happened too"'), st.fixed_dictionaries({'what': st.none() | kinds.texts, 'numbers': st.none() | st.lists(st.integers(-5, 5), max_size=3)})))

AGGREGATE = st.sampled_from(AGGREGATES)
STEPS = st.one_of(
    st.tuples(st.just('record'), AGGREGATE, PAYLOADS),
    st.tuples(st.just('record'), AGGREGATE, PAYLOADS),
    st.tuples(st.sampled_from(['read', 'clear', 'emit']), AGGREGATE, st.none()),
    st.tuples(st.sampled_from(['savepoint', 'rollback', 'release']), st.none(), st.none()))


@pytest.fixture(scope='module')
def recorded(db):
    db.run(TYPES_SQL)
    db.connection.commit()
    return db


def event_sql(payload):
    """The event as an expression of SQL."""
    name, fields = payload
    return 'jsonb_populate_record(NULL::%s, %s::jsonb)' % (name, v.quote_literal(json.dumps(fields)))


def arguments(aggregate):
    return '%s, %s' % tuple(v.quote_literal(part) for part in aggregate)


def documents(events):
    return [{'type': name, 'data': fields} for name, fields in events]


class Model:
    """What is recorded for each aggregate, and what was emitted; savepoints are copies of it."""

    def __init__(self):
        self.events = {aggregate: [] for aggregate in AGGREGATES}
        self.emitted = []
        self.savepoints = []

    def state(self):
        return copy.deepcopy((self.events, self.emitted))


def take_step(db, model, step, aggregate, payload):
    if step == 'record':
        db.run('SELECT apibase.record_event(%s, %s)' % (arguments(aggregate), event_sql(payload)))
        model.events[aggregate].append(payload)
    elif step == 'savepoint':
        db.run('SAVEPOINT s%d' % len(model.savepoints))
        model.savepoints.append(model.state())
    elif step in ('rollback', 'release'):
        if not model.savepoints:
            return
        saved = model.savepoints.pop()
        name = 's%d' % len(model.savepoints)
        if step == 'rollback':
            db.run('ROLLBACK TO %s' % name)
            model.events, model.emitted = saved
        db.run('RELEASE %s' % name)
    else:
        function = {'read': 'recorded_events', 'clear': 'clear_recorded', 'emit': 'emit_recorded'}[step]
        got = [row[0] for row in db.run('SELECT apibase.%s(%s)' % (function, arguments(aggregate)))]
        if step == 'emit':
            assert len(got) == len(set(got)) == len(model.events[aggregate])
            model.emitted += [(aggregate, payload) for payload in model.events[aggregate]]
        else:
            assert got == documents(model.events[aggregate])
        if step != 'read':
            model.events[aggregate] = []
            assert db.run('SELECT * FROM apibase.recorded_events(%s)' % arguments(aggregate)) == []


@law(0.5)
@given(steps=st.lists(STEPS, min_size=1, max_size=30))
def test_law_b12_aggregate_events(recorded, steps):
    with recorded.example() as db:
        model = Model()
        for step, aggregate, payload in steps:
            take_step(db, model, step, aggregate, payload)
        for aggregate in AGGREGATES:
            got = [row[0] for row in db.run('SELECT apibase.clear_recorded(%s)' % arguments(aggregate))]
            assert got == documents(model.events[aggregate])
        rows = db.run('SELECT aggregatetype, aggregateid, type, payload FROM apibase.outbox ORDER BY id')
        assert [((kind, number), (name, payload)) for kind, number, name, payload in rows] == model.emitted
        assert db.run(' UNION ALL '.join('SELECT apibase.recorded_events(%s)' % arguments(aggregate) for aggregate in AGGREGATES)) == []
