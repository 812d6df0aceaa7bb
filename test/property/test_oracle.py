"""
test_oracle.py: the judge is judged first.

The oracle is held against truths written by hand, the strategies against what they are meant to produce, and both against plain SQL
in a database without the extension.
"""
import re
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

import kinds
import laws
import native
import oracle
import strategies
import tree
import values as v
from laws import law
from tree import And, Bool, Clause, Not, Operand, Or

INT, TEXT, REAL = kinds.INT4, kinds.TEXT_C, next(kind for kind in kinds.KINDS if kind.name == 'real')
INTS = next(kind for kind in kinds.KINDS if kind.name == 'int_array')
RANGE = next(kind for kind in kinds.KINDS if kind.name == 'int4range')
CHAR = next(kind for kind in kinds.KINDS if kind.name == 'char')


def leaf(op, *keys, negated=False, path=('a',)):
    return Clause(path, op, negated, tuple(Operand(v.NULL_LIT if key is None else v.string(str(key)), key) for key in keys), 0)


def json_leaf(op, *lits, negated=False, path=('a',)):
    return Clause(path, op, negated, tuple(Operand(lit, None) for lit in lits), 0)


# kind, key of the field, clause, whether it is satisfied
TRUTHS = [
    (INT, 1, leaf('eq', 1), True), (INT, 1, leaf('eq', 2), False), (INT, None, leaf('eq', 1), False),
    (INT, None, leaf('eq', None), True), (INT, 1, leaf('eq', None), False), (INT, None, leaf('eq', 1, negated=True), True),
    (INT, 1, leaf('eq', None, negated=True), True), (INT, None, leaf('eq', None, negated=True), False),
    (INT, 1, leaf('lt', 2), True), (INT, 2, leaf('lt', 2), False), (INT, None, leaf('lt', 2), False),
    (INT, 2, leaf('le', 2), True), (INT, 2, leaf('gt', 2), False), (INT, 2, leaf('ge', 2), True), (INT, None, leaf('ge', 2), False),
    (INT, 10, leaf('ge', Decimal('10.5')), False), (INT, 11, leaf('ge', Decimal('10.5')), True), (INT, 10, leaf('eq', Decimal('10.5')), False),
    (INT, 1, leaf('in'), False), (INT, None, leaf('in'), False), (INT, 2, leaf('in', 1, 2), True), (INT, None, leaf('in', 1, None), True),
    (INT, 3, leaf('in', 1, None), False), (INT, None, leaf('in', 1, negated=True), True), (INT, 3, leaf('in', negated=True), True),
    (INT, 3, leaf('between', 1, 3), True), (INT, 4, leaf('between', 1, 3), False), (INT, 2, leaf('between', 3, 1), False),
    (INT, None, leaf('between', 1, 3, negated=True), True), (INT, None, leaf('is_null'), True), (INT, 0, leaf('is_null'), False),
    (INT, 0, leaf('is_null', negated=True), True),
    (TEXT, 'abc', leaf('like', 'a%'), True), (TEXT, 'abc', leaf('like', 'a_'), False), (TEXT, 'abc', leaf('like', '%b%'), True),
    (TEXT, 'a%c', leaf('like', 'a\\%c'), True), (TEXT, 'abc', leaf('like', 'a\\%c'), False), (TEXT, '', leaf('like', ''), True),
    (TEXT, '', leaf('like', '%'), True), (TEXT, '', leaf('like', '_'), False), (TEXT, '\\', leaf('like', '\\\\'), True),
    (TEXT, 'a\nb', leaf('like', 'a_b'), True), (TEXT, 'ABC', leaf('ilike', 'a%C'), True), (TEXT, 'É', leaf('ilike', 'é'), False),
    (TEXT, 'abab', leaf('like', '%ab'), True), (TEXT, 'aab', leaf('like', '%ab'), True), (TEXT, None, leaf('like', '%'), False),
    (TEXT, None, leaf('like', '%', negated=True), True), (TEXT, '😀', leaf('like', '_'), True),
    (TEXT, 'abc', leaf('starts_with', 'ab'), True), (TEXT, 'abc', leaf('starts_with', ''), True), (TEXT, 'a', leaf('starts_with', 'ab'), False),
    (TEXT, 'a%', leaf('starts_with', 'a%'), True), (TEXT, 'ab', leaf('starts_with', 'a%'), False),
    (TEXT, 'xab', leaf('match', 'a'), True), (TEXT, 'xab', leaf('match', '^a'), False), (TEXT, 'XAB', leaf('imatch', 'ab'), True),
    (TEXT, 'É', leaf('imatch', 'é'), False), (TEXT, 'a\n', leaf('match', r'a\Z'), False), (TEXT, 'a\nb', leaf('match', 'a.b'), True),
    (TEXT, 'B', leaf('lt', 'a'), True), (TEXT, 'é', leaf('gt', 'z'), True), (TEXT, '\U0010ffff', leaf('gt', '\ue000'), True),
    (CHAR, 'ab', leaf('like', 'ab'), False), (CHAR, 'ab', leaf('like', 'ab  '), True), (CHAR, 'ab', leaf('starts_with', 'ab '), False),
    (REAL, v.NAN, leaf('eq', v.NAN), True), (REAL, v.NAN, leaf('gt', v.INFINITY), True), (REAL, v.INFINITY, leaf('lt', v.NAN), True),
    (REAL, v.float_key('0.1', 4), leaf('eq', v.float_key('0.1', 4)), True), (REAL, v.float_key('0.1', 4), leaf('eq', v.float_key('0.1', 8)), False),
    (REAL, v.float_key('-0', 4), leaf('eq', v.float_key('0', 4)), True),
    (INTS, (1, 2), leaf('contains', (2,)), True), (INTS, (1, 2), leaf('contains', ()), True), (INTS, (1, None), leaf('contains', (None,)), False),
    (INTS, (1,), leaf('contained_by', (1, 2)), True), (INTS, (), leaf('overlaps', ()), False), (INTS, (1, 2), leaf('overlaps', (2, 3)), True),
    (INTS, (1, None), leaf('gt', (1, 2)), True), (INTS, (1,), leaf('lt', (1, 0)), True), (INTS, (), leaf('lt', (0,)), True),
    (INTS, (1, None), leaf('eq', (1, None)), True), (INTS, None, leaf('contains', ()), False),
    (RANGE, (1, 5), leaf('contains', (2, 3)), True), (RANGE, (1, 5), leaf('contains', 'empty'), True), (RANGE, (1, 5), leaf('overlaps', (5, 6)), False),
    (RANGE, (None, 5), leaf('lt', (1, 2)), True), (RANGE, 'empty', leaf('lt', (None, 5)), True), (RANGE, (1, None), leaf('gt', (1, 5)), True),
]


@pytest.mark.parametrize('number', range(len(TRUTHS)))
def test_oracle_on_truths(number):
    kind, key, clause, expected = TRUTHS[number]
    row = {'a': (kind, key)}
    assert oracle.satisfied(clause, row) is expected
    assert oracle.satisfied(Not(clause, 0), row) is not expected


DOCUMENT = v.json_key({'n': 1, 's': 'abc', 't': True, 'z': None, 'tags': ['x', 1, None], 'o': {'k': {'0': 'deep'}}, 'when': '2026-01-31'})
JSON_TRUTHS = [
    (json_leaf('eq', v.num('1.0'), path=('n',)), True), (json_leaf('eq', v.string('1'), path=('n',)), False), (json_leaf('eq', v.NULL_LIT, path=('z',)), True),
    (json_leaf('is_null', path=('missing',)), True), (json_leaf('is_null', path=('z',)), True), (json_leaf('is_null', path=('o', 'k', 'x', 'y')), True),
    (json_leaf('is_null', path=('n', 'x')), True), (json_leaf('eq', v.string('deep'), path=('o', 'k', '0')), True),
    (json_leaf('eq', v.string('x'), path=('tags', 0)), True), (json_leaf('is_null', path=('tags', -1)), True), (json_leaf('eq', v.num('1'), path=('tags', -2)), True),
    (json_leaf('is_null', path=('tags', '0')), True), (json_leaf('is_null', path=('tags', 7)), True), (json_leaf('is_null', path=('o', 0)), True),
    (json_leaf('eq', v.num('1'), path=('n', 0)), True), (json_leaf('eq', v.num('1'), path=('n', -1)), True), (json_leaf('is_null', path=('n', 1)), True),
    (json_leaf('lt', v.num('2'), path=('n',)), True), (json_leaf('lt', v.string('2'), path=('n',)), False), (json_leaf('gt', v.string('2'), path=('n',)), False),
    (json_leaf('ge', v.string('ab'), path=('s',)), True), (json_leaf('gt', v.FALSE, path=('t',)), True), (json_leaf('eq', v.num('1'), path=('t',)), False),
    (json_leaf('in', v.num('3'), v.string('abc'), path=('s',)), True), (json_leaf('in', v.NULL_LIT, path=('missing',)), True),
    (json_leaf('between', v.num('0'), v.string('z'), path=('n',)), False), (json_leaf('between', v.num('0'), v.num('1'), path=('n',)), True),
    (json_leaf('contains', v.array([v.string('x')]), path=('tags',)), True), (json_leaf('contains', v.array([]), path=('s',)), False),
    (json_leaf('contains', v.array([]), path=('o',)), False), (json_leaf('contained_by', v.array([v.num('1'), v.string('x'), v.NULL_LIT]), path=('tags',)), True),
    (json_leaf('lt', v.num('1'), path=('missing',)), False),
]


@pytest.mark.parametrize('number', range(len(JSON_TRUTHS)))
def test_oracle_on_json_truths(number):
    clause, expected = JSON_TRUTHS[number]
    row = {'doc': (kinds.JSONB, DOCUMENT)}
    assert oracle.satisfied(clause._replace(path=('doc',) + clause.path), row) is expected
    assert oracle.satisfied_document(clause, DOCUMENT) is expected


def test_oracle_on_typed_json():
    for op, text, expected in [('eq', '2026-01-31', True), ('lt', '2026-02-01', True), ('gt', '2026-02-01', False)]:
        for name, answer in [('when', expected), ('n', False), ('missing', False)]:
            clause = Clause((name,), op, False, (Operand(v.typed('date', text), kinds.read_date(text)),), 0)
            assert oracle.satisfied_document(clause, DOCUMENT) is answer


def test_oracle_on_trees():
    yes, no, row = Bool(True), Bool(False), {}
    for node, expected in [(And((yes, no), 0), False), (And((yes, yes), 0), True), (Or((no, yes), 0), True), (Or((no, no), 0), False),
                           (Not(And((yes, no), 0), 0), True), (Not(Not(no, 0), 0), False)]:
        assert oracle.satisfied(node, row) is expected
    pair = {'c': (kinds.PAIR, (1, None, Decimal(2))), 'd': (kinds.PAIR, None)}
    assert oracle.satisfied(leaf('eq', 1, path=('c', 'x')), pair)
    assert oracle.satisfied(leaf('is_null', path=('c', 'y')), pair)
    assert oracle.satisfied(leaf('is_null', path=('d', 'x')), pair)
    assert not oracle.satisfied(leaf('is_null', path=('c',)), pair)


def test_values_on_truths():
    assert v.days_from_civil(1970, 1, 1) == 0 and v.days_from_civil(2000, 3, 1) == 11017 and v.days_from_civil(-4712, 1, 1) == -2440550
    assert v.date_text(0, 2, 3) == '0001-02-03 BC'
    assert v.timestamptz_val(2026, 1, 1, 0, 60).key == v.timestamp_val(2025, 12, 31, 23 * 3600 * 1000000).key
    assert v.float_key('16777217', 4) == 16777216 and v.float_key('0.1', 4) == Decimal('0.100000001490116119384765625')
    assert v.json_key({'b': 1, 'a': True}) == v.json_key({'a': True, 'b': Decimal('1.0')}) != v.json_key({'a': 1, 'b': 1})


def test_writers_on_truths():
    clause = Clause(('a', 'b c', 0), 'in', True, (Operand(v.num('1'), None), Operand(v.NULL_LIT, None)), 0)
    assert tree.spec_text(clause) == 'a."b c"[0] not in (1, null)'
    assert tree.spec_json(clause) == '{"field": "a.\\"b c\\"[0]", "op": "not_in", "value": [1, null]}'
    either = Or((leaf('eq', 1), And((leaf('lt', 2), Not(leaf('is_null'), 0)), 0)), 0)
    assert tree.spec_text(either) == "a = '1' or a < '2' and not a is null"
    assert tree.spec_text(And((either, leaf('is_null')), 0)) == "(a = '1' or a < '2' and not a is null) and a is null"


def test_strategies_reach_everything():
    """Every kind, operator and shape turns up, and neither answer dominates."""
    seen, answers = Counter(), Counter()

    @settings(max_examples=1000, database=None, deadline=None, derandomize=True, suppress_health_check=laws.UNCHECKED)
    @given(strategies.cases())
    def sample(case):
        table, spec = case
        seen.update([table.shape] + [column.kind.name for column in table.columns])
        seen.update(clause.op for clause, _ in tree.clauses(spec))
        answers.update(oracle.satisfied(spec, row) for row in table.keys())
    sample()
    wanted = {kind.name for kind in kinds.KINDS} | set(strategies.SHAPES) | set(tree.SYMBOLS) | {'in', 'between', 'is_null'}
    assert wanted <= set(seen), wanted - set(seen)
    assert min(answers.values()) * 5 > sum(answers.values())


def test_patterns_mean_the_same_in_python_and_sql(plain_db):
    """The regular expressions are drawn in pairs; a pair that differed would make the oracle lie."""
    @law(0.3)
    @given(st.lists(st.tuples(strategies.regexes, kinds.texts), min_size=1, max_size=20))
    def agree(pairs):
        for flags, operator in ((re.DOTALL, '~'), (re.DOTALL | re.IGNORECASE | re.ASCII, '~*')):
            sql = 'SELECT ' + ', '.join('%s %s %s' % (v.quote_literal(text), operator, v.quote_literal(regex[0])) for regex, text in pairs)
            with plain_db.example():
                answers = plain_db.run(sql)[0]
            assert list(answers) == [re.search(regex[1], text, flags) is not None for regex, text in pairs], sql
    agree()


PLAIN_KINDS = tuple(kind for kind in kinds.KINDS if kind.name != 'jsonb')


def without_json(clause, columns):
    kind = columns[clause.path[0]]
    for step in clause.path[1:]:
        kind = dict(kind.fields).get(step)
        if kind is None or (isinstance(kind, kinds.Jsonb) and step != clause.path[-1]):
            return False
    return True


@law()
@given(strategies.cases(depth=2, pool=PLAIN_KINDS))
def test_oracle_agrees_with_sql(plain_db, case):
    """Hand-written two-valued SQL over the same rows gives the oracle's answers: oracle, values and tables are right."""
    table, spec = case
    columns = {column.name: column.kind for column in table.columns}
    if not all(without_json(clause, columns) for clause, _ in tree.clauses(spec)):
        return
    sql = table.sql() + '\nSELECT "#" FROM %s WHERE %s' % (strategies.RELATION, native.condition(spec, columns))
    expected = {number for number, row in enumerate(table.keys()) if oracle.satisfied(spec, row)}
    with plain_db.example():
        assert plain_db.ids(sql) == expected, sql
