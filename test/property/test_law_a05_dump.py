"""
test_law_a05_dump.py: stored specifications survive pg_dump and restore, and mean the same afterwards.

Each example puts its specification into every place that stores one (a column, a default, a view, a row policy, a check constraint, a partial
index, the condition of a trigger, a function), dumps the database, restores it into another, and compares.
"""
import os
import shutil
import subprocess

import pytest
from hypothesis import given, strategies as st

import database
import kinds
import oracle
import strategies
import tree
import values as v
from laws import law

SPEC = '::apibase.spec'
SOURCE, TARGET = database.NAME + '_source', database.NAME + '_target'
READER = database.NAME + '_reader'


def client(name):
    """A client program of the server that pg_config names; Debian's wrappers choose by cluster instead."""
    config = os.environ.get('PG_CONFIG') or shutil.which('pg_config')
    if config:
        directory = subprocess.run([config, '--bindir'], check=True, capture_output=True, text=True).stdout.strip()
        if os.access(os.path.join(directory, name), os.X_OK):
            return os.path.join(directory, name)
    return name


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=dict(os.environ, PGOPTIONS='-c client_min_messages=warning'))
    assert done.returncode == 0, '%s: %s' % (command, done.stderr)
    return done.stdout


def objects_sql(number, table, spec):
    """One table with its specification in every place."""
    relation = 'prop."T %d"' % number
    match = 't OPERATOR(apibase.@@) %s' % spec
    sql = table.sql().replace(strategies.RELATION, relation)
    return sql + """
        CREATE TABLE prop.store_{n} (s apibase.spec DEFAULT {spec}, list apibase.spec[]);
        INSERT INTO prop.store_{n} VALUES (DEFAULT, ARRAY[{spec}, NULL]);
        CREATE VIEW prop.view_{n} AS SELECT * FROM {relation} t WHERE {match};
        CREATE TABLE prop.checked_{n} (LIKE {relation});
        INSERT INTO prop.checked_{n} SELECT * FROM {relation} t WHERE {match};
        ALTER TABLE prop.checked_{n} ADD CONSTRAINT fits CHECK (checked_{n} OPERATOR(apibase.@@) {spec});
        CREATE TABLE prop.guarded_{n} AS SELECT * FROM {relation};
        ALTER TABLE prop.guarded_{n} ENABLE ROW LEVEL SECURITY;
        CREATE POLICY fits ON prop.guarded_{n} USING (guarded_{n} OPERATOR(apibase.@@) {spec});
        GRANT SELECT ON prop.guarded_{n} TO {reader};
        DO $index$ BEGIN
            CREATE INDEX part_{n} ON prop.guarded_{n} ("#") WHERE guarded_{n} OPERATOR(apibase.@@) {spec};
        EXCEPTION WHEN invalid_object_definition THEN   -- a literal that depends on settings
        END $index$;
        CREATE TABLE prop.triggered_{n} (LIKE {relation});
        CREATE TRIGGER fits AFTER INSERT ON prop.triggered_{n} FOR EACH ROW WHEN (NEW OPERATOR(apibase.@@) {spec}) EXECUTE FUNCTION prop.note();
        CREATE FUNCTION prop.found_{n}() RETURNS SETOF int LANGUAGE sql STABLE BEGIN ATOMIC SELECT "#" FROM {relation} t WHERE {match}; END;
        """.format(n=number, relation=relation, spec=spec, match=match, reader=READER)


SETUP = """
    CREATE TABLE prop.notes (n int);
    CREATE FUNCTION prop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO prop.notes VALUES (NEW."#"); RETURN NULL; END';
    GRANT USAGE ON SCHEMA prop, apibase TO %s;
    """ % READER


def meaning(name, table, number):
    """What the objects of one example do in a database: everything that the specification decides."""
    connection = database.connect(name)
    try:
        with connection.cursor() as cursor:
            def ids(sql):
                cursor.execute(sql)
                return {row[0] for row in cursor.fetchall()}
            cursor.execute('SELECT s::text, list[1]::text, list[2] IS NULL FROM prop.store_%d' % number)
            stored = cursor.fetchall()
            cursor.execute('INSERT INTO prop.triggered_{0} SELECT * FROM prop."T {0}"'.format(number))
            found = {'view': ids('SELECT "#" FROM prop.view_%d' % number), 'function': ids('SELECT prop.found_%d()' % number),
                     'trigger': ids('SELECT n FROM prop.notes'), 'checked': ids('SELECT "#" FROM prop.checked_%d' % number)}
            cursor.execute("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indpred IS NOT NULL AND indexrelid = to_regclass('prop.part_%d')" % number)
            stored += cursor.fetchall()
            cursor.execute('SET LOCAL enable_seqscan = off')
            cursor.execute('SET LOCAL ROLE ' + READER)
            found['policy'] = ids('SELECT "#" FROM prop.guarded_%d' % number)
            cursor.execute('RESET ROLE')
            refused = set()
            for row in range(len(table.rows)):
                cursor.execute('SAVEPOINT attempt')
                try:
                    cursor.execute('INSERT INTO prop.checked_{0} SELECT * FROM prop."T {0}" WHERE "#" = {1}'.format(number, row))
                except database.psycopg2.errors.CheckViolation:
                    refused.add(row)
                cursor.execute('ROLLBACK TO attempt')
            found['accepted'] = set(range(len(table.rows))) - refused
            return stored, found
    finally:
        connection.close()


@pytest.fixture(scope='module')
def reader(db):
    db.administer('CREATE ROLE ' + READER)
    yield
    for name in (SOURCE, TARGET):
        db.administer('DROP DATABASE IF EXISTS ' + name)
    db.administer('DROP ROLE ' + READER)


def fresh(db, name):
    db.administer('DROP DATABASE IF EXISTS ' + name)
    db.administer("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'" % name)
    db.administer('ALTER DATABASE %s SET "TimeZone" = %s' % (name, v.quote_literal(database.TIME_ZONE)))


# an example holds four tables with nine stored specifications each, and two databases are made for it
@law(0.03)
@given(st.lists(strategies.cases(depth=2, max_columns=3), min_size=1, max_size=4))
def test_law_a05_dump_and_restore(db, reader, cases):
    """The restored database says the same, does the same, and dumps the same."""
    fresh(db, SOURCE)
    fresh(db, TARGET)
    specs = [v.quote_literal(tree.spec_text(spec)) + SPEC for _, spec in cases]
    # a plain table has no rows that only a child by inheritance could have
    cases = [(table._replace(shape='view' if table.shape == 'view' else 'plain', columns=tuple(
        column._replace(not_null=column.not_null and table.shape != 'inherited') for column in table.columns)), spec) for table, spec in cases]
    script = ['CREATE EXTENSION apibase;', kinds.SCHEMA_SQL, SETUP]
    for number, (table, _) in enumerate(cases):
        script.append(objects_sql(number, table, specs[number]).replace('prop.base', 'prop.base_%d' % number))
    connection = database.connect(SOURCE)
    try:
        with connection.cursor() as cursor:
            cursor.execute('\n'.join(script))
        connection.commit()
    finally:
        connection.close()
    dump = run(client('pg_dump'), SOURCE)
    run(client('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', TARGET, text=dump)
    for number, (table, spec) in enumerate(cases):
        expected = {row for row, keys in enumerate(table.keys()) if oracle.satisfied(spec, keys)}
        before, after = meaning(SOURCE, table, number), meaning(TARGET, table, number)
        assert before == after, (script[-1], before, after)
        for place, found in after[1].items():
            assert found == expected, '%s\n%s: got %s, expected %s' % (table.sql(), place, found, expected)
    assert comparable(run(client('pg_dump'), TARGET)) == comparable(dump)


def comparable(dump):
    """A dump without the lines that differ from run to run."""
    return [line for line in dump.splitlines() if not line.startswith(('\\restrict', '\\unrestrict', '--'))]
