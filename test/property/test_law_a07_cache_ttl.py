"""
test_law_a07_cache_ttl.py: until its time to live is over a value is served, from then on never, and it goes.

The server's clock is set, nothing sleeps.  Real time passes all the same, so what is known of the moment when a value was set and of the moment
of a get are two bounds: the clock before and after.  Where the two moments could be in either order, nothing is asserted; the generated times
make that rare.
"""
from datetime import datetime, timedelta, timezone

from hypothesis import given, strategies as st
import psycopg2
import pytest

import cache_model
import values as v
from laws import law

KEY = 'law ttl:x'
SECOND = 10 ** 6
HOUR = 3600 * SECOND
DAY = 24 * HOUR
EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)

# microseconds; nearly all in the orders of magnitude that people use
times = st.one_of(st.sampled_from([1, 999, 1000, SECOND, 60 * SECOND, HOUR, DAY, 30 * DAY, 365 * DAY, 36500 * DAY]),
                  st.integers(1, 10 * SECOND), st.integers(1, 400 * DAY))


def interval(microseconds):
    """An interval of exactly so many microseconds."""
    return "interval '%d hours %d.%06d secs'" % (microseconds // HOUR, microseconds % HOUR // SECOND, microseconds % SECOND)


def micro(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


class Clock:
    """The server's clock, forward only."""

    def __init__(self, db):
        self.db, self.offset = db, 0

    def forward(self, microseconds):
        self.offset += microseconds
        self.db.run('SELECT apibase_internal.clock_set(%s)' % interval(self.offset))

    def around(self, expression):
        """The value of an expression, and the clock just before and just after it was computed."""
        # three statements, so that nothing is computed earlier than it stands
        before = micro(self.db.value('SELECT apibase_internal.clock_now()'))
        value = self.db.value('SELECT ' + expression)
        return value, before, micro(self.db.value('SELECT apibase_internal.clock_now()'))


class Deadline:
    """Between which two times the value expires."""

    def __init__(self, earliest, latest):
        self.earliest, self.latest = earliest, latest

    def check(self, there, before, after, what):
        """there was seen between before and after."""
        if after < self.earliest:
            assert there, '%s: gone at %d, %d before its time' % (what, after, self.earliest - after)
        if before >= self.latest:
            assert not there, '%s: still there at %d, %d after its time' % (what, before, before - self.latest)


def check_all(clock, deadline):
    """What each function says of the value now.  The get is the last of those that may find it expired first."""
    key = v.quote_literal(KEY)
    there, before, after = clock.around('apibase.cache_exists(%s)' % key)
    deadline.check(there, before, after, 'cache_exists')
    left, before, after = clock.around('(extract(epoch FROM apibase.cache_ttl(%s)) * 1000000)::bigint' % key)
    deadline.check(left is not None, before, after, 'cache_ttl')
    if left is not None:
        assert deadline.earliest - after <= left <= deadline.latest - before, 'cache_ttl says %d' % left
    value, before, after = clock.around('apibase.cache_get(%s)' % key)
    deadline.check(value == 7, before, after, 'cache_get')
    assert value in (7, None)
    many, before, after = clock.around('(SELECT value FROM apibase.cache_get_many(ARRAY[%s]))' % key)
    deadline.check(many == 7, before, after, 'cache_get_many')
    listed, before, after = clock.around('EXISTS (SELECT FROM apibase.cache_entries WHERE key = %s AND valid)' % key)
    deadline.check(listed, before, after, 'cache_entries')
    # what is gone stays gone
    assert value is not None or (many is None and not listed)


@st.composite
def histories(draw):
    """A time to live, and steps: how far the clock goes, as a part of what is left (as the model knows it), and whether the value is touched then."""
    steps = st.tuples(st.one_of(st.sampled_from([(0, 0), (1, 0), (1, 1), (1, -1), (1, SECOND), (1, -5 * SECOND), (1, 60 * SECOND), (1, -60 * SECOND), (2, 0), (1, DAY)]),
                                st.floats(0, 1.5).map(lambda part: (part, 0))),
                      st.one_of(st.none(), st.none(), times))
    return draw(times), draw(st.lists(steps, min_size=1, max_size=5))


def expiry(before, after, ttl):
    return Deadline(before + ttl, after + ttl)


@law()
@given(histories())
def test_law_a07_ttl(db, history):
    """Set, forward, look, touch: each look is right, to the microsecond."""
    ttl, steps = history
    with cache_model.session(db):
        clock = Clock(db)
        done, before, after = clock.around("apibase.cache_set(%s, '7', %s)" % (v.quote_literal(KEY), interval(ttl)))
        assert done is True
        deadline = expiry(before, after, ttl)
        for (part, more), touch in steps:
            now = micro(db.value('SELECT apibase_internal.clock_now()'))
            clock.forward(max(0, int((deadline.latest - now) * part) + more))
            check_all(clock, deadline)
            if touch is not None:
                touched, before, after = clock.around('apibase.cache_touch(%s, %s)' % (v.quote_literal(KEY), interval(touch)))
                deadline.check(touched, before, after, 'cache_touch')
                if touched:
                    deadline = expiry(before, after, touch)
                    check_all(clock, deadline)


@law(0.5)
@given(st.one_of(st.none(), times.filter(lambda n: n >= 1000)), st.one_of(st.none(), st.floats(0, 1)), st.integers(1, 10 ** 6), st.one_of(st.none(), times),
       st.floats(0, 2))
def test_law_a07_default_ttl(db, namespace_ttl, jitter, default, explicit, part):
    """Without a time to live of its own a value has that of its namespace, else apibase.cache_default_ttl; jitter only makes it shorter, by its share."""
    with cache_model.session(db):
        clock = Clock(db)
        cache_model.configure(db, 'law ttl', ttl='NULL' if namespace_ttl is None else interval(namespace_ttl), jitter='NULL' if jitter is None else repr(jitter))
        try:
            db.run('SET apibase.cache_default_ttl = %d' % default)
            ttl = explicit or namespace_ttl or default * SECOND
            done, before, after = clock.around("apibase.cache_set(%s, '7', %s)" % (v.quote_literal(KEY), 'NULL' if explicit is None else interval(explicit)))
            assert done is True
            deadline = Deadline(before + int(ttl * (1 - (jitter or 0))) - 1, after + ttl)
            check_all(clock, deadline)
            clock.forward(int(ttl * part))
            check_all(clock, deadline)
        finally:
            db.run('RESET apibase.cache_default_ttl')
            cache_model.configure(db, 'law ttl')


@law(0.3)
@given(times.filter(lambda n: n >= SECOND), times, st.floats(0, 2))
def test_law_a07_counters_keep_their_time(db, first, second, part):
    """cache_increment gives a new counter a time to live, and an old one keeps the one that it has."""
    with cache_model.session(db):
        clock = Clock(db)
        key = v.quote_literal(KEY)
        db.run('SELECT apibase.cache_delete(%s)' % key)
        _, before, after = clock.around('apibase.cache_increment(%s, 3, %s)' % (key, interval(first)))
        deadline = expiry(before, after, first)
        number, before, after = clock.around('apibase.cache_increment(%s, 4, %s)' % (key, interval(second)))
        if number == 4:     # a second had passed
            deadline.check(False, before, after, 'cache_increment')
            deadline = expiry(before, after, second)
            db.run('SELECT apibase.cache_increment(%s, 3)' % key)
        check_all(clock, deadline)
        clock.forward(int(first * part))
        check_all(clock, deadline)


def test_law_a07_for_ever(db):
    """apibase.cache_default_ttl = 0 is for ever, and so is a time to live of 150 years (over a hundred); neither has a time that is left."""
    with cache_model.session(db):
        clock = Clock(db)
        for setting, ttl in (('0', 'NULL'), ('300', "'150 years'"), ('300', "'100000 years'")):
            db.run('SET apibase.cache_default_ttl = ' + setting)
            assert db.value("SELECT apibase.cache_set(%s, '7', %s)" % (v.quote_literal(KEY), ttl)) is True
            db.run('RESET apibase.cache_default_ttl')
            db.run("SELECT apibase_internal.clock_set('200000 years')")
            assert db.run("SELECT apibase.cache_get(%s), apibase.cache_ttl(%s)" % ((v.quote_literal(KEY),) * 2)) == [(7, None)]
            db.run("SELECT apibase_internal.clock_set('0')")


@law(0.3)
@given(st.one_of(st.just(0), st.integers(-400 * DAY, 0)))
def test_law_a07_not_positive(db, ttl):
    """A time to live that is not positive is refused, wherever it is given."""
    text = "interval '%d microseconds'" % ttl
    with cache_model.session(db):
        for call in ("cache_set('a', '1', %s)", "cache_add('a', '1', %s)", "cache_touch('a', %s)", "cache_increment('a', 1, %s)"):
            with pytest.raises(psycopg2.errors.InvalidParameterValue):
                db.run('SELECT apibase.' + call % text)
