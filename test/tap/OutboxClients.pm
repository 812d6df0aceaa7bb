# OutboxClients: writers that emit events and readers that read the outbox, at the same time, and what must be true afterwards. Used by
# events_outbox.pl and events_crash.pl.
#
# Every transaction of a writer leaves an effect, a row that others can see, and every event tells which effects of others could
# be seen when it was emitted. Whoever emits an event notes its id in the same subtransaction, so what is noted is what was committed.
# Readers note what they have read with the same commit as they acknowledge it.

package OutboxClients;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(outbox_setup outbox_start outbox_finish outbox_drain outbox_verify);

# Of each reader: the limit of a read, and how it goes about it.
my @readers = ([ 1, 3, 'together' ], [ 2, 20, 'apart' ], [ 3, 7, 'repeatable' ]);

sub outbox_setup
{
    my ($node) = @_;
    $node->safe_psql('postgres', <<'END');
CREATE EXTENSION apibase;
CREATE SCHEMA stress;
CREATE TYPE stress.happened AS (writer integer, n integer, step text, seen jsonb, doomed boolean);
CREATE TABLE stress.effect (writer integer, n integer, PRIMARY KEY (writer, n));
CREATE TABLE stress.committed (id uuid);
CREATE TABLE stress.got (reader integer, seq integer, position bigint, id uuid, batch bigint, event stress.happened);
CREATE TABLE stress.stop ();

-- Of each writer the last transaction that can be seen here; of this one's own the one before.
CREATE FUNCTION stress.seen(w integer, n integer) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_object_agg(o.writer, o.n) FROM generate_series(1, 16) x,
        LATERAL (SELECT e.writer, e.n FROM stress.effect e WHERE e.writer = x AND (x <> w OR e.n < seen.n) ORDER BY e.n DESC LIMIT 1) o
$$;
CREATE FUNCTION stress.happen(w integer, n integer, step text, doomed boolean DEFAULT false) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO stress.committed VALUES (apibase.emit(ROW(w, n, step, stress.seen(w, n), doomed)::stress.happened))
$$;
-- With the commit, after everything else.
CREATE FUNCTION stress.deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.n % 5 = 0 THEN
        PERFORM pg_sleep(random() * 0.005);
        PERFORM stress.happen(new.writer, new.n, 'deferred');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON stress.effect DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stress.deferred();

CREATE PROCEDURE stress.write(w integer, seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
    n integer := coalesce((SELECT max(e.n) FROM stress.effect e WHERE e.writer = w), 0);
    repeatable boolean;
BEGIN
    WHILE clock_timestamp() < until LOOP
        n := n + 1;
        repeatable := random() < 0.25;
        COMMIT;
        -- nothing may be evaluated between the two
        IF repeatable THEN
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        END IF;
        IF random() < 0.7 THEN PERFORM stress.happen(w, n, 'early'); END IF;
        IF random() < 0.6 THEN PERFORM pg_sleep(random() * random() * 0.05); END IF;
        IF random() < 0.4 THEN
            BEGIN
                PERFORM stress.happen(w, n, 'undone', true);
                IF random() < 0.5 THEN
                    BEGIN
                        PERFORM stress.happen(w, n, 'undone inside', true);
                    EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL;
                    END;
                END IF;
                RAISE EXCEPTION USING ERRCODE = 'ZZ001';
            EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL;
            END;
        END IF;
        IF random() < 0.4 THEN
            BEGIN
                PERFORM stress.happen(w, n, 'kept');
            EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL;
            END;
        END IF;
        INSERT INTO stress.effect VALUES (w, n);
        IF random() < 0.5 THEN PERFORM stress.happen(w, n, 'late'); END IF;
        IF random() < 0.2 THEN
            PERFORM stress.happen(w, n, 'rolled back', true);
            ROLLBACK;
            n := n - 1;
        END IF;
    END LOOP;
    COMMIT;
END $$;

-- Until there is nothing left and stress.stop has a row. together: note and acknowledge in one transaction; apart: in two, the
-- first not for all that was read; repeatable: in a transaction whose own snapshot is old.
CREATE PROCEDURE stress.read(r integer, "limit" integer, how text) LANGUAGE plpgsql AS $$
DECLARE
    seq integer := coalesce((SELECT max(g.seq) FROM stress.got g WHERE g.reader = r), 0);
    acknowledged bigint := (SELECT c.acknowledged FROM apibase.outbox_consumers c WHERE c.consumer = 'reader ' || r);
    repeatable boolean := how = 'repeatable';
    stopped boolean;
    done bigint;
    entry record;
BEGIN
    -- what it had noted before a crash, and not acknowledged yet
    PERFORM apibase.outbox_ack('reader ' || r, g.position) FROM stress.got g
    WHERE g.reader = r AND g.position > coalesce(acknowledged, 0) ORDER BY g.position DESC LIMIT 1;
    LOOP
        COMMIT;
        -- nothing may be evaluated between the two
        IF repeatable THEN
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        END IF;
        SELECT EXISTS (SELECT FROM stress.stop) INTO stopped;
        IF repeatable THEN PERFORM pg_sleep(0.01); END IF;
        done := NULL;
        FOR entry IN SELECT * FROM apibase.outbox_read('reader ' || r, "limit") LOOP
            EXIT WHEN done IS NOT NULL AND how = 'apart' AND random() < 0.1;
            seq := seq + 1;
            done := entry.position;
            INSERT INTO stress.got VALUES (r, seq, done, (entry.event).id, (entry.event).batch,
                jsonb_populate_record(NULL::stress.happened, (entry.event).payload));
        END LOOP;
        IF how = 'apart' THEN COMMIT; END IF;
        IF done IS NOT NULL THEN
            PERFORM apibase.outbox_ack('reader ' || r, done);
        ELSIF stopped THEN
            EXIT;
        ELSE
            PERFORM pg_sleep(0.005);
        END IF;
    END LOOP;
    COMMIT;
END $$;

-- Pairs of an event and one that it had seen, where that one does not come before it; order: an expression over a row of got.
CREATE FUNCTION stress.inversions("order" text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
    EXECUTE format($q$
        WITH ranked AS MATERIALIZED (SELECT (g.event).writer, (g.event).n, (g.event).seen, rank() OVER (ORDER BY %s) AS place
                FROM stress.got g WHERE g.reader = 1),
            ends AS MATERIALIZED (SELECT writer, n, max(place) AS place FROM ranked GROUP BY writer, n)
        SELECT count(*) FROM ranked e, jsonb_each_text(e.seen) s JOIN ends c ON c.writer = s.key::integer AND c.n = s.value::integer
        WHERE c.place >= e.place$q$, "order") INTO found;
    RETURN found;
END $$;
END
    return;
}

sub start_client
{
    my ($node, $file, $sql) = @_;
    # to files: a client whose pipe is full would stop
    return { file => $file, run => IPC::Run::start(
        [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $sql ], '<', \undef, '>', "$file.out", '2>', "$file.err") };
}

# Writers for some seconds, and readers until outbox_drain.
sub outbox_start
{
    my ($node, $writers, $seconds) = @_;
    my $file = PostgreSQL::Test::Utils::tempdir() . '/client';
    my %clients;
    $clients{writers} = [ map { start_client($node, "$file-w$_", "CALL stress.write($_, $seconds)") } 1 .. $writers ];
    $clients{readers} = [ map { start_client($node, "$file-r$_->[0]", "CALL stress.read($_->[0], $_->[1], '$_->[2]')") } @readers ];
    return \%clients;
}

# Wait for clients; what they said.
sub outbox_finish
{
    my ($clients) = @_;
    $_->{run}->finish foreach @$clients;
    return join('', map { slurp_file("$_->{file}.err") } @$clients);
}

# The writers have ended: let the readers read the rest.
sub outbox_drain
{
    my ($node, $clients) = @_;
    $node->safe_psql('postgres', 'INSERT INTO stress.stop DEFAULT VALUES');
    my $said = outbox_finish($clients->{readers});
    $node->safe_psql('postgres', 'TRUNCATE stress.stop');
    return $said;
}

# What must be true when everything has been read.
sub outbox_verify
{
    my ($node, $what) = @_;
    foreach my $reader (1 .. @readers)
    {
        is($node->safe_psql('postgres', "SELECT count(*) - count(DISTINCT id) FROM stress.got WHERE reader = $reader"),
            0, "$what: reader $reader has got nothing twice");
        is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT id FROM stress.committed EXCEPT SELECT id FROM stress.got WHERE reader = $reader) x"),
            0, "$what: reader $reader has skipped nothing");
        is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT id FROM stress.got WHERE reader = $reader EXCEPT SELECT id FROM stress.committed) x"),
            0, "$what: reader $reader has got nothing that was not committed");
        is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT position, lag(position) OVER (ORDER BY seq) AS before FROM stress.got WHERE reader = $reader) x WHERE position <= before"),
            0, "$what: positions rise for reader $reader");
    }
    is($node->safe_psql('postgres', 'SELECT count(*) FROM stress.got WHERE (event).doomed'), 0, "$what: nothing of an aborted (sub)transaction was read");
    is($node->safe_psql('postgres', q{SELECT stress.inversions('g.position >> 16')}), 0, "$what: no event comes before one that it had seen");
    is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT lag FROM apibase.outbox_consumers WHERE lag <> 0) x'), 0, "$what: no consumer is behind");
    return;
}

1;
