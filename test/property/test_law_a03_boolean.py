"""
test_law_a03_boolean.py: the Boolean laws, over data.

(A and B) is satisfied exactly when both are, (A or B) when either is, not S when S is not, and never NULL, however the combination is
written: as text, as JSON, with functions, with operators.
"""
from hypothesis import given, strategies as st

import oracle
import strategies
import tree
import values as v
from laws import law
from strategies import RELATION

SPEC = '::apibase.spec'


def literal(node):
    return v.quote_literal(tree.spec_text(node)) + SPEC


def rows_of(db, table, specs):
    """For each row: the answers of the specifications (SQL expressions), inlined."""
    sql = 'SELECT %s FROM %s t ORDER BY "#"' % (', '.join('t OPERATOR(apibase.@@) %s' % spec for spec in specs), RELATION)
    return sql, db.run(sql)


def combined(word, function, symbol, a, b):
    """All ways to combine two specifications."""
    text_a, text_b = tree.spec_text(a), tree.spec_text(b)
    return [
        v.quote_literal('(%s) %s (%s)' % (text_a, word, text_b)) + SPEC,
        v.quote_literal('{"%s": [%s, %s]}' % (word, tree.spec_json(a), tree.spec_json(b))) + SPEC,
        v.quote_literal('{"%s": [%s, %s]}' % (word, tree.spec_json(a), tree.spec_json(b))) + '::jsonb' + SPEC,
        '(%s OPERATOR(apibase.%s) %s)' % (literal(a), symbol, literal(b)),
        'apibase.spec_%s(%s, %s)' % (word, literal(a), literal(b)),
        'apibase.spec_%s(%s, NULL, %s)' % (function, literal(a), literal(b)),
        'apibase.spec_%s(VARIADIC ARRAY[%s, %s])' % (function, literal(a), literal(b)),
    ]


@law()
@given(strategies.cases(count=2, depth=2))
def test_law_a03_and_or(db, case):
    """(A and B) exactly when both, (A or B) exactly when either, in every way of writing them."""
    table, a, b = case
    both, either = combined('and', 'all', '&&', a, b), combined('or', 'any', '||', a, b)
    with db.example():
        db.run(table.sql())
        sql, rows = rows_of(db, table, [literal(a), literal(b)] + both + either)
        for row in rows:
            assert set(row[2:2 + len(both)]) == {row[0] and row[1]}, sql
            assert set(row[2 + len(both):]) == {row[0] or row[1]}, sql


@law()
@given(strategies.cases())
def test_law_a04_not(db, case):
    """not S holds exactly where S does not: in select lists, in WHERE, for rows of NULLs; nothing is ever NULL."""
    table, spec = case
    text = tree.spec_text(spec)
    negations = [v.quote_literal('not (%s)' % text) + SPEC, '(OPERATOR(apibase.!!) %s)' % literal(spec), 'apibase.spec_not(%s)' % literal(spec),
                 v.quote_literal('{"not": %s}' % tree.spec_json(spec)) + SPEC]
    with db.example():
        db.run(table.sql())
        sql, rows = rows_of(db, table, [literal(spec)] + negations)
        for row in rows:
            assert row[0] in (True, False) and set(row[1:]) == {not row[0]}, sql
        for joined in ('FROM %s t' % RELATION, 'FROM generate_series(0, %d) n LEFT JOIN %s t ON t."#" = n' % (len(table.rows) + 1, RELATION)):
            whole = db.value('SELECT count(*) ' + joined)
            for memory in ('%s', '(SELECT %s OFFSET 0)'):
                counts = [db.value('SELECT count(*) %s WHERE %s' % (joined, condition % (memory % literal(spec)))) for condition in
                          ('t OPERATOR(apibase.@@) %s', 'NOT (t OPERATOR(apibase.@@) %s)', 't OPERATOR(apibase.@@) apibase.spec_not(%s)')]
                assert counts[0] + counts[1] == whole and counts[1] == counts[2], (table.sql(), joined, text, memory, counts)


@law()
@given(strategies.cases())
def test_law_b03_operators(db, case):
    """A specification built with where(), &&, || and !!, or with values bound to parameters, is the one that is written as text."""
    table, spec = case
    if not all(tree.buildable(clause.op, [operand.lit for operand in clause.operands]) for clause, _ in tree.clauses(spec)):
        return
    arguments = []
    with_parameters = v.quote_literal(tree.spec_text(tree.parameterized(spec, arguments)))
    values = ''.join(', ' + lit.sql_value() for lit in arguments)
    specs = [literal(spec), tree.spec_builder(spec), 'apibase.spec(%s%s)' % (with_parameters, values)]
    if arguments:
        specs += ['apibase.bind(%s%s%s)' % (with_parameters, SPEC, values),
                  'apibase.build(apibase.bind(%s%s::jsonb%s%s))' % (with_parameters, SPEC, SPEC, values)]
    with db.example():
        db.run(table.sql())
        sql, rows = rows_of(db, table, specs)
        for number, row in enumerate(rows):
            assert set(row) == {oracle.satisfied(spec, table.keys()[number])}, '%s\n%s\ngot %s' % (table.sql(), sql, row)


@law()
@given(strategies.cases(count=2, depth=1, max_columns=3))
def test_law_b03_fluent(db, case):
    """and_where(s, ...) is s and the clause, or_where(s, ...) is s or the clause, each around the whole of s."""
    table, spec, other = case
    clauses = [clause for clause, negated in tree.clauses(other) if tree.buildable(clause.op, [operand.lit for operand in clause.operands])
               and (not clause.negated or clause.op in tree.NEGATED_NAMES)]
    chain, meaning = literal(spec), spec
    for number, clause in enumerate(clauses):
        join, word = ((tree.And, 'and'), (tree.Or, 'or'))[(clause.style + number) % 2]
        chain = 'apibase.%s_where(%s, %s)' % (word, chain, ', '.join(tree.builder_arguments(clause)))
        meaning = join((meaning, clause), 1)
    with db.example():
        db.run(table.sql())
        sql, rows = rows_of(db, table, [chain, literal(meaning)])
        for number, row in enumerate(rows):
            assert set(row) == {oracle.satisfied(meaning, table.keys()[number])}, '%s\n%s\ngot %s' % (table.sql(), sql, row)


def boolean_laws(a, b, c):
    """Pairs of trees that must have one meaning."""
    def all_of(*args):
        return tree.And(args, 0)

    def any_of(*args):
        return tree.Or(args, 0)

    def neither(arg):
        return tree.Not(arg, 0)
    yes, no = tree.Bool(True), tree.Bool(False)
    return [
        (neither(all_of(a, b)), any_of(neither(a), neither(b))), (neither(any_of(a, b)), all_of(neither(a), neither(b))),
        (all_of(a, any_of(b, c)), any_of(all_of(a, b), all_of(a, c))), (any_of(a, all_of(b, c)), all_of(any_of(a, b), any_of(a, c))),
        (all_of(a, any_of(a, b)), a), (any_of(a, all_of(a, b)), a), (all_of(a, a), a), (any_of(a, a), a), (neither(neither(a)), a),
        (all_of(a, b), all_of(b, a)), (any_of(a, b), any_of(b, a)), (all_of(a, all_of(b, c)), all_of(all_of(a, b), c)),
        (any_of(a, any_of(b, c)), any_of(any_of(a, b), c)), (all_of(a, yes), a), (any_of(a, no), a), (all_of(a, no), no), (any_of(a, yes), yes),
        (all_of(a, neither(a)), no), (any_of(a, neither(a)), yes),
    ]


@law()
@given(strategies.cases(count=3, depth=1, max_columns=3), st.integers(0, 18))
def test_law_a03_boolean_algebra(db, case, number):
    """De Morgan, distribution, absorption, idempotence and the rest, over data, inlined and in memory."""
    table, a, b, c = case
    left, right = boolean_laws(a, b, c)[number]
    with db.example():
        db.run(table.sql())
        specs = [literal(left), literal(right), '(SELECT %s OFFSET 0)' % literal(left), '(SELECT %s OFFSET 0)' % literal(right)]
        sql, rows = rows_of(db, table, specs)
        for row in rows:
            assert len(set(row)) == 1 and row[0] is not None, table.sql() + '\n' + sql
