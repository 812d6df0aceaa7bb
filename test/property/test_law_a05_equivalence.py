"""
test_law_a05_equivalence.py: filtering in memory equals filtering by generated SQL, for any specification and data.

One specification over one table is evaluated in every way there is, and every way must find the rows that the oracle finds: as a constant
the planner sees through (with and without indexes, in views, subqueries, joins), as a parameter it cannot see, on rows in PL/pgSQL
variables, as SQL text, as SQL text with parameters, by find, and over the rows' JSON documents.
"""
from hypothesis import given, strategies as st

import kinds
import oracle
import strategies
import tree
import values as v
from laws import law
from strategies import RELATION

SPEC = '::apibase.spec'
SPEC_TYPE = 'apibase.spec'
ALIAS = 'Al"ias. x'
# settings that decide how values are printed: text that stands alone must not depend on them
OTHER_SETTINGS = '''SET LOCAL DateStyle = 'German, MDY'; SET LOCAL IntervalStyle = sql_standard; SET LOCAL extra_float_digits = -10;
                    SET LOCAL bytea_output = escape'''
USUAL_SETTINGS = '''SET LOCAL DateStyle TO DEFAULT; SET LOCAL IntervalStyle TO DEFAULT; SET LOCAL extra_float_digits TO DEFAULT;
                    SET LOCAL bytea_output TO DEFAULT'''


def inlined(db, spec):
    """The planner sees the specification as a constant."""
    match = 't OPERATOR(apibase.@@) ' + spec
    everything = 'SELECT "#" FROM %s t' % RELATION
    everyone = db.ids(everything)
    yield 'where', db.ids('%s WHERE %s' % (everything, match))
    yield 'not', everyone - db.ids('%s WHERE NOT (%s)' % (everything, match))
    yield 'is not true', everyone - db.ids('%s WHERE (%s) IS NOT TRUE' % (everything, match))
    yield 'select list', {number for number, answer in db.run('SELECT "#", %s FROM %s t' % (match, RELATION)) if answer}
    yield 'function', db.ids('%s WHERE apibase.is_satisfied_by(t, %s)' % (everything, spec))
    yield 'subquery', db.ids('SELECT t."#" FROM (SELECT * FROM %s) t WHERE %s' % (RELATION, match))
    yield 'fenced subquery', db.ids('SELECT t."#" FROM (SELECT * FROM %s OFFSET 0) t WHERE %s' % (RELATION, match))
    yield 'materialized', db.ids('WITH t AS MATERIALIZED (SELECT * FROM %s) SELECT t."#" FROM t WHERE %s' % (RELATION, match))
    yield 'union', db.ids('SELECT t."#" FROM (SELECT * FROM {0} UNION ALL SELECT * FROM {0}) t WHERE {1}'.format(RELATION, match))
    yield 'join alias', db.ids('SELECT t."#" FROM (%s u JOIN generate_series(0, 99) g(g) ON g = u."#") AS t WHERE %s' % (RELATION, match))
    yield 'exists', db.ids('SELECT "#" FROM {0} o WHERE EXISTS (SELECT 1 FROM {0} t WHERE t."#" = o."#" AND {1})'.format(RELATION, match))
    yield 'outer row', db.ids('%s WHERE (SELECT %s)' % (everything, match))
    yield 'aggregate filter', set(db.value('SELECT array_agg("#") FILTER (WHERE %s) FROM %s t' % (match, RELATION)) or [])


def indexed(db, table, spec):
    """The same with an index on every column that can have one, and no other way to read the table."""
    if table.shape == 'view':
        return
    for column in table.columns:
        db.failure('CREATE INDEX ON %s (%s)' % (RELATION, v.quote_ident(column.name)))
    db.run('SET LOCAL enable_seqscan = off')
    yield 'index', db.ids('SELECT "#" FROM %s t WHERE t OPERATOR(apibase.@@) %s' % (RELATION, spec))
    yield 'index, negated', set(range(len(table.rows))) - db.ids('SELECT "#" FROM %s t WHERE NOT (t OPERATOR(apibase.@@) %s)' % (RELATION, spec))
    db.run('SET LOCAL enable_seqscan = on')


def elsewhere(db, table, spec, text):
    """In row types, views, indexes and statements of other kinds."""
    match = 't OPERATOR(apibase.@@) ' + text
    dated = any(operand.lit.type == (None, 'date') for clause, _ in tree.clauses(spec) for operand in clause.operands)
    depends_on_settings = dated or any(column.kind.depends_on_settings() for column in table.columns)
    db.run("""CREATE DOMAIN prop.row_domain AS {0};
              CREATE FUNCTION prop.all_rows() RETURNS SETOF {0} LANGUAGE sql STABLE AS 'SELECT * FROM {0}';
              CREATE VIEW prop.barrier WITH (security_barrier) AS SELECT * FROM {0};
              CREATE VIEW prop.matching AS SELECT * FROM {0} t WHERE {1}""".format(RELATION, match))
    yield 'built row', db.ids('SELECT "#" FROM {0} t WHERE ROW(t.*)::{0} OPERATOR(apibase.@@) {1}'.format(RELATION, text))
    yield 'domain', db.ids('SELECT "#" FROM %s t WHERE t::prop.row_domain OPERATOR(apibase.@@) %s' % (RELATION, text))
    yield 'opaque domain', db.ids('SELECT "#" FROM %s t WHERE t::prop.row_domain OPERATOR(apibase.@@) (SELECT %s OFFSET 0)' % (RELATION, text))
    yield 'function', db.ids('SELECT "#" FROM prop.all_rows() t WHERE ' + match)
    yield 'security barrier', db.ids('SELECT "#" FROM prop.barrier t WHERE ' + match)
    yield 'view', db.ids('SELECT "#" FROM prop.matching')
    yield 'view, again', db.ids('SELECT "#" FROM prop.matching t WHERE ' + match)
    if table.shape not in ('view', 'partitioned'):      # core cannot give an index on a whole row to partitions
        refused = db.failure('CREATE INDEX ON %s ("#") WHERE "Items.1" OPERATOR(apibase.@@) %s' % (RELATION, text))
        assert refused is None or (refused == '42P17' and depends_on_settings), (text, refused)
        db.run('SET LOCAL enable_seqscan = off')
        yield 'partial index', db.ids('SELECT "#" FROM %s t WHERE %s' % (RELATION, match))
        yield 'partial index, negated', set(range(len(table.rows))) - db.ids('SELECT "#" FROM %s t WHERE NOT %s' % (RELATION, match))
        db.run('SET LOCAL enable_seqscan = on')
    if table.shape != 'view':
        db.run('SAVEPOINT merge')
        db.run('MERGE INTO %s t USING (VALUES (0)) u ON %s WHEN MATCHED THEN DELETE' % (RELATION, match))
        yield 'merge', set(range(len(table.rows))) - db.ids('SELECT "#" FROM ' + RELATION)
        db.run('ROLLBACK TO merge')
    yield 'delete', db.ids('WITH gone AS (DELETE FROM %s t WHERE %s RETURNING "#") SELECT * FROM gone' % (RELATION, match))


def prepared(db, spec):
    """The specification is a parameter: with a generic plan the planner cannot see it."""
    db.run('PREPARE filtered(%s) AS SELECT "#" FROM %s t WHERE t OPERATOR(apibase.@@) $1' % (SPEC_TYPE, RELATION))
    for mode in ('force_generic_plan', 'force_custom_plan'):
        db.run('SET LOCAL plan_cache_mode = ' + mode)
        yield mode, db.ids('EXECUTE filtered(%s)' % spec)
    db.run('DEALLOCATE filtered; SET LOCAL plan_cache_mode = auto')


def in_memory(db, spec):
    """The row is a value: in a record variable, and behind a subquery that gives the specification."""
    rows = v.quote_literal('SELECT * FROM ' + RELATION)
    yield 'record variable', set(db.value('SELECT prop.in_memory(%s, %s)' % (rows, spec)))
    yield 'opaque', db.ids('SELECT "#" FROM %s t WHERE t OPERATOR(apibase.@@) (SELECT %s OFFSET 0)' % (RELATION, spec))
    yield 'volatile', db.ids('SELECT "#" FROM %s t WHERE CASE WHEN random() < 2 THEN t END OPERATOR(apibase.@@) %s' % (RELATION, spec))


def as_text(db, table, spec):
    """SQL text, under a search_path that lies; and the same with parameters."""
    relation = v.quote_literal(RELATION) + '::regclass'
    alias = v.quote_ident(ALIAS)
    db.run(OTHER_SETTINGS)
    plain = db.value('SELECT apibase.to_sql_condition(%s, %s)' % (spec, relation))
    aliased = db.value('SELECT apibase.to_sql_condition(%s, %s, %s)' % (spec, relation, v.quote_literal(ALIAS)))
    db.run('SET LOCAL search_path = hostile, pg_catalog')
    condition, params, types = db.run('SELECT condition, params, types::pg_catalog.text[] FROM apibase.to_sql_params(%s, %s::pg_catalog.regclass, %s, 2)'
                                      % (spec, v.quote_literal(RELATION), v.quote_literal(ALIAS)))[0]
    db.run(USUAL_SETTINGS)
    yield 'text', db.ids('SELECT "#" FROM %s WHERE %s' % (RELATION, plain))
    yield 'text, negated', set(range(len(table.rows))) - db.ids('SELECT "#" FROM %s %s WHERE NOT %s' % (RELATION, alias, aliased))
    yield 'text, aliased', db.ids('SELECT "#" FROM %s %s WHERE %s' % (RELATION, alias, aliased))
    yield 'text, among others', db.ids('SELECT "#" FROM %s %s WHERE true AND %s AND true' % (RELATION, alias, aliased))
    db.run('PREPARE driver(%s) AS SELECT "#" FROM %s %s WHERE $1 AND %s' % (', '.join(['bool'] + types), RELATION, alias, condition))
    for mode in ('force_generic_plan', 'force_custom_plan'):
        db.run('SET LOCAL plan_cache_mode = ' + mode)
        yield 'parameters, ' + mode, db.ids('EXECUTE driver(%s)' % ', '.join(['true'] + [v.quote_literal(param) for param in params]))
    db.run('DEALLOCATE driver; SET LOCAL plan_cache_mode = auto; SET LOCAL search_path = public')


def listed(db, spec):
    """find, in whatever plan it keeps, twice."""
    row = 'NULL::' + RELATION
    for again in ('', ', again'):
        yield 'find' + again, db.ids('SELECT "#" FROM apibase.find(%s, %s)' % (row, spec))
    found = db.ids('SELECT "#" FROM apibase.find(%s, %s)' % (row, spec))
    count = db.value('SELECT apibase.find_count(%s, %s)' % (row, spec))
    assert count == len(found), 'find_count says %s, find finds %s' % (count, found)


@law()
@given(strategies.cases())
def test_law_a05_memory_equals_sql(db, case):
    """Every way to evaluate finds the rows that the oracle finds."""
    table, spec = case
    expected = {number for number, row in enumerate(table.keys()) if oracle.satisfied(spec, row)}
    text = v.quote_literal(tree.spec_text(spec)) + SPEC
    with db.example():
        db.run(table.sql())
        for ways in (inlined(db, text), prepared(db, text), in_memory(db, text), as_text(db, table, text), listed(db, text), indexed(db, table, text)):
            for way, found in ways:
                assert found == expected, '%s\n%s: %s\ngot %s, expected %s' % (table.sql(), way, text, sorted(found), sorted(expected))


# the relation where it can be missing; n numbers the rows
OUTER_JOINS = ['generate_series(0, {0}) n LEFT JOIN {1} t ON t."#" = n', '{1} t RIGHT JOIN generate_series(0, {0}) n ON t."#" = n',
               'generate_series(0, {0}) n FULL JOIN {1} t ON t."#" = n', 'generate_series(0, {0}) n LEFT JOIN (SELECT * FROM {1}) t ON t."#" = n']


@law()
@given(strategies.cases())
def test_law_a05_outer_joins(db, case):
    """On the nullable side of an outer join the missing row is a row of NULLs, also where columns are NOT NULL, in every form."""
    table, spec = case
    missing = len(table.rows)
    expected = {number for number, row in enumerate(table.keys() + [oracle.null_row(table.columns)]) if oracle.satisfied(spec, row)}
    text = v.quote_literal(tree.spec_text(spec)) + SPEC
    with db.example():
        db.run(table.sql())
        condition = db.value("SELECT apibase.to_sql_condition(%s, '%s', 't')" % (text, RELATION))
        selects = []
        for join in OUTER_JOINS:
            for where in ('t OPERATOR(apibase.@@) ' + text, 't OPERATOR(apibase.@@) (SELECT %s OFFSET 0)' % text, condition):
                selects += ['SELECT n FROM %s WHERE %s(%s)' % (join.format(missing, RELATION), negation, where) for negation in ('', 'NOT ')]
        found = db.run('SELECT ' + ', '.join('ARRAY(%s)' % select for select in selects))[0]
        for number, (select, ids) in enumerate(zip(selects, found)):
            wanted = set(range(missing + 1)) - expected if number % 2 else expected
            assert set(ids) == wanted, '%s\n%s\ngot %s, expected %s' % (table.sql(), select, sorted(ids), sorted(wanted))


@law()
@given(strategies.cases(max_columns=4, depth=2))
def test_law_a05_everywhere(db, case):
    """The same wherever a condition can stand: on other row types, in views, partial indexes, MERGE and DELETE."""
    table, spec = case
    expected = {number for number, row in enumerate(table.keys()) if oracle.satisfied(spec, row)}
    text = v.quote_literal(tree.spec_text(spec)) + SPEC
    with db.example():
        db.run(table.sql())
        for way, found in elsewhere(db, table, spec, text):
            assert found == expected, '%s\n%s: %s\ngot %s, expected %s' % (table.sql(), way, text, sorted(found), sorted(expected))


@law()
@given(strategies.cases(pool=tuple(kinds.DOCUMENT_KINDS)))
def test_law_a05_documents(db, case):
    """A row and its JSON document satisfy the same specifications, where the columns are what JSON has too."""
    table, spec = case
    text = v.quote_literal(tree.spec_text(spec)) + SPEC
    with db.example():
        db.run(table.sql())
        sql = ('SELECT "#", to_jsonb(t) OPERATOR(apibase.@@) {0}, apibase.is_satisfied_by(to_jsonb(t), (SELECT {0} OFFSET 0)), '
               'apibase.is_satisfied_by(t, {0}) FROM {1} t').format(text, RELATION)
        for row in db.run(sql):
            wanted = oracle.satisfied(spec, table.keys()[row[0]])
            assert row[1:] == (wanted, wanted, wanted), '%s\n%s\ngot %s, expected %s' % (table.sql(), sql, row, wanted)


@st.composite
def document_cases(draw):
    """Documents, some NULL, a specification of them, and the operator class of an index."""
    docs = draw(st.lists(st.one_of(kinds.JSONB.values, kinds.JSONB.values, kinds.JSONB.values, st.just(v.NULL)), min_size=1, max_size=6))
    spec = draw(strategies.specs(strategies.document_clauses([doc.key for doc in docs if doc.key is not None])))
    return docs, spec, draw(st.sampled_from(['jsonb_ops', 'jsonb_path_ops']))


@law()
@given(document_cases())
def test_law_a05_document_columns(db, case):
    """
    A document satisfies what a row with the document as a column does: the walk over documents, the compiled paths, and what a GIN index finds
    agree.
    """
    docs, spec, operator_class = case
    walked, compiled = v.quote_literal(tree.spec_text(spec)) + SPEC, v.quote_literal(tree.spec_text(tree.below('doc', spec))) + SPEC
    values = ', '.join('(%d, %s)' % (number, 'NULL' if doc.text is None else v.quote_literal(doc.text)) for number, doc in enumerate(docs))
    expected = {number for number, doc in enumerate(docs) if oracle.satisfied_document(spec, doc.key)}
    table = 'CREATE TABLE prop.docs ("#" int, doc jsonb); INSERT INTO prop.docs VALUES %s; CREATE INDEX ON prop.docs USING gin (doc %s);' % (
        values, operator_class)
    with db.example():
        db.run(table)
        sql = ('SELECT "#", doc OPERATOR(apibase.@@) {0}, apibase.is_satisfied_by(doc, (SELECT {0} OFFSET 0)), '
               't OPERATOR(apibase.@@) {1}, apibase.is_satisfied_by(t, (SELECT {1} OFFSET 0)) FROM prop.docs t').format(walked, compiled)
        for row in db.run(sql):
            assert set(row[1:]) == {row[0] in expected}, '%s\n%s\ngot %s, expected %s' % (table, sql, row, row[0] in expected)
        db.run('SET LOCAL enable_seqscan = off')
        for condition in ('doc OPERATOR(apibase.@@) ' + walked, 't OPERATOR(apibase.@@) ' + compiled):
            for negation, wanted in (('', expected), ('NOT ', set(range(len(docs))) - expected)):
                sql = 'SELECT "#" FROM prop.docs t WHERE %s(%s)' % (negation, condition)
                found = db.ids(sql)
                assert found == wanted, '%s\n%s\ngot %s, expected %s' % (table, sql, sorted(found), sorted(wanted))
