"""
test_law_a08_cache_lru.py: with room for N, the N+1st entry pushes out the least recently used one, and nothing else: in a namespace with a bound
of entries or of bytes, and in the whole server, over 30,000 operations and under concurrency.

The judge is cache_model.py.  What each operation answered is compared, and at the end, or now and then, all keys that are held, in the order of
their last use.
"""
import random
import threading

from hypothesis import given, strategies as st
import pytest

import cache_model
import cache_server
import values as v
from laws import SEED, law

NAMESPACE = 'law lru'
KEYS = ['%s:%s' % (NAMESPACE, name) for name in 'abcdefghijkl']

# In seconds, so far apart that the seconds which the run itself takes decide nothing.
TTLS = [1000, 3000, 10 ** 6]
CLOCKS = [500, 1500, 2500, 3500]

key = st.sampled_from(KEYS)
ttl = st.sampled_from(TTLS)


def operation(op, **arguments):
    return st.fixed_dictionaries(dict({'op': st.just(op)}, **arguments))


def operations(value):
    """Mostly what changes the order."""
    tags = st.sampled_from([[], [], [], ['law lru tag'], ['law lru tag:1']])
    sets = operation('set', key=key, value=value, ttl=ttl, tags=tags)
    gets = operation('get', key=key)
    return st.lists(st.one_of(
        sets, sets, sets, sets, gets, gets, gets, gets,
        operation('get_many', keys=st.lists(key, max_size=3)), operation('touch', key=key, ttl=ttl), operation('exists', key=key), operation('ttl', key=key),
        operation('delete', key=key), operation('add', key=key, value=value, ttl=ttl), operation('clock', offset=st.sampled_from(CLOCKS)),
        operation('invalidate', tag=st.sampled_from(['law lru tag', 'law lru tag:1', 'law lru tag:*'])),
        operation('clear', pattern=st.sampled_from([NAMESPACE + ':*'] + [name + '*' for name in KEYS]))), min_size=1, max_size=60)


def forward_only(sequence):
    """A clock that goes back is nobody's."""
    latest = 0
    for one in sequence:
        if one['op'] == 'clock':
            one['offset'] = latest = max(latest, one['offset'])
    return sequence


@pytest.fixture(scope='module')
def lru_db(db):
    with cache_model.session(db):
        cache_model.install(db)
    yield db
    with cache_model.session(db):
        cache_model.configure(db, NAMESPACE)
        db.run("SELECT apibase.cache_clear('%s:*')" % NAMESPACE)


def compare(db, model, sequence, prefix):
    """Run the operations on both, and compare."""
    answers = cache_model.run(db, sequence)
    for number, (one, answer) in enumerate(zip(sequence, answers)):
        expected = model.apply(one)
        assert answer == expected, 'after %s\n%s answers %s, not %s; the model holds %s' % (sequence[:number], one, answer, expected, model.served())
    held, served = cache_model.held(db, prefix), model.served()
    assert held == served, 'after %s\nthe server holds %s\nthe model holds %s' % (sequence, held, served)


@law()
@given(st.integers(1, 8), operations(st.integers(0, 9)).map(forward_only))
def test_law_a08_lru_namespace(lru_db, room, sequence):
    """A namespace with a bound of entries, under all operations, with times to live and tags."""
    with cache_model.session(lru_db) as db:
        db.run("SELECT apibase.cache_clear('%s:*')" % NAMESPACE)
        cache_model.configure(db, NAMESPACE, max_entries=room)
        compare(db, cache_model.Cache(max_entries=room), sequence, NAMESPACE + ':')


sizes = {}       # of entries, by the lengths of value and tags; all keys are equally long


@law()
@given(st.integers(0, 12), st.integers(1, 12), operations(st.sampled_from(['', 'x' * 150, 'x' * 600, 'x' * 1500])).map(forward_only))
def test_law_a08_lru_bytes(lru_db, room_entries, room, sequence):
    """A namespace with a bound of bytes, and perhaps one of entries too; what an entry counts for is what cache_entries says of its like elsewhere."""
    def size_of(name, value, tags):
        like = (len(value), len(''.join(tags)))
        if like not in sizes:
            twin = name.replace('lru', 'one')     # of the same length, in a namespace that has no bound
            lru_db.run("SELECT apibase.cache_set('%s', to_jsonb('%s'::text), '1 hour', ARRAY[%s]::text[])" % (twin, value, ', '.join(map(v.quote_literal, tags))))
            sizes[like] = lru_db.value("SELECT bytes FROM apibase.cache_entries WHERE key = '%s'" % twin)
        return sizes[like]

    with cache_model.session(lru_db) as db:
        db.run("SELECT apibase.cache_clear('%s:*')" % NAMESPACE)
        max_bytes = room * size_of(KEYS[0], 'x' * 600, ()) // 2
        cache_model.configure(db, NAMESPACE, max_bytes=max_bytes, max_entries=room_entries or 'NULL')
        compare(db, cache_model.Cache(room_entries or None, max_bytes, size_of), sequence, NAMESPACE + ':')
        total = db.value("SELECT coalesce(sum(bytes), 0) FROM apibase.cache_entries WHERE starts_with(key, '%s:')" % NAMESPACE)
        assert total <= max_bytes


ROOM = 500


@pytest.fixture(scope='module')
def small_server():
    with cache_server.server(cache_max_entries=ROOM, cache_size='16MB') as made:
        yield made


def random_operation(rng, names):
    """Uniform keys, so that about half of the gets find nothing: sets are more than half."""
    name = rng.choice(names)
    return rng.choices([
        {'op': 'set', 'key': name, 'value': rng.choice(['v', 'v' * 120, 'v' * 2000]), 'ttl': rng.choice(TTLS), 'tags': []},
        {'op': 'get', 'key': name},
        {'op': 'get_many', 'keys': rng.sample(names, 3)},
        {'op': 'touch', 'key': name, 'ttl': 10 ** 6},
        {'op': 'exists', 'key': name},
        {'op': 'delete', 'key': name}], [50, 35, 5, 5, 3, 2])[0]


def test_law_a08_lru_server(small_server):
    """30,000 random operations over three times as many keys as there is room for, in several namespaces; all held keys compared every 500."""
    rng = random.Random(SEED)
    names = ['ns%d:%d' % (n % 5, n) for n in range(2 * ROOM)] + ['key %d' % n for n in range(ROOM)]
    model = cache_model.Cache(max_entries=ROOM)
    small_server.run("SELECT apibase.cache_clear()")
    evictions = small_server.value("SELECT sum(evictions) FROM apibase.cache_stats WHERE level = 'l1'")
    for batch in range(60):
        sequence = [random_operation(rng, names) for _ in range(499)]
        compare(small_server, model, sequence + [{'op': 'clock', 'offset': 500 + 250 * (batch // 4)}], '')
        assert small_server.value('SELECT count(*) FROM apibase_internal.cache_verify()') == 0
    assert model.evicted > 5000 and len(model.entries) == ROOM
    assert small_server.value("SELECT sum(evictions) FROM apibase.cache_stats WHERE level = 'l1'") - evictions == model.evicted
    small_server.run("SELECT apibase_internal.clock_set('0')")


def test_law_a08_lru_concurrent(small_server):
    """Four sessions use a hot part of what is held, at the same time; then so many entries come that all others must go: what is hot stays, to the last one."""
    hot, cold = ROOM * 4 // 10, ROOM * 6 // 10
    small_server.run('SELECT apibase.cache_clear()')
    small_server.run("SELECT apibase.cache_set('hot ' || n, '1', '1 day') FROM generate_series(1, %d) n" % hot)
    small_server.run("SELECT apibase.cache_set('cold ' || n, '1', '1 day') FROM generate_series(1, %d) n" % cold)
    assert small_server.value('SELECT count(*) FROM apibase.cache_entries') == ROOM
    misses, start = [], threading.Barrier(4)

    def use(number):
        with small_server.connect() as connection:
            start.wait()
            for turn in range(100):
                misses.append(small_server.run("SELECT count(*) FROM (SELECT n FROM generate_series(1, %d) n ORDER BY hashint4(n + %d)) o "
                                               "WHERE apibase.cache_get('hot ' || n) IS NULL" % (hot, 1000 * number + turn), connection)[0][0])

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert misses == [0] * 400
    small_server.run("SELECT apibase.cache_set('new ' || n, '1', '1 day') FROM generate_series(1, %d) n" % cold)
    assert small_server.run("SELECT split_part(key, ' ', 1), count(*) FROM apibase.cache_entries GROUP BY 1 ORDER BY 1") == [('hot', hot), ('new', cold)]


def test_law_a08_sets_at_once(small_server):
    """Four sessions set at the same time, more than there is room for: the bound holds at every moment, and in the end there is no place lost."""
    small_server.run('SELECT apibase.cache_clear()')
    start, over = threading.Barrier(5), []

    def fill(number):
        with small_server.connect() as connection:
            start.wait()
            for turn in range(10):
                small_server.run("SELECT apibase.cache_set('at once %d ' || n, to_jsonb(repeat('x', (n * 7919) %% 3000)), '1 day') FROM generate_series(%d, %d) n"
                                 % (number, turn * 200, turn * 200 + 199), connection)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        over.append(small_server.value('SELECT entries FROM apibase.cache_memory'))
    for thread in threads:
        thread.join()
    assert max(over, default=0) <= ROOM
    assert small_server.value('SELECT count(*) FROM apibase.cache_entries') == ROOM
    assert small_server.value('SELECT count(*) FROM apibase_internal.cache_verify()') == 0
