"""
conftest.py: settings of Hypothesis and the database of the run.

APIBASE_EXAMPLES   examples a law (1000)
APIBASE_SEED       the seed; without it a new one is drawn.  It is printed at the start, and with every failure.
"""
import pytest

import database
import laws


def pytest_report_header(config):
    return 'apibase property tests: %d examples a law, APIBASE_SEED=%d' % (laws.EXAMPLES, laws.SEED)


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.stats.get('failed'):
        terminalreporter.write_line('to repeat this run: APIBASE_SEED=%d APIBASE_EXAMPLES=%d' % (laws.SEED, laws.EXAMPLES))


@pytest.fixture(scope='session')
def plain_db():
    """A database without the extension in it yet."""
    made = database.Database()
    made.create()
    yield made
    made.drop()


@pytest.fixture(scope='session')
def db(plain_db):
    """The database with the extension."""
    if not plain_db.has_extension:
        plain_db.install()
    return plain_db
