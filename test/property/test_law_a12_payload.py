"""
test_law_a12_payload.py: a handler is invoked with what the payload says, or not at all; and what is wrong with a payload is told
at once, all of it, with a pointer to each fault (A12).

Types are generated, composite ones within composite ones, arrays, domains, and payloads for them. In some, faults are planted: then the
pointers and codes in the problem are those of the faults, exactly, and nothing has run. Otherwise the handler gets the value.
"""
import json

import pytest
from hypothesis import given, strategies as st

import values as v
from laws import law

# some need escapes in pointers; none is close to another
NAMES = ('n', 'price/total', 'til~de', 'Big Name', '\u00e9t\u00e9', '~1', 'select', '0', 'q"uote')
STRANGERS = ('stranger', 'un/known', '', '~', '-1')

SETUP = """
CREATE TYPE prop.payload_mood AS ENUM ('glad', 'so so');
CREATE DOMAIN prop.payload_count AS int NOT NULL CONSTRAINT is_positive CHECK (VALUE > 0);
CREATE DOMAIN prop.payload_code AS text CONSTRAINT is_code CHECK (VALUE ~ '^[A-Z]+$');
CREATE DOMAIN prop.payload_short AS prop.payload_code CONSTRAINT is_short CHECK (length(VALUE) < 4);
CREATE DOMAIN prop.payload_three AS int[] CONSTRAINT has_three CHECK (cardinality(VALUE) <= 3);
CREATE TABLE prop.payload_ran (result jsonb);
"""


class Scalar:
    """values: pairs of what is sent and what comes of it; faults: what is sent, the code of the fault, and where it is within the value if not all of it is wrong."""

    def __init__(self, type_, values, faults, required=False):
        self.type, self.values, self.required = type_, st.sampled_from(values), required
        self.faults = st.sampled_from(faults) if faults else None
        # in an array, an array would be a dimension
        self.faults_of_element = self.faults if self.faults is None else self.faults.filter(lambda fault: not isinstance(fault[0], list))

    def create(self, prefix):
        return []

    def draw(self, draw, pointer, plant, is_element=False):
        """(sent, received, faults)"""
        if plant and self.faults is not None and draw(st.booleans()):
            sent, code, *within = draw(self.faults_of_element if is_element else self.faults)
            return sent, None, [(pointer + ''.join(within), code)]
        return draw(self.values) + ([],)


def same(*values):
    return [(value, value) for value in values]


KIND = '42804'      # another kind of JSON value is wanted
SCALARS = (
    Scalar('text', same('', 'a "quoted" text', '\u00e9\u4e00', 'null'), [(1, KIND), (True, KIND), ({}, KIND), ([], KIND)]),
    Scalar('varchar(5)', same('', 'abcde', '\u00e9\u00e9\u00e9\u00e9\u00e9') + [('abcde   ', 'abcde')], [('abcdef', '22001'), (7, KIND)]),
    Scalar('char(3)', [('a', 'a  '), ('abc', 'abc')], [('abcd', '22001'), (False, KIND)]),
    Scalar('int2', same(0, -32768, 32767) + [('12', 12)], [(32768, '22003'), ('x', '22P02'), (1.5, '22P02'), (True, KIND)]),
    Scalar('int4', same(0, 2147483647) + [(' 7 ', 7), ('-1', -1)], [(2147483648, '22003'), ('', '22P02'), ({}, KIND), ([1], KIND)]),
    Scalar('int8', same(2 ** 63 - 1, -2 ** 63), [(2 ** 63, '22003'), ('1 2', '22P02'), (False, KIND)]),
    Scalar('numeric(5,2)', [(1, 1.00), ('12.345', 12.35), (-999.99, -999.99)], [(1000, '22003'), ('abc', '22P02'), (True, KIND)]),
    Scalar('float8', same(0.5, -1024.25), [('1e999', '22003'), ('x', '22P02'), ({}, KIND)]),
    Scalar('boolean', same(True, False), [('true', KIND), (1, KIND), ([], KIND)]),
    Scalar('date', same('2024-02-29', 'infinity'), [('2023-02-29', '22008'), ('some day', '22007'), (True, KIND), ({}, KIND)]),
    Scalar('timestamptz', [('2024-02-29T12:00:00Z', '2024-02-29T17:45:00+05:45')], [('noon', '22007'), ('2024-13-01 00:00', '22008'), (False, KIND)]),
    Scalar('interval', [('PT1H', '01:00:00'), (90, '00:01:30')], [('x', '22007'), ([], KIND)]),
    Scalar('uuid', same('00000000-0000-7000-8000-00000000000a') + [('{00000000-0000-7000-8000-00000000000B}', '00000000-0000-7000-8000-00000000000b')],
           [('0', '22P02'), (True, KIND)]),
    Scalar('int4range', [('[1,3]', '[1,4)')], [('[3,1]', '22000'), ('x', '22P02'), ({}, KIND)]),
    Scalar('jsonb', same({'a': [None, {'b': 1}]}, [], 'x', 0, True), []),     # anything is right
    Scalar('prop.payload_mood', same('glad', 'so so'), [('sad', '22P02'), (True, KIND)]),
    Scalar('prop.payload_count', same(1, 99), [(0, '23514'), (None, '23502'), ('x', '22P02'), ({}, KIND), (2 ** 31, '22003')], required=True),
    Scalar('prop.payload_code', same('ABC', None), [('abc', '23514'), ('', '23514'), (1, KIND)]),
    Scalar('prop.payload_short', same('ABC', None), [('abc', '23514'), ('ABCD', '23514'), ([], KIND)]),
    Scalar('prop.payload_three', same([], [1, 2, 3], None), [([1, 2, 3, 4], '23514'), ('x', KIND), ([1, 'x'], '22P02', '/1')]),
    Scalar('int4[]', same([], [[1, 2], [None, 4]], [[[1]], [[2]]]), [([[1, 2], [3]], '2202E', '/1'), ([[1, 2], 3], KIND, '/1'), ([[1, 2], [3, 'x']], '22P02', '/1/1'),
                                                                     ([[[[[[[1]]]]]]], '54000')]),
)


class Array:
    required = False

    def __init__(self, element):
        self.element = element

    @property
    def type(self):
        return self.element.type + '[]'

    def create(self, prefix):
        return self.element.create(prefix)

    def draw(self, draw, pointer, plant, is_element=False):
        if plant and draw(st.integers(0, 4)) == 0:
            return draw(st.sampled_from([1, 'x', {}, True])), None, [(pointer, KIND)]
        sent, received, faults = [], [], []
        for index in range(draw(st.integers(0, 3))):
            # null is a value of an element, unless its type says otherwise
            if not self.element.required and draw(st.integers(0, 5)) == 0:
                found = (None, None, [])
            else:
                found = self.element.draw(draw, '%s/%d' % (pointer, index), plant, True)
            sent.append(found[0])
            received.append(found[1])
            faults += found[2]
        return sent, received, faults


class Composite:
    required = False

    def __init__(self, fields):
        self.fields, self.type = fields, None

    def create(self, prefix):
        """The statements that create it, and what it is made of."""
        made = []
        for number, (_, field) in enumerate(self.fields):
            made += field.create('%s_%d' % (prefix, number))
        self.type = 'prop.' + prefix
        return made + ['CREATE TYPE %s AS (%s)' % (self.type, ', '.join('%s %s' % (v.quote_ident(name), field.type) for name, field in self.fields))]

    def draw(self, draw, pointer, plant, is_element=False):
        if plant and draw(st.integers(0, 9)) == 0:
            return draw(st.sampled_from([1, 'x', True] + ([] if is_element else [[], [{}]]))), None, [(pointer, KIND)]
        sent, received, faults = {}, {}, []
        for name, field in self.fields:
            here = pointer + '/' + escaped(name)
            missing = draw(st.integers(0, 5)) == 0
            if missing and field.required and not plant:
                missing = False
            if missing:
                received[name] = None
                if draw(st.booleans()):
                    sent[name] = None
                if field.required:
                    faults.append((here, '23502'))
                continue
            sent[name], received[name], found = field.draw(draw, here, plant)
            faults += found
        for name in draw(st.lists(st.sampled_from(STRANGERS), max_size=2, unique=True)) if plant else ():
            sent[name] = draw(st.sampled_from([None, 1, {'n': 1}]))
            faults.append((pointer + '/' + escaped(name), '42703'))
        return sent, received, faults


def escaped(name):
    return name.replace('~', '~0').replace('/', '~1')


SCALAR = st.sampled_from(SCALARS)


def composites(field):
    return st.lists(st.sampled_from(NAMES), max_size=5, unique=True).flatmap(
        lambda names: st.tuples(*[field] * len(names)).map(lambda fields: Composite(list(zip(names, fields)))))


ELEMENT = SCALAR.filter(lambda scalar: scalar.type not in ('prop.payload_three', 'int4[]'))
FIELD = st.recursive(st.one_of(SCALAR, ELEMENT.map(Array)), lambda inner: st.one_of(composites(inner), composites(inner).map(Array)), max_leaves=8)
MESSAGE = composites(FIELD)


@pytest.fixture(scope='module')
def payload_db(db):
    db.run(SETUP)
    db.connection.commit()
    return db


def make(db, message):
    """The type of the message, and a handler that notes what it gets."""
    for statement in message.create('payload'):
        db.run(statement)
    db.run("""CREATE FUNCTION prop.payload_handle(m prop.payload) RETURNS jsonb LANGUAGE sql AS
        $$ INSERT INTO prop.payload_ran VALUES (to_jsonb(m)); SELECT to_jsonb(m) $$""")
    db.run("SELECT apibase.register_command('prop.payload', 'prop.payload_handle(prop.payload)')")


def dispatch(db, sent):
    return db.run("SELECT ok, value, error FROM apibase.command('prop.payload', %s)" % v.quote_literal(json.dumps(sent)))[0]


@law()
@given(st.data())
def test_law_a12_payload_faults(payload_db, data):
    """The problem has the planted faults, and no other; nothing has run. Without faults the handler has got the value."""
    message = data.draw(MESSAGE)
    with payload_db.example() as db:
        make(db, message)
        sent, received, faults = message.draw(data.draw, '', True)
        ok, value, error = dispatch(db, sent)
        ran = [row[0] for row in db.run('SELECT result FROM prop.payload_ran')]
        if faults:
            assert not ok and error['status'] == 422 and ran == [], (sent, error)
            told = [(item['pointer'], item['code']) for item in error['errors']]
            assert sorted(told) == sorted(faults), (sent, told)
        else:
            assert ok and ran == [received] == [value], (sent, value, error)


@law()
@given(st.data())
def test_law_a12_payload_round_trip(payload_db, data):
    """A payload without faults arrives as it should; and what the value is as JSON is a payload for the same value."""
    message = data.draw(MESSAGE)
    with payload_db.example() as db:
        make(db, message)
        sent, received, _ = message.draw(data.draw, '', False)
        ok, value, error = dispatch(db, sent)
        assert ok and value == received, (sent, value, error)
        assert dispatch(db, value) == (True, value, None), value
        assert db.run('SELECT count(*), count(DISTINCT result) FROM prop.payload_ran') == [(2, 1)]


@law(0.1)
@given(st.integers(90, 130), st.booleans())
def test_law_a12_payload_many_faults(payload_db, count, plain):
    """A hundred faults are told, and that there are more."""
    with payload_db.example() as db:
        make(db, Composite([('n', Array(SCALARS[4]))]))
        ok, _, error = dispatch(db, {'n': ['x' if not plain else True] * count})
        told = [item['pointer'] for item in error['errors']]
        assert not ok and told == ['/n/%d' % index for index in range(min(count, 100))] + [''] * (count > 100)
