"""
database.py: the connection of the property tests.

The server is the one that PGHOST, PGPORT and PGUSER name.  The tests make a database of their own, with collation C so that the order of
text is that of Python, and drop it at the end.  Each example runs in a transaction that is rolled back.
"""
import os
import time
from contextlib import contextmanager

import psycopg2
import psycopg2.extensions

import kinds
import strategies
import values as v

NAME = 'apibase_property_%d' % os.getpid()

TIME_ZONE = '<+05:45>-05:45'     # the fixed offset values.ZONE_MICROSECONDS

# what lies in wait in a search_path: operators and functions with the right names and the wrong answers
HOSTILE_SQL = """
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.lie(jsonb, text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT NULL::jsonb';
CREATE FUNCTION hostile.lie(jsonb, int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT NULL::jsonb';
CREATE FUNCTION hostile.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT NULL::text';
CREATE FUNCTION hostile.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT NULL::text';
CREATE DOMAIN hostile.int4 AS pg_catalog.text;
CREATE DOMAIN hostile.numeric AS pg_catalog.text;
CREATE DOMAIN hostile.text AS pg_catalog.int4;
CREATE DOMAIN hostile.jsonb AS pg_catalog.int4;
CREATE DOMAIN hostile.date AS pg_catalog.int4;
CREATE COLLATION hostile."C" (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
DO $$
DECLARE op text; ty text;
BEGIN
    FOREACH ty IN ARRAY '{int2,int4,int8,numeric,float4,float8,text,varchar,bpchar,date,time,timestamp,timestamptz,interval,bool,uuid,bytea,jsonb,int4range,
                          anyelement,anyarray}'::text[] LOOP
        EXECUTE format('CREATE FUNCTION hostile.lie(pg_catalog.%1$s, pg_catalog.%1$s) RETURNS boolean LANGUAGE sql IMMUTABLE AS %2$L',
                       ty, 'SELECT NULL::boolean');
        FOREACH op IN ARRAY '{=,<>,<,<=,>,>=,@>,<@,&&,~,!~,~*,!~*,~~,!~~,~~*,!~~*,^@}'::text[] LOOP
            EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = pg_catalog.%s, RIGHTARG = pg_catalog.%2$s, FUNCTION = hostile.lie)', op, ty);
        END LOOP;
    END LOOP;
END $$;
CREATE OPERATOR hostile.-> (LEFTARG = pg_catalog.jsonb, RIGHTARG = pg_catalog.text, FUNCTION = hostile.lie);
CREATE OPERATOR hostile.-> (LEFTARG = pg_catalog.jsonb, RIGHTARG = pg_catalog.int4, FUNCTION = hostile.lie);
"""

# functions through which the tests hold a row, or a specification, where the planner cannot see it
HELPERS_SQL = """
CREATE FUNCTION prop.in_memory(rows_of text, s apibase.spec) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE r record; found int[] := '{}';
BEGIN
    FOR r IN EXECUTE rows_of LOOP
        IF r OPERATOR(apibase.@@) s THEN found := found || r."#"; END IF;
    END LOOP;
    RETURN found;
END $$;
CREATE TABLE prop.sent (n int, s apibase.spec);
CREATE TABLE prop.received (n int, s apibase.spec);
"""


def connect(database):
    connection = psycopg2.connect(dbname=database)
    connection.set_client_encoding('UTF8')
    return connection


class Session:
    """What is done through a connection."""

    connection = None

    def run(self, sql, connection=None):
        """Execute the statements as they stand, through another connection where one is given; the rows of the last, or None."""
        with (connection or self.connection).cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql):
        """The first column of the first row."""
        return self.run(sql)[0][0]

    def ids(self, sql):
        """The first column of all rows, as a set."""
        return {row[0] for row in self.run(sql)}


class Database(Session):
    """One database for the whole run."""

    def __init__(self):
        self.administration = connect(os.environ.get('PGDATABASE', 'postgres'))
        self.administration.autocommit = True
        self.has_extension = False

    def create(self):
        self.administer('DROP DATABASE IF EXISTS %s' % NAME)
        self.administer("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'" % NAME)
        # settings of a session that is not the usual one: literals must not depend on them
        self.administer('ALTER DATABASE %s SET "TimeZone" = %s' % (NAME, v.quote_literal(TIME_ZONE)))
        self.administer("ALTER DATABASE %s SET DateStyle = 'SQL, DMY'" % NAME)
        self.administer("ALTER DATABASE %s SET IntervalStyle = 'postgres'" % NAME)
        self.administer('ALTER DATABASE %s SET jit = off' % NAME)
        self.reconnect()
        strategies.server['version'] = self.connection.server_version
        self.run(kinds.SCHEMA_SQL)
        self.connection.commit()

    def install(self):
        """Create the extension and what stands on it."""
        self.run('CREATE EXTENSION apibase')
        self.run(HOSTILE_SQL)
        self.run(HELPERS_SQL)
        self.connection.commit()
        self.has_extension = True

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.administer('DROP DATABASE IF EXISTS %s' % NAME)
        self.administration.close()

    def administer(self, sql):
        with self.administration.cursor() as cursor:
            cursor.execute(sql)

    def reconnect(self):
        """After a crash of the server its recovery is awaited, so that shrinking can go on."""
        for attempt in range(60):
            try:
                self.connection = connect(NAME)
                return
            except psycopg2.OperationalError:
                if attempt == 59:
                    raise
                time.sleep(0.5)

    @contextmanager
    def example(self):
        """A transaction that leaves nothing behind."""
        if self.connection.closed:
            self.reconnect()
        try:
            yield self
        finally:
            if not self.connection.closed:
                self.connection.rollback()
                self.run('DEALLOCATE ALL')
                self.connection.rollback()

    def failure(self, sql):
        """The SQLSTATE that the statements raise, or None; the transaction goes on.  A lost connection is raised."""
        self.run('SAVEPOINT attempt')
        try:
            self.run(sql)
        except psycopg2.Error as error:
            if self.connection.closed or error.pgcode is None:
                raise
            self.run('ROLLBACK TO attempt; RELEASE attempt')
            return error.pgcode
        self.run('RELEASE attempt')
        return None
