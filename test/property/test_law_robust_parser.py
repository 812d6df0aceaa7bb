"""
test_law_robust_parser.py: whatever text comes in, it is parsed or refused with an error of class PB, 22 or 42; never an internal error, never a lost
connection.  The same for the JSON form, field paths, order-by lists and the binary form.
"""
import io

import psycopg2
from hypothesis import given, strategies as st

import strategies
import tree
import values as v
from laws import law

SPEC = '::apibase.spec'
REFUSALS = ('PB', '22', '42')
# statement too complex, too many arguments, out of memory: honest limits
LIMITS = ('54',)

anything = st.text(st.characters(blacklist_categories=('Cs',), blacklist_characters='\0'), max_size=40)
scraps = st.lists(st.sampled_from(
    ['a', 'b.c', '"', "'", '""', "''", '(', ')', '[', ']', ',', '.', '..', '$', '$1', '$0', '$65536', '$99999999999', '=', '<', '>', '<=', '<>', '!=', '!', '~', '~*', '!~',
     '@>', '<@', '&&', '||', '^@', '-', '--', '+', '/*', '*/', '1', '1.', '.5', '1e', '1e5', '1e999999', '0x1f', '1_000', 'and', 'or', 'not', 'in', 'like', 'ilike',
     'between', 'is', 'null', 'true', 'false', 'array', 'array[', 'starts_with', 'contains', 'overlaps', 'contained_by', 'date', 'timestamp with time zone',
     "'x'", "'2026-01-01'", '"Q"', 'asc', 'desc', 'nulls', 'first', 'last', 'é', '\x01', '\x7f', '\u2028', '😀', '\\', ';', ':', '::', '{', '}', '{"', 'E', "E'", 'U&"',
     ' ', '\n', '\t', '\x0b', '\xa0', '%', '#', '@', '?', '`', '=='] ), max_size=15).map(' '.join)
scraps_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(['and', 'eq', 'a', 'in', 'is', 'like', 'a.b', 'a[0]', '', '.', '"', 'date', '2026-01-01', 'x.y.z', 1.5, -1])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
        st.sampled_from(['and', 'or', 'not', 'field', 'op', 'value', 'type', 'param', 'x', '']), inner, max_size=3)), max_leaves=8)


@st.composite
def mutated(draw, write):
    """A valid specification with a few pieces cut out, doubled or replaced."""
    _, spec = draw(strategies.cases(max_columns=2, depth=2))
    text = write(spec)
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 4))
        piece = draw(st.one_of(st.just(''), st.sampled_from(list('()[]{}"\'.,$\\= ')), st.sampled_from(['not ', ' and ', 'null', '[1', '::', '\n', '0']),
                               st.just(text[at:at + 8])))
        text = text[:at] + piece + text[at + length:]
    return text.replace('\0', '')


def parses(db, expression):
    """Whether the expression is accepted; asserts that a refusal is a proper one."""
    state = db.failure('SELECT ' + expression)
    assert state is None or state[:2] in REFUSALS + LIMITS, '%s\nraises %s' % (expression, state)
    return state is None


@law()
@given(st.one_of(anything, scraps, mutated(tree.spec_text), mutated(tree.spec_text_as_json), st.tuples(mutated(tree.spec_text), anything).map(''.join)))
def test_law_robust_text(db, text):
    """Arbitrary text, and valid text that was damaged; what is accepted has a stable canonical text."""
    with db.example():
        if parses(db, v.quote_literal(text) + SPEC):
            canonical = db.value('SELECT %s%s::text' % (v.quote_literal(text), SPEC))
            assert db.value('SELECT %s%s::text' % (v.quote_literal(canonical), SPEC)) == canonical, text
            assert db.value('SELECT s::jsonb::apibase.spec OPERATOR(apibase.=) s FROM (VALUES (%s%s)) t(s)' % (v.quote_literal(text), SPEC)), text


@law()
@given(scraps_json)
def test_law_robust_json(db, value):
    """Arbitrary JSON of the right words in the wrong places."""
    with db.example():
        literal = v.quote_literal(tree.json.dumps(value))
        as_jsonb, as_json = parses(db, literal + '::jsonb' + SPEC), parses(db, literal + '::json' + SPEC)
        assert as_jsonb == as_json, literal
        if isinstance(value, dict):
            assert parses(db, literal + SPEC) == as_jsonb, literal


@law()
@given(st.one_of(anything, scraps), st.one_of(anything, st.sampled_from(['eq', 'in', 'between', 'is_null', 'nope', 'is', 'LIKE'])), st.lists(anything, max_size=3))
def test_law_robust_builder(db, field, op, arguments):
    """Arbitrary field and operator names; and arbitrary order-by lists and alias names."""
    with db.example():
        parses(db, 'apibase.where(%s)' % ', '.join(v.quote_literal(text) for text in [field, op] + arguments))
        parses(db, "apibase.spec(%s)" % ', '.join(v.quote_literal(text) for text in [field] + arguments))
        parses(db, "* FROM apibase.find(NULL::pg_catalog.pg_class, NULL, %s)" % v.quote_literal(field))
        if op:
            condition = db.value("SELECT apibase.to_sql_condition('relname is null', 'pg_catalog.pg_class', %s)" % v.quote_literal(op))
            assert db.run('SELECT 1 FROM pg_class %s WHERE %s' % (v.quote_ident(op), condition)) == [], condition


@law()
@given(st.one_of(st.binary(max_size=40), mutated(tree.spec_text).map(lambda text: b'\x01' + text.encode())))
def test_law_robust_binary(db, data):
    """Arbitrary bytes as the binary form; a message that ends early is a protocol violation, class 08."""
    message = b'PGCOPY\n\xff\r\n\0' + b'\0' * 8 + b'\0\x01' + len(data).to_bytes(4, 'big') + data + b'\xff\xff'
    with db.example():
        try:
            with db.connection.cursor() as cursor:
                cursor.copy_expert('COPY prop.received (s) FROM STDIN (FORMAT binary)', io.BytesIO(message))
                cursor.execute('SELECT s::text FROM prop.received')
        except psycopg2.Error as error:
            assert error.pgcode is not None and error.pgcode[:2] in REFUSALS + LIMITS + ('08',), (data, error)
