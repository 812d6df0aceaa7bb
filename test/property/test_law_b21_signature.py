"""
test_law_b21_signature.py: a decorated function has the signature that it had, and undecorated it is what it was, to the byte.
"""
from hypothesis import given, strategies as st

import values as v
from laws import law

TYPES = ['integer', 'text', 'numeric(10,2)', 'jsonb', 'timestamptz', 'text[]', 'prop.signature_pair', 'prop.signature_domain', 'bytea', 'boolean']
DEFAULTS = {'integer': '1 + 1', 'text': "'it''s'", 'jsonb': "'{}'::jsonb", 'boolean': 'false', 'timestamptz': 'now()', 'text[]': "'{}'"}
NAMES = ['a', 'b', 'Mixed', 'with space', 'select', None]

# what of pg_proc the implementation is: the rest is the signature
IMPLEMENTATION = '{prolang,prosrc,probin,prosqlbody,prosupport}'

SETUP = """
CREATE TYPE prop.signature_pair AS (n integer, t text);
CREATE DOMAIN prop.signature_domain AS integer CHECK (VALUE > 0);
CREATE ROLE apibase_property_caller;
"""

DECORATORS = ["apibase.cached({}, ttl => '1 min')", "apibase.memoized({})", "apibase.timeout({}, '1 min')", "apibase.retry({}, 2)",
              "apibase.circuit_breaker({})", "apibase.bulkhead({}, 5)", "apibase.logged({}, 'debug1')"]


@st.composite
def functions(draw):
    """CREATE FUNCTION, what identifies it, and decorators for it."""
    parameters, optional, types = [], False, []
    names = draw(st.permutations(NAMES))
    for name in names[:draw(st.integers(0, 5))]:
        type_ = draw(st.sampled_from(TYPES))
        mode = draw(st.sampled_from(['', '', '', 'IN ', 'INOUT ']))
        default = ''
        if type_ in DEFAULTS and (optional or draw(st.booleans())):
            default, optional = ' DEFAULT ' + DEFAULTS[type_], True
        elif optional:
            continue
        types.append(type_)
        parameters.append(mode + (v.quote_ident(name) + ' ' if name else '') + type_ + default)
    if draw(st.booleans()) and not optional:
        types.append('text[]')
        parameters.append('VARIADIC rest text[]')
    outputs = [parameter for parameter in parameters if parameter.startswith('INOUT')]
    if not outputs and draw(st.booleans()):
        result = draw(st.sampled_from(['integer', 'text', 'void', 'jsonb', 'prop.signature_pair', 'SETOF text', 'SETOF prop.signature_pair',
                                       'TABLE(x integer, y text)']))
        if result.startswith('TABLE'):
            parameters = [parameter.replace('INOUT ', '') for parameter in parameters]
        returns = ' RETURNS ' + result
    else:
        for number in range(draw(st.integers(0 if outputs else 1, 3))):
            parameters.append('OUT result%d %s' % (number, draw(st.sampled_from(TYPES))))
        returns = draw(st.sampled_from(['', ' RETURNS SETOF record' if len([p for p in parameters if 'OUT ' in p]) > 1 else '']))
    options = [draw(st.sampled_from(choice)) for choice in (
        ['', 'STABLE', 'IMMUTABLE', 'VOLATILE'], ['', 'STRICT'], ['', 'SECURITY DEFINER'], ['', 'COST 7'], ['', 'LEAKPROOF'],
        ['', 'SET search_path = pg_catalog, pg_temp', "SET work_mem = '5MB' SET \"TimeZone\" = 'UTC'"])]
    if 'SETOF' in returns or 'TABLE' in returns:
        options.append(draw(st.sampled_from(['', 'ROWS 13'])))
    body = draw(st.sampled_from(["LANGUAGE plpgsql AS $body$ BEGIN RAISE 'not called'; END $body$",
                                 "LANGUAGE plpgsql AS 'BEGIN RAISE ''é \\n''; END'"]))
    sql = 'CREATE FUNCTION prop.signature(%s)%s %s %s' % (', '.join(parameters), returns, ' '.join(options), body)
    # of a void function there is nothing to cache
    pool = [decorator for decorator in DECORATORS if 'cached' not in decorator or returns != ' RETURNS void']
    return sql, draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique=True)), draw(st.booleans())


def state(db, function):
    """Everything that callers, dumps and psql see of it."""
    signature = db.run("""SELECT to_jsonb(p) - '%s'::text[], pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
                                 obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE oid = %d""" % (IMPLEMENTATION, function))
    dependants = db.run("""SELECT classid::regclass::text, objid, deptype FROM pg_depend
                           WHERE refclassid = 'pg_proc'::regclass AND refobjid = %d AND deptype = 'n' ORDER BY 1, 2""" % function)
    return signature, dependants


def whole(db, function):
    return db.run('SELECT p::text, pg_get_functiondef(p.oid) FROM pg_proc p WHERE oid = %d' % function)


@law(0.2)
@given(functions())
def test_law_b21_signature_stays(db, case):
    sql, decorators, granted = case
    with db.example():
        if not db.value("SELECT to_regtype('prop.signature_pair') IS NOT NULL"):
            db.run('DROP ROLE IF EXISTS apibase_property_caller')
            db.run(SETUP)
        db.run(sql)
        function = db.value("SELECT oid FROM pg_proc WHERE pronamespace = 'prop'::regnamespace AND proname = 'signature'")
        db.run("COMMENT ON FUNCTION prop.signature IS 'what it is for'")
        if granted:
            db.run('REVOKE ALL ON FUNCTION prop.signature FROM PUBLIC; GRANT EXECUTE ON FUNCTION prop.signature TO apibase_property_caller')
        before, bytes_before = state(db, function), whole(db, function)
        for decorator in decorators:
            db.run('SELECT ' + decorator.format('%d::regprocedure' % function))
            assert state(db, function) == before, (sql, decorator)
        assert db.value('SELECT count(*) FROM apibase.decorators WHERE function::oid = %d' % function) == len(decorators), (sql, decorators)
        db.run('SELECT apibase.undecorate(%d::regprocedure)' % function)
        assert whole(db, function) == bytes_before, sql
        assert state(db, function) == before, sql
