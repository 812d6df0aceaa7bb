"""
test_law_a06_cache_equal.py: what is set is what a get returns, for any JSON under any key, in this session and in others, until it is set anew
or deleted; and a JSON null is a value.

Equal means the same text of the jsonb: 1 and 1.00 are equal numbers, but not the same value.
"""
import itertools
import json

from hypothesis import given, strategies as st
import psycopg2
import pytest

import cache_model
import cache_server
import database
import values as v
from laws import law

# what jsonb can hold: text without \0, numbers of numeric's range
characters = st.characters(blacklist_categories=('Cs',), blacklist_characters='\0')
texts = st.one_of(st.text(characters, max_size=20), st.sampled_from(['', ' ', '"', '\\', '\\u0000', "'", '\x01', '\x7f', 'é', 'e\u0301', '\u2028', '😀', 'null', '$1', '%s']))


digits = st.text('0123456789', min_size=1, max_size=40)
# JSON numbers as text: integers of any size, many decimals, trailing zeros, exponents up to what numeric can hold
integers = st.one_of(st.integers(), st.integers(-10 ** 60, 10 ** 60)).map(str)
numbers = st.one_of(integers, st.tuples(integers, digits).map('.'.join), st.tuples(integers, st.integers(-1000, 1000).map(str)).map('e'.join), st.sampled_from(
    ['0', '-0', '1.0', '1.00', '0.1', '9223372036854775808', '1e10', '1E+2', '1e-10', '1.5e-300', '0e0', '-0.000']))


def object_text(members):
    return '{%s}' % ', '.join('%s: %s' % (json.dumps(name), value) for name, value in members)


def array_text(items):
    return '[%s]' % ', '.join(items)


# JSON as text, since numbers must keep all their digits, and names of members may come twice (the last one counts)
documents = st.recursive(
    st.one_of(st.sampled_from(['null', 'true', 'false', '[]', '{}', '[null]', '{"": null}', '[[[[]]]]']), numbers, texts.map(json.dumps)),
    lambda inner: st.one_of(st.lists(inner, max_size=6).map(array_text),
                            st.lists(st.tuples(texts, inner), max_size=6).map(object_text)), max_leaves=15)


def filled(key, length, filler):
    """The key, followed by so much that it has at least length bytes."""
    key += filler * max(0, (length - len(key.encode())) // len(filler.encode()))
    return key + 'x' * max(0, length - len(key.encode()))


# Of 1 to 1024 bytes: with and without a namespace, colons and wildcards in all places, any characters.
fillers = st.sampled_from(['x', ':', 'é', '😀'])
names = st.one_of(st.text(characters, min_size=1, max_size=30), st.sampled_from(
    [':', '::', ':a', 'a:', 'a::b', '*', 'a:*', '?', '\\', '\\*', 'user:{id}', ' ', 'a b', '"', "'", '\x01', 'é', 'e\u0301', '😀', '$1', '%s']))
keys = st.one_of(names, names, names, st.builds(filled, names, st.sampled_from([64, 65, 100, 127, 128, 129, 255, 256, 1023, 1024]), fillers))


@pytest.fixture(scope='module')
def other(db):
    """A second session."""
    connection = database.connect(database.NAME)
    connection.autocommit = True
    yield connection
    connection.close()


def seen_by(connection, key):
    """The text of what a get of the key, a literal, returns; None for a miss."""
    with connection.cursor() as cursor:
        cursor.execute('SELECT apibase.cache_get(%s)::text' % key)
        return cursor.fetchone()[0]


@law()
@given(st.lists(st.tuples(keys, documents), min_size=1, max_size=3), st.sampled_from(['NULL', "'1 hour'", "'90 years'"]),
       st.lists(names, max_size=4))
def test_law_a06_set_get(db, other, pairs, ttl, tags):
    """Several values, some of them for the same key; single and together; by this session and by another."""
    with cache_model.session(db):
        expected = {}
        for key, document in pairs:
            done, text = db.run('SELECT apibase.cache_set(%s, %s, %s, ARRAY[%s]::text[]), %s::jsonb::text' % (
                v.quote_literal(key), v.quote_literal(document), ttl, ', '.join(map(v.quote_literal, tags)), v.quote_literal(document)))[0]
            assert done is True, (key, document)
            expected[key] = text
        names = 'ARRAY[%s]' % ', '.join(map(v.quote_literal, expected))
        for key, text in expected.items():
            assert seen_by(db.connection, v.quote_literal(key)) == text, key
            assert seen_by(other, v.quote_literal(key)) == text, key
            assert db.value('SELECT apibase.cache_exists(%s)' % v.quote_literal(key)) is True, key
        together = db.run('SELECT key, value::text FROM apibase.cache_get_many(%s)' % names)
        assert len(together) == len(expected) and dict(together) == expected
        # deleted, it is a miss, and the others are what they were
        gone = next(iter(expected))
        assert db.value('SELECT apibase.cache_delete(%s)' % v.quote_literal(gone)) is True
        assert seen_by(other, v.quote_literal(gone)) is None and db.value('SELECT apibase.cache_exists(%s)' % v.quote_literal(gone)) is False
        assert dict(db.run('SELECT key, value::text FROM apibase.cache_get_many(%s)' % names)) == {
            key: text for key, text in expected.items() if key != gone}


@pytest.fixture(scope='module')
def level2():
    """A server with Redis, whose namespace "law two" is kept there only; and a second session."""
    with cache_server.redis() as url, cache_server.server(redis_url=url, redis_connect_timeout="60s", redis_command_timeout="60s") as made:
        cache_model.configure(made, 'law two', levels="'{2}'")
        cache_server.settle(made)
        connection = made.connect()
        yield made, connection
        connection.close()


numbers_of_examples = itertools.count()


@law(0.5)
@given(st.lists(st.tuples(names, documents), min_size=1, max_size=3),
       st.sampled_from(['NULL', "'1 hour'", "'90 years'"]), st.lists(names, max_size=3))
def test_law_a06_level2(level2, pairs, ttl, tags):
    """The same in Redis alone: nothing is in shared memory, and both sessions get it."""
    server, second = level2
    expected = {}
    # keys of its own for each example: what was deleted cannot be set again until Redis has been told so
    number = next(numbers_of_examples)
    for key, document in pairs:
        key = v.quote_literal('law two:%d:%s' % (number, key))
        done, text = server.run('SELECT apibase.cache_set(%s, %s, %s, ARRAY[%s]::text[]), %s::jsonb::text' % (
            key, v.quote_literal(document), ttl, ', '.join(map(v.quote_literal, tags)), v.quote_literal(document)))[0]
        assert done is True, (key, document)
        expected[key] = text
    assert server.value('SELECT count(*) FROM apibase.cache_entries') == 0
    for key, text in expected.items():
        for connection in (server.connection, second):
            assert seen_by(connection, key) == text, key
    together = server.run('SELECT value::text FROM apibase.cache_get_many(ARRAY[%s])' % ', '.join(expected))
    assert sorted(row[0] for row in together) == sorted(expected.values())
    gone = next(iter(expected))
    server.run('SELECT apibase.cache_delete(%s)' % gone)
    assert seen_by(second, gone) is None and seen_by(server.connection, gone) is None


def around_multiple(n, more):
    return n * 128 + more


# Bytes around the sizes of the pieces that an entry is stored in, and up to some hundred thousand.
sizes = st.one_of(st.integers(0, 700), st.builds(around_multiple, st.integers(1, 3000), st.integers(-128, 128)), st.integers(0, 500000))


@law(0.3)
@given(st.lists(st.tuples(st.sampled_from(['law:a', 'law:b', 'law:' + 'c' * 1000]), sizes, st.integers(0, 9), st.integers(0, 64)), min_size=1, max_size=4))
def test_law_a06_large_values(db, other, puts):
    """Values of any size, with any number of tags, one after the other under few keys: longer and shorter ones replace each other."""
    with cache_model.session(db):
        for key, size, start, ntags in puts:
            # digits that do not repeat in any way that hides a piece in the wrong place
            value = ''.join(map(str, range(start, start + size // 5 + 2)))[:size]
            assert db.value("SELECT apibase.cache_set(%s, to_jsonb('%s'::text), NULL, ARRAY(SELECT 'law tag:' || i FROM generate_series(1, %d) i))"
                            % (v.quote_literal(key), value, ntags)) is True
            for connection in (db.connection, other):
                assert seen_by(connection, v.quote_literal(key)) == '"%s"' % value, (key, size)


@law(0.3)
@given(keys, documents, documents)
def test_law_a06_add(db, key, first, second):
    """cache_add gives a value only to a key that has none."""
    with cache_model.session(db):
        name = v.quote_literal(key)
        db.run('SELECT apibase.cache_delete(%s)' % name)
        assert db.value('SELECT apibase.cache_add(%s, %s)' % (name, v.quote_literal(first))) is True
        assert db.value('SELECT apibase.cache_add(%s, %s)' % (name, v.quote_literal(second))) is False
        assert db.value('SELECT apibase.cache_get(%s)::text = %s::jsonb::text' % (name, v.quote_literal(first))) is True


@law()
@given(st.text(characters, min_size=1, max_size=10), st.integers(-2 ** 63, 2 ** 63 - 1), st.lists(st.integers(-2 ** 63, 2 ** 63 - 1), min_size=1, max_size=5))
def test_law_a06_increment(db, key, start, steps):
    """cache_increment is addition, from 0 or from what is there; what does not fit a bigint raises an error and changes nothing."""
    with cache_model.session(db):
        name = v.quote_literal('count:' + key)
        db.run('SELECT apibase.cache_delete(%s)' % name)
        assert db.value('SELECT apibase.cache_increment(%s, %d)' % (name, start)) == start
        for step in steps:
            if -2 ** 63 <= start + step < 2 ** 63:
                start += step
                assert db.value('SELECT apibase.cache_increment(%s, %d)' % (name, step)) == start
            else:
                with pytest.raises(psycopg2.errors.NumericValueOutOfRange):
                    db.run('SELECT apibase.cache_increment(%s, %d)' % (name, step))
        assert db.value('SELECT apibase.cache_get(%s)::text' % name) == str(start)


@law(0.3)
@given(st.one_of(st.just(''), st.builds(filled, names, st.integers(1025, 5000), fillers)))
def test_law_a06_keys_refused(db, key):
    """A key that is empty or longer than 1024 bytes raises PB020 wherever it is given."""
    with cache_model.session(db):
        for call in ("cache_get(%s)", "cache_set(%s, '1')", "cache_exists(%s)", "cache_ttl(%s)", "cache_touch(%s)", "cache_delete(%s)", "cache_add(%s, '1')",
                     "cache_increment(%s)", "cache_get_many(ARRAY['a', %s])"):
            with pytest.raises(psycopg2.Error) as caught:
                db.run('SELECT apibase.' + call % v.quote_literal(key))
            assert caught.value.pgcode == 'PB020', call
