# The cache under concurrent reads, writes, savepoints, aborts and rollbacks: no get ever returns what is stale, what was never
# committed, or what its own transaction has overwritten.
#
# Every row has a version that only grows, and a token that is drawn for each write; committed writes are in the table
# history. A reader looks at the version in the table, then gets: a value with a smaller version was stale before the get
# began. Then it looks for the token in history: one that is not there was never committed. What it does not get it
# reads from the table and puts, sometimes after a rest, so that writers come between.
#
# APIBASE_STRESS_SECONDS is how long it lasts (10).

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 8;
my $seconds = $ENV{APIBASE_STRESS_SECONDS} || 10;

my $node = PostgreSQL::Test::Cluster->new('stress');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase'
apibase.cache_size = 8MB
apibase.cache_max_entries = 1000
fsync = off
END
$node->start;

# Tables that are watched as a whole and by row, one that the writers care for themselves, and one that nobody does.
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION apibase;
CREATE SCHEMA stress;
SET search_path = stress;
CREATE TABLE watched (id integer PRIMARY KEY, version bigint NOT NULL DEFAULT 1, token text NOT NULL DEFAULT 'first');
CREATE TABLE by_row (LIKE watched INCLUDING ALL);
CREATE TABLE by_hand (LIKE watched INCLUDING ALL);
CREATE TABLE nobodys (LIKE watched INCLUDING ALL);
SELECT apibase.cache_watch('watched'), apibase.cache_watch('by_row', rows => true);
INSERT INTO watched (id) SELECT generate_series(1, 10);
INSERT INTO by_row (id) SELECT generate_series(1, 10);
INSERT INTO by_hand (id) SELECT generate_series(1, 10);
INSERT INTO nobodys (id) SELECT generate_series(1, 10);
CREATE TABLE history (token text PRIMARY KEY);
INSERT INTO history VALUES ('first');

CREATE FUNCTION tag(relation text, id integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE relation WHEN 'watched' THEN 'stress.watched' WHEN 'by_row' THEN 'stress.by_row:' || id ELSE relation || ':' || id END
$$;

CREATE FUNCTION version_of(relation text, id integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
BEGIN
    EXECUTE format('SELECT version FROM stress.%I WHERE id = $1', relation) INTO result USING id;
    RETURN result;
END $$;

-- Read the row and put it; whether it was stored.
CREATE FUNCTION fill(relation text, id integer, rest float8) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE document jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t) FROM stress.%I t WHERE id = $1', relation) INTO document USING id;
    IF rest > 0 THEN PERFORM pg_sleep(rest); END IF;
    RETURN apibase.cache_set(relation || ':' || id, document, '1 hour', ARRAY[stress.tag(relation, id)]);
END $$;

-- Get a row, and put it if it is not there. fresh: whether statements here see what is committed meanwhile.
CREATE FUNCTION read(relation text, id integer, fresh boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    seen bigint := stress.version_of(relation, id);
    got jsonb;
BEGIN
    got := apibase.cache_get(relation || ':' || id);
    IF got IS NULL THEN
        RETURN CASE WHEN stress.fill(relation, id, CASE WHEN random() < 0.1 THEN random() * 0.002 ELSE 0 END) THEN 'fills' ELSE 'refused' END;
    ELSIF (got->>'version')::bigint < seen THEN
        RAISE WARNING 'STALE%: % % has version %, the cache %',
            CASE WHEN pg_current_xact_id_if_assigned() IS NOT NULL THEN ' where something was written' ELSE '' END, relation, id, seen, got;
        RETURN 'stale';
    ELSIF fresh AND NOT EXISTS (SELECT FROM stress.history WHERE token = got->>'token') THEN
        RAISE WARNING 'UNCOMMITTED: % %, the cache has %', relation, id, got;
        RETURN 'uncommitted';
    END IF;
    RETURN 'hits';
END $$;

-- After a write in this transaction, a get may return what it has written, or nothing; also when it puts that itself.
CREATE FUNCTION check_own(relation text, id integer, written text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got jsonb := apibase.cache_get(relation || ':' || id);
    stored boolean := false;
BEGIN
    IF got IS NULL AND random() < 0.5 THEN
        stored := stress.fill(relation, id, 0);
        got := apibase.cache_get(relation || ':' || id);
    END IF;
    IF got->>'token' <> written THEN
        RAISE WARNING 'STALE in what was written: % % is %, the cache has %', relation, id, written, got;
        RETURN 'stale';
    END IF;
    RETURN CASE WHEN stored THEN 'private' ELSE 'writes' END;
END $$;

-- Write a row; in a subtransaction, which may fail after all, where savepoint says so.
CREATE FUNCTION write(relation text, id integer, invalidates boolean, savepoint boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    new text := gen_random_uuid();
    early boolean := random() < 0.5;
    result text;
BEGIN
    IF savepoint THEN
        BEGIN
            result := stress.write(relation, id, invalidates, false);
            IF random() < 0.4 THEN RAISE EXCEPTION 'undone' USING ERRCODE = 'ZZ001'; END IF;
            RETURN result;
        EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
            RETURN 'undone';
        END;
    END IF;
    IF invalidates AND early THEN PERFORM apibase.cache_invalidate(stress.tag(relation, id)); END IF;
    EXECUTE format('UPDATE stress.%I SET version = version + 1, token = $1 WHERE id = $2', relation) USING new, id;
    INSERT INTO stress.history VALUES (new);
    IF invalidates AND NOT early THEN PERFORM apibase.cache_invalidate(relation || CASE WHEN random() < 0.1 THEN ':*' ELSE ':' || id END); END IF;
    IF random() < 0.02 THEN PERFORM pg_sleep(random() * 0.003); END IF;
    RETURN stress.check_own(relation, id, new);
END $$;

-- Several writes, in the order of rows so that they do not lock each other out; then a look at a row not written here.
CREATE FUNCTION write_some(relations text[], invalidates boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    id integer;
    result text;
    worst text := 'writes';
BEGIN
    FOREACH relation IN ARRAY relations LOOP
        FOR id IN SELECT i FROM generate_series(1, 10) i WHERE random() < 0.12 LOOP
            result := stress.write(relation, id, invalidates AND relation = 'by_hand', random() < 0.4);
            IF result = 'stale' OR worst = 'writes' THEN worst := result; END IF;
        END LOOP;
    END LOOP;
    -- any row, several times: what this transaction puts itself, others make old
    IF random() < 0.3 THEN
        relation := relations[1 + floor(random() * cardinality(relations))::integer];
        id := 1 + floor(random() * 10)::integer;
        FOR turn IN 1 .. 3 LOOP
            result := stress.read(relation, id, false);
            IF result = 'stale' THEN worst := result; END IF;
            PERFORM pg_sleep(random() * 0.001);
        END LOOP;
    END IF;
    RETURN worst;
END $$;

-- One client. What it did, by name.
CREATE PROCEDURE client(seconds float8, relations text[], invalidates boolean, INOUT counts jsonb) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
    relation text;
    id integer;
    chance float8;
    repeatable boolean;
    undo boolean;
    results text[];
    result text;
BEGIN
    counts := '{}';
    WHILE clock_timestamp() < until LOOP
        chance := random();
        repeatable := random() < 0.2;
        undo := random() < 0.3;
        relation := relations[1 + floor(random() * cardinality(relations))::integer];
        id := 1 + floor(random() * 10)::integer;
        results := '{}';
        COMMIT;
        -- nothing may be evaluated between the two
        IF repeatable THEN
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        END IF;
        IF chance < 0.75 THEN
            results := results || stress.read(relation, id, NOT repeatable);
            IF random() < 0.2 THEN
                PERFORM pg_sleep(random() * 0.002);
                results := results || stress.read(relation, id, NOT repeatable);
            END IF;
        ELSIF chance < 0.98 THEN
            BEGIN
                results := results || stress.write_some(relations, invalidates);
                IF random() < 0.1 THEN RAISE EXCEPTION 'undone' USING ERRCODE = 'ZZ002'; END IF;
            EXCEPTION
                WHEN SQLSTATE 'ZZ002' THEN results := results || 'undone'::text;
                WHEN serialization_failure THEN results := results || 'conflicts'::text;
            END;
            IF undo THEN
                ROLLBACK;
                results := results || 'rollbacks'::text;
            END IF;
        ELSE
            PERFORM apibase.cache_delete(relation || ':' || id);
            IF random() < 0.2 THEN PERFORM apibase.cache_clear(relation || ':*'); END IF;
            IF undo THEN ROLLBACK; END IF;
            results := results || 'deletes'::text;
        END IF;
        FOREACH result IN ARRAY results LOOP
            counts := counts || jsonb_build_object(result, coalesce((counts->>result)::bigint, 0) + 1);
        END LOOP;
    END LOOP;
    COMMIT;
END $$;
END

# Run the clients; the sum of what they did, and what they warned of.
sub run_clients
{
    my ($time, $relations, $invalidates) = @_;
    my (@runs, %sum);
    my $warnings = '';
    # to files: a client whose pipe is full would stop, with what it has locked
    my $file = PostgreSQL::Test::Utils::tempdir() . '/client';
    foreach my $number (1 .. $clients)
    {
        push @runs, IPC::Run::start(
            [   'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c',
                "CALL stress.client($time, '{$relations}', $invalidates, NULL)" ],
            '<', \undef, '>', "$file$number.out", '2>', "$file$number.err");
    }
    $_->finish foreach @runs;
    foreach my $number (1 .. $clients)
    {
        my $counts = slurp_file("$file$number.out");
        my $said = slurp_file("$file$number.err");
        like($counts, qr/^\{.*\}$/m, 'a client ran to its end') or diag($said);
        $sum{$1} += $2 while $counts =~ /"(\w+)": (\d+)/g;
        $warnings .= $said;
    }
    return (\%sum, $warnings);
}

# What was done, for people.
sub show
{
    my ($what, $sum) = @_;
    return diag("$what: " . join(', ', map { "$sum->{$_} $_" } sort keys %$sum));
}

# The control: with nobody to invalidate, the same clients see stale values, so they would see them elsewhere too.
my ($sum, $warnings) = run_clients(2, 'nobodys', 'false');
cmp_ok($sum->{stale} // 0, '>', 0, 'the clients notice stale values where nothing is invalidated');
like($warnings, qr/^WARNING:  STALE: nobodys/m, 'and say so');

($sum, $warnings) = run_clients($seconds, 'by_hand,by_row,watched', 'true');
show("$clients clients for $seconds s", $sum);
is($sum->{stale} // 0, 0, 'no get returns what is stale');
is($sum->{uncommitted} // 0, 0, 'nor what was not committed');
is($warnings, '', 'and there is nothing else to warn of');
foreach my $what (qw(hits fills refused writes undone rollbacks private deletes conflicts))
{
    cmp_ok($sum->{$what} // 0, '>', 0, "the clients came across $what");
}

# Afterwards the cache agrees with the tables, its structures are sound, and no tag has been left as being committed: all
# rows can be put and are there.
is($node->safe_psql('postgres', <<'END'), 0, 'what is left in the cache is what is in the tables');
SELECT count(*)
FROM (SELECT 'watched' AS r, w.* FROM stress.watched w UNION ALL SELECT 'by_row', w.* FROM stress.by_row w UNION ALL SELECT 'by_hand', w.* FROM stress.by_hand w) t
WHERE apibase.cache_get(r || ':' || id)->>'version' <> version::text
END
is($node->safe_psql('postgres', 'SELECT * FROM apibase_internal.cache_verify()'), '', 'the cache is sound');
is($node->safe_psql('postgres', <<'END'), '30|30', 'every row can be put and got again');
SELECT count(*) FILTER (WHERE stress.fill(r, id, 0)), count(*) FILTER (WHERE apibase.cache_get(r || ':' || id) IS NOT NULL)
FROM unnest('{watched,by_row,by_hand}'::text[]) r, generate_series(1, 10) id
END

$node->stop;
done_testing();
