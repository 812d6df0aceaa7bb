"""
test_law_a13_queries.py: dispatching a query invokes its handler and returns its result (A13).

Types of queries are generated, with fields of many kinds, and handlers that return the query itself, a field of it, JSON, arrays, sets,
NULL, results, or fail.  Whatever the form of the dispatch, it must give what a direct call of the handler gives, as to_jsonb() writes it;
only that handler runs, and only once.
"""
import pytest
from hypothesis import given, strategies as st

import kinds
import values as v
from laws import law

# types of fields, and texts of their values
FIELDS = {
    'int4': st.integers(-2 ** 31, 2 ** 31 - 1).map(str),
    'int8': st.sampled_from([-2 ** 63, 2 ** 63 - 1, 0, 1]).map(str),
    'numeric': st.one_of(st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str), st.sampled_from(['NaN', 'Infinity', '1e100', '0.00'])),
    'numeric(6,2)': st.integers(-999999, 999999).map(lambda cents: '%.2f' % (cents / 100)),
    'float8': st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(repr), st.sampled_from(['NaN', 'Infinity', '-Infinity'])),
    'float4': st.sampled_from(['0.1', '-0', '3.4028235e+38', '1e-45', 'NaN']),
    'bool': st.sampled_from(['true', 'false']),
    'text': kinds.texts,
    'varchar(12)': st.text('ab\u00e9 "\\', max_size=12),
    'char(3)': st.text('ab ', max_size=3),
    'name': st.text('ab"', max_size=12),
    'date': st.one_of(st.dates().map(str), st.sampled_from(['infinity', '-infinity', '0044-03-15 BC'])),
    'time': st.times().map(lambda time: time.replace(tzinfo=None).isoformat()),
    'timestamp': st.datetimes().map(lambda moment: moment.isoformat()),
    'timestamptz': st.one_of(st.datetimes().map(lambda moment: moment.isoformat() + '+00'), st.just('infinity')),
    'interval': st.sampled_from(['1 mon', '30 days', '-1 day 02:03:04.5', '1 year -3 days', '0']),
    'uuid': st.uuids().map(str),
    'bytea': st.binary(max_size=8).map(lambda data: '\\x' + data.hex()),
    'jsonb': st.sampled_from(['{}', '[]', '{"a": [1, {"b": null}]}', '"x"', '12.50', 'true', '[null]']),
    'json': st.sampled_from(['{}', '{"b": 1, "a": 2}', '[1, 2]', '"x"']),
    'int4[]': st.sampled_from(['{}', '{1,2}', '{NULL}', '{{1,2},{3,4}}']),
    'text[]': st.sampled_from(['{}', '{a,"b,c"}', '{NULL,"NULL",""}', '{{a},{b}}']),
    'int4range': st.sampled_from(['empty', '[1,2)', '(,3)', '(,)']),
    'inet': st.sampled_from(['10.0.0.1', '10.0.0.0/8', '::1']),
    'prop.a13_mood': st.sampled_from(['glad', 'so so']),
    'prop.a13_positive': st.integers(1, 9).map(str),
    'prop.a13_pair': st.sampled_from(['(1,a)', '(,)', '(,"a ""b"", c")', '(3,"")']),
    'prop.a13_pair[]': st.sampled_from(['{}', '{"(1,a)","(,)"}', '{NULL}']),
}
NAMES = ('n', 't', 'Name', 'a b', 'a/b', 'select', '\u00e9', 'q"', 'ok', 'value')

# what a handler returns, and how; $1 is the query
SCALARS = {
    'itself': ('{type}', 'q'),
    'json': ('jsonb', "pg_catalog.jsonb_build_object('q', q, 'null', NULL)"),
    'text of it': ('text', 'q::text'),
    'field': ('{field_type}', 'q.{field}'),
    'null': ('text', 'NULL::text'),
    'array of it': ('{type}[]', 'ARRAY[q, NULL, q]'),
    'number': ('numeric', '12.50'),
}
SETS = {
    'none': ('{type}', 'SELECT q.* WHERE false'),
    'three': ('{type}', 'SELECT q.* FROM pg_catalog.generate_series(1, 3)'),
    'numbers': ('int4', 'SELECT n FROM pg_catalog.generate_series(-2, 2) AS n ORDER BY n DESC'),
    'nulls': ('text', 'SELECT NULL::text FROM pg_catalog.generate_series(1, 2)'),
    'table': ('TABLE (no int, same {type})', 'SELECT n, q FROM pg_catalog.generate_series(1, 2) AS n'),
}
RESULTS = {'result': 'apibase.ok(q)', 'err': "apibase.err(apibase.problem(409, 'no'))", 'raises': 'apibase.err(prop.a13_raise())'}
SHAPES = {'scalar': SCALARS, 'set': SETS, 'result': RESULTS}
LANGUAGES = ('sql', 'plpgsql', 'sql standard')

SETUP = """
CREATE TYPE prop.a13_mood AS ENUM ('glad', 'so so');
CREATE DOMAIN prop.a13_positive AS int NOT NULL CHECK (VALUE > 0);
CREATE TYPE prop.a13_pair AS (n int, t text);
CREATE FUNCTION prop.a13_raise() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM apibase.raise_not_found('it', 7); RETURN NULL; END $$;
CREATE FUNCTION prop.a13_runs(what text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE NOTICE 'ran %', what; RETURN true; END $$;
"""


@pytest.fixture(scope='module')
def queries_db(db):
    db.run(SETUP)
    db.connection.commit()
    return db


@st.composite
def queries(draw):
    """Fields of a type, values of a query, what the handler returns."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=0, max_size=5, unique=True))
    types = [draw(st.sampled_from(sorted(FIELDS))) for _ in names]
    texts = [draw(FIELDS[type_] if type_ == 'prop.a13_positive' else st.one_of(st.none(), FIELDS[type_])) for type_ in types]
    kind = draw(st.sampled_from([(shape, name) for shape, bodies in SHAPES.items() for name in bodies if names or name != 'field']))
    return list(zip(names, types, texts)), kind, draw(st.sampled_from(LANGUAGES))


def handler_sql(number, query):
    """The function of the query with this number."""
    fields, (shape, name), language = query
    type_ = 'prop.a13_query_%d' % number
    words = {'type': type_, 'field': v.quote_ident(fields[0][0]) if fields else '', 'field_type': fields[0][1] if fields else ''}
    if shape == 'result':
        returns, expression = 'apibase.result', RESULTS[name]
    else:
        returns, expression = (part.format(**words) for part in SHAPES[shape][name])
    run = 'prop.a13_runs(%s)' % v.quote_literal(str(number))
    if shape == 'set':
        returns = returns if returns.startswith('TABLE') else 'SETOF ' + returns
        body = {'sql': 'AS $$ SELECT %s; %s $$' % (run, expression),
                'sql standard': 'BEGIN ATOMIC SELECT %s; %s; END' % (run, expression),
                'plpgsql': 'AS $$ #variable_conflict use_column\nBEGIN PERFORM %s; RETURN QUERY %s; END $$' % (run, expression)}[language]
    else:
        expression = 'CASE WHEN %s THEN %s END' % (run, expression)
        body = {'sql': 'AS $$ SELECT %s $$', 'sql standard': 'RETURN %s', 'plpgsql': 'AS $$ BEGIN RETURN %s; END $$'}[language] % expression
    return 'CREATE FUNCTION prop.a13_handle_%d(q %s) RETURNS %s STABLE LANGUAGE %s %s' % (number, type_, returns, language.split()[0], body)


def value_sql(number, query):
    return 'ROW(%s)::prop.a13_query_%d' % (', '.join('%s::%s' % ('NULL' if text is None else v.quote_literal(text), type_) for _, type_, text in query[0]), number)


def make(db, number, query):
    db.run('CREATE TYPE prop.a13_query_%d AS (%s)' % (number, ', '.join('%s %s' % (v.quote_ident(name), type_) for name, type_, _ in query[0])))
    db.run(handler_sql(number, query))
    db.run("SELECT apibase.register_query('prop.a13_query_%d', 'prop.a13_handle_%d(prop.a13_query_%d)')" % (number, number, number))


def asked(db, number, sql):
    """The row; this handler must have run, once, and no other."""
    del db.connection.notices[:]
    row = db.run(sql)[0]
    ran = [notice for notice in db.connection.notices if 'ran ' in notice]
    assert ran == ['NOTICE:  ran %d\n' % number], (sql, ran)
    return row


def directly(number, query, value):
    """What the handler returns, as jsonb."""
    call = 'prop.a13_handle_%d(%s)' % (number, value)
    if query[1][0] == 'set':
        return "SELECT coalesce(jsonb_agg(r), '[]')::text FROM %s AS r" % call
    if query[1][0] == 'result':
        return 'SELECT (%s).value::text' % call
    return 'SELECT to_jsonb(%s)::text' % call


def check_failure(db, number, query, forms):
    """The handler fails: in the result, or as an error with the same SQLSTATE."""
    status, code = (409, 'PT409') if query[1][1] == 'err' else (404, 'PT404')
    for form in forms:
        ok, value, error = asked(db, number, 'SELECT ok, value, error FROM apibase.query_result(%s)' % form)
        assert (ok, value, error['status'], error['code']) == (False, None, status, code), (form, error)
        assert db.failure('SELECT apibase.query(%s)' % form) == code, form


@law()
@given(st.lists(queries(), min_size=1, max_size=3))
def test_law_a13_queries(queries_db, made):
    """Every form of the dispatch gives what the handler gives."""
    with queries_db.example() as db:
        for number, query in enumerate(made):
            make(db, number, query)
        for number, query in enumerate(made):
            value = value_sql(number, query)
            payload = 'to_jsonb(%s)' % value
            forms = (value, "'prop.a13_query_%d', %s" % (number, payload))
            if query[1] in (('result', 'err'), ('result', 'raises')):
                check_failure(db, number, query, forms)
                continue
            for form in forms:
                # what has come by name is what its payload says
                value_of_form = value if form is value else 'jsonb_populate_record(NULL::prop.a13_query_%d, %s)' % (number, payload)
                expected = asked(db, number, directly(number, query, value_of_form))[0]
                assert asked(db, number, 'SELECT apibase.query(%s)::text' % form)[0] == expected, (query, form)
                assert asked(db, number, 'SELECT ok, value::text, error, replayed FROM apibase.query_result(%s)' % form) == (
                    True, expected, None, False), (query, form)
                called = asked(db, number, 'CALL apibase.dispatch_query(%s)' % form)[0]
                assert db.run('SELECT ok, value::text FROM (SELECT (%s::apibase.result).*) c' % v.quote_literal(called))[0] == (True, expected), (query, form)
