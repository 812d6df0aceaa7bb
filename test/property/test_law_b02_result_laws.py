"""
test_law_b02_result_laws.py: results are a functor and a monad.

result_map keeps identity and composition, result_bind has ok() as its identity on both sides and is associative, and pipe() is a chain
of them.  The functions are written twice, in SQL and in Python, and both sides of each law are also compared with what Python says.
"""
import json

import pytest
from hypothesis import given, strategies as st

import values as v
from laws import law


class Null:
    """SQL's NULL, which is not JSON's."""


class Failure(Exception):
    """An error, by its SQLSTATE."""


def fail_on(kind, code):
    def function(value):
        if value is not Null and kind_of(value) == kind:
            raise Failure(code)
        return value
    return function


def kind_of(value):
    return {dict: 'object', list: 'array', str: 'string', bool: 'boolean', type(None): 'null'}.get(type(value), 'number')


# jsonb -> jsonb, in SQL and in Python
MAPS = {
    'same': ('x', lambda x: x),
    'wrap': ("pg_catalog.jsonb_build_object('in', x)", lambda x: {'in': None if x is Null else x}),
    'kind': ('pg_catalog.to_jsonb(pg_catalog.jsonb_typeof(x))', lambda x: x if x is Null else kind_of(x)),
    'inner': ("x -> 'in'", lambda x: x['in'] if isinstance(x, dict) and 'in' in x else Null),
    'or_zero': ("COALESCE(x, '0')", lambda x: 0 if x is Null else x),
    'no_number': ("CASE WHEN pg_catalog.jsonb_typeof(x) = 'number' THEN prop.law_raise('P0002') ELSE x END", fail_on('number', 'P0002')),
    'no_object': ("CASE WHEN pg_catalog.jsonb_typeof(x) = 'object' THEN prop.law_raise('23514') ELSE x END", fail_on('object', '23514')),
    'none': ('NULL::jsonb', lambda x: Null),
}
# jsonb -> result: ok of a map, an error of the value itself, an error that is raised
BINDS = {'ok_' + name: ('apibase.ok(prop.law_map_%s(x))' % name, function) for name, (_, function) in MAPS.items()}
BINDS['err_string'] = ("CASE WHEN pg_catalog.jsonb_typeof(x) = 'string' THEN apibase.err(apibase.problem(409, 'a string')) ELSE apibase.ok(x) END",
                       fail_on('string', 'PT409'))
BINDS['nothing'] = ('NULL::apibase.result', lambda x: Null)

# in PL/pgSQL, which is not inlined: an argument is computed also where it is not used
SETUP = """
CREATE FUNCTION prop.law_raise(code text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'law %', code USING ERRCODE = code; END $$;
""" + '\n'.join(
    'CREATE FUNCTION prop.law_map_%s(x jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN %s; END $$;' % (name, sql) for name, (sql, _) in MAPS.items()
) + '\n'.join(
    """CREATE FUNCTION prop.law_bind_%s(x jsonb) RETURNS apibase.result LANGUAGE sql AS $$ SELECT %s $$;
    CREATE FUNCTION prop.law_caught_%s(x jsonb) RETURNS apibase.result LANGUAGE plpgsql AS $$
    DECLARE code text; said text;
    BEGIN
        RETURN COALESCE(prop.law_bind_%s(x), apibase.ok());
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT;
        RETURN apibase.err(apibase.problem_from_error(code, said));
    END $$;""" % (name, sql, name, name) for name, (sql, _) in BINDS.items()
) + '\n'.join(
    """CREATE FUNCTION prop.law_map_%s_%s(x jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT prop.law_map_%s(prop.law_map_%s(x)) $$;"""
    % (first, second, second, first) for first in MAPS for second in MAPS
) + '\n'.join(
    """CREATE FUNCTION prop.law_bind_%s_%s(x jsonb) RETURNS apibase.result LANGUAGE sql AS $$
    SELECT apibase.result_bind(COALESCE(prop.law_bind_%s(x), apibase.ok()), 'prop.law_bind_%s(jsonb)') $$;"""
    % (first, second, first, second) for first in BINDS for second in BINDS)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-10 ** 12, 10 ** 12), st.text(st.characters(blacklist_characters='\0', blacklist_categories=('Cs',)), max_size=8))
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(['in', 'a', 'b', '']), inner, max_size=3)), max_leaves=6)
VALUES = st.one_of(st.just(Null), DOCUMENTS)
PROBLEMS = st.fixed_dictionaries({'status': st.sampled_from([400, 404, 409, 422, 500])}, optional={'detail': st.just('said'), 'own': DOCUMENTS})
RESULTS = st.tuples(st.booleans(), st.one_of(VALUES.map(lambda value: ('ok', value)), PROBLEMS.map(lambda problem: ('err', problem))))


def document_sql(value):
    return 'NULL::jsonb' if value is Null else v.quote_literal(json.dumps(value)) + '::jsonb'


def result_sql(result):
    """A result, and one that is a replay."""
    replayed, (outcome, value) = result
    made = 'apibase.%s(%s)' % (outcome, document_sql(value))
    if replayed:
        return '(SELECT ROW((r).ok, (r).value, (r).error, true)::apibase.result FROM (SELECT %s OFFSET 0) made (r))' % made
    return made


def step(kind, *names):
    return v.quote_literal('prop.law_%s_%s(jsonb)' % (kind, '_'.join(names)))


def expected(result, functions):
    """What Python says: ok and the value, or the SQLSTATE."""
    _, (outcome, value) = result
    if outcome == 'err':
        return False, 'PT%d' % value['status']
    try:
        for function in functions:
            value = function(value)
    except Failure as failure:
        return False, str(failure)
    return True, value


def check(db, left, right, wanted):
    """Both sides are the same in every column, and what they should be."""
    sql = """SELECT l IS NOT DISTINCT FROM r, l::text, r::text, (l).ok, (l).value::text, (l).error ->> 'code', (l).replayed
        FROM (SELECT %s AS l, %s AS r OFFSET 0) sides""" % (left, right)
    same, left_text, right_text, ok, value, code, _ = db.run(sql)[0]
    assert same, '%s\nleft: %s\nright: %s' % (sql, left_text, right_text)
    found = (ok, (Null if value is None else json.loads(value)) if ok else code)
    # bool and int are not the same here
    assert json.dumps(found, default=repr, sort_keys=True) == json.dumps(wanted, default=repr, sort_keys=True), '%s\n%s' % (sql, left_text)


@pytest.fixture(scope='module')
def laws_db(db):
    db.run(SETUP)
    db.connection.commit()
    return db


@law()
@given(RESULTS, st.sampled_from(sorted(MAPS)), st.sampled_from(sorted(MAPS)))
def test_law_b02_functor(laws_db, result, first, second):
    """result_map(r, same) is r; mapping one function after the other is mapping both as one."""
    r = result_sql(result)
    with laws_db.example() as db:
        check(db, 'apibase.result_map(%s, %s)' % (r, step('map', 'same')), r, expected(result, []))
        check(db, 'apibase.result_map(apibase.result_map(%s, %s), %s)' % (r, step('map', first), step('map', second)),
              'apibase.result_map(%s, %s)' % (r, step('map', first, second)), expected(result, [MAPS[first][1], MAPS[second][1]]))


@law()
@given(VALUES, RESULTS, st.sampled_from(sorted(BINDS)), st.sampled_from(sorted(BINDS)))
def test_law_b02_monad(laws_db, value, result, first, second):
    """ok() is the identity of result_bind on both sides, and result_bind is associative."""
    r = result_sql(result)
    with laws_db.example() as db:
        check(db, 'apibase.result_bind(apibase.ok(%s), %s)' % (document_sql(value), step('bind', first)),
              'prop.law_caught_%s(%s)' % (first, document_sql(value)), expected((False, ('ok', value)), [BINDS[first][1]]))
        check(db, "apibase.result_bind(%s, 'apibase.ok(\"any\")')" % r, r, expected(result, []))
        check(db, 'apibase.result_bind(apibase.result_bind(%s, %s), %s)' % (r, step('bind', first), step('bind', second)),
              'apibase.result_bind(%s, %s)' % (r, step('bind', first, second)), expected(result, [BINDS[first][1], BINDS[second][1]]))


@law()
@given(RESULTS, st.lists(st.one_of(st.sampled_from(sorted(MAPS)).map(lambda name: ('map', name)),
                                   st.sampled_from(sorted(BINDS)).map(lambda name: ('bind', name))), min_size=1, max_size=6))
def test_law_b02_pipe(laws_db, result, steps):
    """pipe() of a result is the chain of result_map and result_bind; steps behind the first failure do not run."""
    chain = result_sql(result)
    functions = []
    for kind, name in steps:
        chain = 'apibase.result_%s(%s, %s)' % (kind, chain, step(kind, name))
        functions.append((MAPS if kind == 'map' else BINDS)[name][1])
    with laws_db.example() as db:
        check(db, 'apibase.pipe(%s, %s)' % (result_sql(result), ', '.join(step(kind, name) for kind, name in steps)), chain, expected(result, functions))


@law()
@given(RESULTS)
def test_law_b02_map_err(laws_db, result):
    """result_map_err(r, same) is r, and touches no value."""
    r = result_sql(result)
    with laws_db.example() as db:
        check(db, 'apibase.result_map_err(%s, %s)' % (r, step('map', 'same')), r, expected(result, []))
        if result[1][0] == 'ok':
            check(db, 'apibase.result_map_err(%s, %s)' % (r, step('map', 'wrap')), r, expected(result, []))
