"""
test_law_b09_breaker.py: a circuit breaker goes from closed to open on failures, to half open after its time, from there to closed on success or to open on a
failure, and nowhere else.  Several sessions call a function whose calls begin and end in any order; each step is compared with a model.  The time
is that of the clock that tests can set: a step of it is half an hour, which no example takes.
"""
import select

import psycopg2
import psycopg2.extensions
import pytest
from hypothesis import given, strategies as st

import database
from laws import law

SESSIONS = 3
STEP = 30                        # minutes
LEGAL = {('closed', 'open'), ('open', 'half_open'), ('half_open', 'closed'), ('half_open', 'open')}

# A call waits at the gate of its session, and then succeeds, fails, or raises an error that is its caller's fault.
FUNCTIONS_SQL = """
CREATE FUNCTION prop.guarded(gate int, ending text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(9, gate);
    IF ending = 'failure' THEN RAISE 'a failure'; END IF;
    IF ending = 'neither' THEN RAISE division_by_zero; END IF;
    RETURN 'served';
END $$;
CREATE FUNCTION prop.guarded_instead(gate int, ending text) RETURNS text LANGUAGE sql AS $$SELECT 'instead'$$;
"""


class Model:
    """What the breaker should be."""

    def __init__(self, failure_threshold, success_threshold, recovery):
        self.failure_threshold, self.success_threshold, self.recovery = failure_threshold, success_threshold, recovery
        self.now = 0
        self.last_number = 0
        self.transitions = []
        self.reset()

    def reset(self):
        self.state, self.number, self.failures, self.successes, self.probe, self.opened, self.refused = 'closed', 0, 0, 0, False, 0, 0

    def change(self, state):
        self.transitions.append((self.state, state))
        self.last_number += 1
        self.state, self.number, self.successes, self.probe = state, self.last_number, 0, False

    def open(self):
        self.change('open')
        self.retry_at = self.now + self.recovery
        self.opened += 1

    def begin(self):
        """The number that the call begins under and whether it is a probe; None if it is refused."""
        if self.state == 'open' and self.now >= self.retry_at:
            self.change('half_open')
        if self.state == 'open' or self.probe:
            self.refused += 1
            return None
        self.probe = self.state == 'half_open'
        return self.number, self.probe

    def end(self, call, ending):
        number, probe = call
        if number != self.number:
            return
        if probe:
            self.probe = False
        if ending == 'failure':
            self.failures += 1
            if probe or self.failures >= self.failure_threshold:
                self.open()
        elif ending == 'success' and not probe:
            self.failures = 0
        elif ending == 'success':
            self.successes += 1
            if self.successes >= self.success_threshold:
                self.change('closed')
                self.failures = 0


class Session:
    """A session in which a call can be under way."""

    def __init__(self, gate):
        self.gate = gate
        self.connection = psycopg2.connect(dbname=database.NAME, async_=True)
        self.wait()
        self.cursor = self.connection.cursor()
        self.cursor.execute('SELECT pg_backend_pid()')
        self.wait()
        self.pid = self.cursor.fetchone()[0]
        self.call = self.ending = None      # of the call that is under way, as the model sees it
        self.at_gate = False

    def done(self, timeout):
        """Whether what was sent has been answered; errors are raised."""
        state = self.connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return True
        readers = [self.connection] if state == psycopg2.extensions.POLL_READ else []
        writers = [self.connection] if state == psycopg2.extensions.POLL_WRITE else []
        select.select(readers, writers, [], timeout)
        return False

    def wait(self):
        while not self.done(10):
            pass

    def run(self, sql):
        self.cursor.execute(sql)
        self.wait()

    def answer(self):
        """What the call has answered, or its SQLSTATE; its transaction is rolled back."""
        try:
            self.wait()
            answer = self.cursor.fetchone()[0]
        except psycopg2.Error as error:
            answer = error.pgcode
        self.run('ROLLBACK')
        return answer


class Guarded:
    """The function, the sessions, and one in which to look and to open and shut the gates."""

    def __init__(self, db):
        self.control = database.connect(database.NAME)
        self.control.autocommit = True
        self.cursor = self.control.cursor()
        self.cursor.execute(FUNCTIONS_SQL)
        self.sessions = [Session(gate) for gate in range(SESSIONS)]

    def close(self):
        self.cursor.execute("SELECT apibase_internal.clock_set('0')")
        for session in self.sessions:
            session.connection.close()
        self.control.close()

    def value(self, sql):
        self.cursor.execute(sql)
        return self.cursor.fetchone()[0]

    def start(self, failure_threshold, success_threshold, recovery, fallback):
        self.cursor.execute("SELECT apibase_internal.clock_set('0')")
        self.cursor.execute("SELECT apibase.circuit_breaker('prop.guarded(int,text)', %d, '%d min', %d%s)" % (
            failure_threshold, recovery * STEP, success_threshold, ", 'prop.guarded_instead(int,text)'" if fallback else ''))
        self.cursor.execute("SELECT apibase.circuit_breaker_reset('prop.guarded(int,text)')")

    def begin(self, session, ending):
        """Begin a call and let it come to its gate.  What it has answered if it did not get that far."""
        self.cursor.execute('SELECT pg_advisory_lock(9, %d)' % session.gate)
        session.run('BEGIN')
        session.cursor.execute("SELECT prop.guarded(%d, '%s')" % (session.gate, ending))
        while True:
            try:
                if session.done(0.001):
                    break
            except psycopg2.Error as error:
                session.run('ROLLBACK')
                self.open_gate(session)
                return error.pgcode
            if self.value("SELECT count(*) FROM pg_locks WHERE pid = %d AND locktype = 'advisory' AND NOT granted" % session.pid):
                session.at_gate = True
                return None
        answer = session.answer()
        self.open_gate(session)
        return answer

    def open_gate(self, session):
        self.cursor.execute('SELECT pg_advisory_unlock(9, %d)' % session.gate)

    def end(self, session):
        self.open_gate(session)
        session.call, session.at_gate = None, False
        return session.answer()

    def state(self):
        self.cursor.execute("SELECT state, failures, opened, refused FROM apibase.circuit_breakers WHERE function = 'prop.guarded(int,text)'::regprocedure")
        return self.cursor.fetchone()


@pytest.fixture(scope='module')
def guarded(db):
    made = Guarded(db)
    yield made
    made.close()


ENDINGS = ['failure', 'failure', 'failure', 'success', 'success', 'neither']
ANSWERS = {'failure': 'P0001', 'success': 'served', 'neither': '22012'}
steps = st.lists(st.one_of(
    st.tuples(st.just('call'), st.integers(0, SESSIONS - 1), st.sampled_from(ENDINGS)),
    st.tuples(st.just('call'), st.integers(0, SESSIONS - 1), st.sampled_from(ENDINGS)),
    st.tuples(st.just('begin'), st.integers(0, SESSIONS - 1), st.sampled_from(ENDINGS)),
    st.tuples(st.just('end'), st.integers(0, SESSIONS - 1), st.just('')),
    st.tuples(st.just('time'), st.integers(1, 3), st.just('')),
    st.tuples(st.just('time'), st.integers(1, 3), st.just('')),
    st.tuples(st.just('reset'), st.just(0), st.just(''))), min_size=5, max_size=30)


def begin(guarded, model, session, ending, refusal):
    """Begin a call, in the model and in fact."""
    session.call, session.ending = model.begin(), ending
    answer = guarded.begin(session, ending)
    assert answer == (refusal if session.call is None else None)


def end(guarded, model, session):
    model.end(session.call, session.ending)
    assert guarded.end(session) == ANSWERS[session.ending]


def take(guarded, model, step, refusal):
    kind, number, ending = step
    session = guarded.sessions[number % SESSIONS]
    if kind in ('call', 'begin') and session.call is None:
        begin(guarded, model, session, ending, refusal)
    if kind in ('call', 'end') and session.call is not None:
        end(guarded, model, session)
    if kind == 'time':
        model.now += number
        guarded.cursor.execute("SELECT apibase_internal.clock_set('%d min')" % (model.now * STEP))
    if kind == 'reset':
        guarded.cursor.execute("SELECT apibase.circuit_breaker_reset('prop.guarded(int,text)')")
        model.reset()


@law(0.5)
@given(failure_threshold=st.sampled_from([1, 1, 2, 3]), success_threshold=st.integers(1, 3), recovery=st.integers(1, 3), fallback=st.booleans(), sequence=steps)
def test_law_b09_breaker(guarded, failure_threshold, success_threshold, recovery, fallback, sequence):
    """Calls of three sessions, all rolled back, whose beginnings and ends interleave, as time passes."""
    model = Model(failure_threshold, success_threshold, recovery)
    guarded.start(failure_threshold, success_threshold, recovery, fallback)
    try:
        for step in sequence:
            take(guarded, model, step, 'instead' if fallback else 'PB031')
            assert guarded.state() == (model.state, model.failures, model.opened, model.refused), step
            assert set(model.transitions) <= LEGAL
    finally:
        for session in guarded.sessions:
            if session.at_gate:
                guarded.end(session)
            session.call = None
