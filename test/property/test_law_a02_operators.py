"""
test_law_a02_operators.py: for any field value and operator, a field specification gives the mathematically right result.

The judge is the oracle in Python, and for text under linguistic collations hand-written SQL.
"""
from hypothesis import given, strategies as st

import kinds
import native
import oracle
import strategies
import tree
import values as v
from laws import law
from strategies import RELATION


def answers(spec):
    """Select-list items: the specification where the planner sees it, and where it does not."""
    text = v.quote_literal(spec) + '::apibase.spec'
    return 't OPERATOR(apibase.@@) %s, apibase.is_satisfied_by(t, (SELECT %s OFFSET 0))' % (text, text)


@st.composite
def clause_cases(draw, **arguments):
    table = draw(strategies.tables(**arguments))
    return table, draw(st.lists(strategies.table_clauses(table), min_size=1, max_size=4))


def check_rows(db, sql, expected):
    """The rows are ("#", answer, answer, ...) and expected, for the row "#", one truth for every two answers."""
    for row in db.run(sql):
        wanted = [truth for truth in expected(row[0]) for _ in (0, 1)]
        assert list(row[1:]) == wanted, '%s\nrow %s: got %s, expected %s' % (sql, row[0], list(row[1:]), wanted)


@law()
@given(clause_cases())
def test_law_a02_field_operators(db, case):
    """Every operator on every kind of field, against the oracle."""
    table, clauses = case
    rows = table.keys()
    with db.example():
        db.run(table.sql())
        sql = 'SELECT "#", %s FROM %s t' % (', '.join(answers(tree.spec_text(clause)) for clause in clauses), RELATION)
        check_rows(db, sql, lambda number: [oracle.satisfied(clause, rows[number]) for clause in clauses])


@law()
@given(st.lists(kinds.JSONB.values, min_size=1, max_size=5).flatmap(
    lambda docs: st.tuples(st.just(docs), st.lists(strategies.document_clauses([doc.key for doc in docs]), min_size=1, max_size=4))))
def test_law_a02_document_paths(db, case):
    """Every operator on paths of a jsonb document; the document is the row, or a column of it."""
    docs, clauses = case
    texts = [v.quote_literal(tree.spec_text(clause)) + '::apibase.spec' for clause in clauses]
    below = [v.quote_literal(tree.spec_text(clause._replace(path=('Doc',) + clause.path))) + '::apibase.spec' for clause in clauses]
    items = ['doc OPERATOR(apibase.@@) %s, t OPERATOR(apibase.@@) %s' % pair for pair in zip(texts, below)]
    values = ', '.join('(%d, %s::jsonb)' % (number, v.quote_literal(doc.text)) for number, doc in enumerate(docs))
    with db.example():
        sql = 'SELECT "#", %s FROM (VALUES %s) u("#", doc), LATERAL (SELECT doc AS "Doc") t' % (', '.join(items), values)
        check_rows(db, sql, lambda number: [oracle.satisfied_document(clause, docs[number].key) for clause in clauses])


@law()
@given(clause_cases(pool=tuple(kinds.COLLATED_KINDS), max_columns=2))
def test_law_a02_collations(db, case):
    """Text under linguistic collations compares as the column does in SQL."""
    table, clauses = case
    columns = {column.name: column.kind for column in table.columns}
    with db.example():
        db.run(table.sql())
        conditions = db.run('SELECT "#", %s FROM %s t ORDER BY "#"' % (', '.join(native.condition(clause, columns) for clause in clauses), RELATION))
        sql = 'SELECT "#", %s FROM %s t' % (', '.join(answers(tree.spec_text(clause)) for clause in clauses), RELATION)
        check_rows(db, sql, lambda number: conditions[number][1:])
