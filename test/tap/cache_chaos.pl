# The structures of the cache in shared memory outlive whatever happens to backends: clients that set, get, delete and invalidate
# values of all sizes in a cache that is always full, while they are cancelled, terminated, timed out and short of memory.
# Every now and then, and at the end: the cache is sound, and within its bounds. Then backends are killed with kill -9: the
# server starts again, with an empty cache.
#
# APIBASE_STRESS_SECONDS is how long it lasts (20).

use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $clients = 8;
my $seconds = $ENV{APIBASE_STRESS_SECONDS} || 20;

my $node = PostgreSQL::Test::Cluster->new('chaos');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase'
apibase.cache_size = 2MB
apibase.cache_max_entries = 300
apibase.cache_max_value_percent = 50
max_prepared_transactions = 10
restart_after_crash = on
deadlock_timeout = 100ms
fsync = off
log_min_messages = fatal
END
$node->start;

$node->safe_psql('postgres', <<'END');
CREATE EXTENSION apibase;
CREATE SCHEMA chaos;
SET search_path = chaos;
CREATE TABLE item (id integer PRIMARY KEY, v integer NOT NULL);
INSERT INTO item SELECT i, 0 FROM generate_series(1, 50) i;
SELECT apibase.cache_watch('item', rows => true);
SELECT apibase.cache_configure('small', max_entries => 20), apibase.cache_configure('narrow', max_bytes => 100000),
    apibase.cache_configure('short', ttl => '50 ms', jitter => 0.5);

-- Mostly short, sometimes a megabyte.
CREATE FUNCTION some_value() RETURNS jsonb LANGUAGE sql AS $$
    SELECT to_jsonb(repeat(chr(97 + (random() * 25)::integer), (10 ^ (random() * CASE WHEN random() < 0.1 THEN 6 ELSE 4 END))::integer))
$$;
CREATE FUNCTION some_key() RETURNS text LANGUAGE sql AS $$
    SELECT (ARRAY['', 'small:', 'narrow:', 'short:', 'long key ' || repeat('k', 900)])[1 + floor(random() * 5)::integer] || floor(random() * 200)
$$;
CREATE FUNCTION some_tags() RETURNS text[] LANGUAGE sql AS $$
    SELECT ARRAY(SELECT 'chaos.item:' || ceil(random() * 50) FROM generate_series(1, floor(random() * random() * 40)::integer))
$$;

CREATE FUNCTION anything() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    chance float8 := random();
BEGIN
    CASE
    WHEN chance < 0.35 THEN
        PERFORM apibase.cache_set(chaos.some_key(), chaos.some_value(), CASE WHEN random() < 0.5 THEN make_interval(secs => 0.001 + random()) END, chaos.some_tags());
    WHEN chance < 0.75 THEN PERFORM apibase.cache_get(chaos.some_key());
    WHEN chance < 0.78 THEN PERFORM count(*) FROM apibase.cache_get_many(ARRAY(SELECT chaos.some_key() FROM generate_series(1, 20)));
    WHEN chance < 0.81 THEN PERFORM apibase.cache_delete(chaos.some_key());
    WHEN chance < 0.84 THEN PERFORM apibase.cache_invalidate(VARIADIC chaos.some_tags());
    WHEN chance < 0.841 THEN PERFORM apibase.cache_clear((ARRAY['small:*', '*9', '*'])[1 + floor(random() * 2.1)::integer]);
    WHEN chance < 0.88 THEN PERFORM apibase.cache_touch(chaos.some_key(), '1 min');
    WHEN chance < 0.91 THEN PERFORM apibase.cache_increment('count:' || floor(random() * 20), 1, '200 ms');
    WHEN chance < 0.93 THEN PERFORM apibase.cache_add(chaos.some_key(), chaos.some_value());
    WHEN chance < 0.98 THEN UPDATE chaos.item SET v = v + 1 WHERE id = ceil(random() * 50);
    WHEN chance < 0.985 THEN PERFORM count(*) FROM apibase.cache_entries;
    WHEN chance < 0.99 THEN PERFORM count(*) FROM apibase_internal.cache_verify();
    ELSE
        PERFORM apibase.cache_fetch(chaos.some_key(), 'SELECT count(*) FROM chaos.item, pg_sleep(0.002)', wait_limit => '20 ms');
    END CASE;
END $$;

-- One session: transactions of some of these, with subtransactions, errors, rollbacks.
CREATE PROCEDURE client(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
    WHILE clock_timestamp() < until LOOP
        FOR turn IN 1 .. ceil(random() * 4) LOOP
            BEGIN
                PERFORM chaos.anything();
                IF random() < 0.1 THEN PERFORM 1 / 0; END IF;
            EXCEPTION WHEN division_by_zero OR numeric_value_out_of_range OR deadlock_detected THEN
                NULL;
            END;
        END LOOP;
        IF random() < 0.2 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
END $$;
END

# A session that is short of memory: it keeps what it can get, and goes on at that limit.
$node->safe_psql('postgres', <<'END');
CREATE PROCEDURE chaos.hungry(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
    kept text[] := '{}';
    failures integer := 0;
BEGIN
    WHILE clock_timestamp() < until LOOP
        BEGIN
            kept := kept || repeat('x', (random() * 300000)::integer);
        EXCEPTION WHEN out_of_memory THEN
            failures := failures + 1;
            IF random() < 0.1 THEN kept := '{}'; END IF;
        END;
        BEGIN
            PERFORM chaos.anything();
        EXCEPTION WHEN out_of_memory THEN
            failures := failures + 1;
        WHEN numeric_value_out_of_range OR deadlock_detected THEN NULL;
        END;
        IF random() < 0.5 THEN COMMIT; END IF;
    END LOOP;
    RAISE NOTICE 'failures: %', failures;
END $$;
END
my $sanitizer = `pg_config --configure --cflags` =~ /fsanitize/;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $connection = $node->connstr('postgres');

# What a client runs, drawn anew each time it connects.
sub script
{
    my $duration = 0.2 + rand 2;
    my $chance = rand;
    return "SET statement_timeout = ${\int(5 + rand 500)};\nCALL chaos.client($duration);\n" if $chance < 0.3;
    return "BEGIN;\nINSERT INTO chaos.item VALUES (${\int(1000 + rand 1e9)}, 0) ON CONFLICT DO NOTHING;\nPREPARE TRANSACTION 'refused';\n"
      . "CREATE TEMP TABLE t (n integer);\nBEGIN;\nSELECT pg_current_xact_id(), apibase.cache_set(chaos.some_key(), chaos.some_value());\n"
      . "PREPARE TRANSACTION 'p$$';\nROLLBACK PREPARED 'p$$';\nCALL chaos.client($duration);\n"
      if $chance < 0.4;
    return "SELECT pg_backend_pid() AS pid \\gset\n\\setenv BACKEND :pid\n"
      . "\\! prlimit --pid \$BACKEND --as=\$((\$(awk '/^VmSize/ { print \$2 }' /proc/\$BACKEND/status) * 1024 + 10000000))\n"
      . "CALL chaos.hungry($duration);\n"
      if $chance < 0.6 && !$sanitizer;
    return "CALL chaos.client($duration);\n";
}

# Clients as processes that connect again and again until the file `stop` is there. They end without what Perl would do at its end.
my @children;

sub start_clients
{
    unlink "$directory/stop";
    foreach my $number (1 .. $clients)
    {
        my $pid = fork // die "fork: $!";
        if ($pid == 0)
        {
            srand($$);
            until (-e "$directory/stop")
            {
                open my $file, '>', "$directory/script$number" or POSIX::_exit(1);
                print $file script();
                close $file;
                system("psql -XAtq -v VERBOSITY=verbose -d '$connection' -f '$directory/script$number' >>'$directory/said' 2>&1");
                sleep 0.01;
            }
            POSIX::_exit(0);
        }
        push @children, $pid;
    }
    return;
}

sub stop_clients
{
    open my $file, '>', "$directory/stop" or die $!;
    close $file;
    waitpid $_, 0 foreach @children;
    @children = ();
    return;
}

# Faults of the structures, and what is beyond a bound; '' if all is well.
my $check = <<'END';
SELECT string_agg(fault, E'\n') FROM (
    SELECT * FROM apibase_internal.cache_verify()
    UNION ALL SELECT format('%s entries', entries) FROM apibase.cache_memory WHERE entries > max_entries
    UNION ALL SELECT format('%s bytes', bytes) FROM apibase.cache_memory WHERE bytes > max_bytes
    UNION ALL SELECT format('%s entries of small', entries) FROM apibase.cache_stats WHERE namespace = 'small' AND entries > 20
    UNION ALL SELECT format('%s bytes of narrow', bytes) FROM apibase.cache_stats WHERE namespace = 'narrow' AND bytes > 100000) f(fault)
END

# Disturb the clients for a time, looking every half second.
my $terminated = 0;

sub disturb
{
    my ($time) = @_;
    my $until = time + $time;
    my $faults = '';
    my $looks = 0;
    while (time < $until)
    {
        foreach my $turn (1 .. 4)
        {
            my $what = rand() < 0.5 ? 'cancel' : 'terminate';
            my $n = $node->safe_psql('postgres', "SELECT count(pg_${what}_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND query ~ '^CALL' ORDER BY random() LIMIT 1) victim");
            $terminated += $n if $what eq 'terminate';
            sleep 0.02;
        }
        my $found = $node->safe_psql('postgres', $check);
        $faults .= "$found\n" if $found ne '';
        $looks++;
    }
    is($faults, '', "sound and within bounds, $looks times while clients are disturbed");
    return;
}

# Nobody is there any more: everything is as it should be, nothing was lost, and everything can be used.
sub check_at_rest
{
    my ($when) = @_;
    is($node->safe_psql('postgres', $check), '', "sound and within bounds $when");
    is($node->safe_psql('postgres', <<'END'), 't|t|t', "what is counted is what is there $when");
SELECT count(*) = (SELECT entries FROM apibase.cache_memory), count(*) = (SELECT sum(entries) FROM apibase.cache_stats),
    coalesce(sum(bytes), 0) = (SELECT sum(bytes) FROM apibase.cache_stats)
FROM apibase.cache_entries
END
    is($node->safe_psql('postgres', <<'END'), '50|50|5', "any tag and any namespace can be used $when");
SELECT count(*) FILTER (WHERE apibase.cache_set('at rest ' || i, '1', '1 min', ARRAY['chaos.item:' || i])), count(*) FILTER (WHERE apibase.cache_get('at rest ' || i) = '1'),
    count(*) FILTER (WHERE i <= 5 AND apibase.cache_set((ARRAY['', 'small:', 'narrow:', 'short:', 'count:'])[i] || 'at rest', '2') AND apibase.cache_get((ARRAY['', 'small:', 'narrow:', 'short:', 'count:'])[i] || 'at rest') = '2')
FROM generate_series(1, 50) i
END
    $node->safe_psql('postgres', 'SELECT apibase.cache_clear()');
    is($node->safe_psql('postgres', 'SELECT entries, bytes FROM apibase.cache_memory'), '0|0', "and nothing is left of it $when");
    return;
}

# What can be survived.
start_clients();
disturb($seconds);
my $evictions = $node->safe_psql('postgres', "SELECT evictions FROM apibase.cache_stats WHERE namespace = '' AND level = 'l1'");
my $counts = $node->safe_psql('postgres', "SELECT sum(hits), sum(sets), sum(evictions), sum(expirations), sum(invalidations), sum(deletes) FROM apibase.cache_stats");
stop_clients();
my $said = slurp_file("$directory/said");
my %seen = (
    'cancels' => scalar(() = $said =~ /57014: canceling statement due to user request/g),
    'time-outs' => scalar(() = $said =~ /57014: canceling statement due to statement timeout/g),
    'terminations' => scalar(() = $said =~ /57P01: terminating connection/g),
    'refusals of PREPARE' => scalar(() = $said =~ /0A000: cannot prepare a transaction/g));
$seen{'failures for lack of memory'} = 0;
$seen{'failures for lack of memory'} += $1 while $said =~ /failures: (\d+)/g;
diag("$clients clients for $seconds s: " . join(', ', map { "$seen{$_} $_" } sort keys %seen) . "; hits, sets, evictions, expirations, invalidations, deletes: $counts");
cmp_ok($evictions, '>', 100, 'the cache was full: entries without a bound of their own were evicted');
unlike("|$counts|", qr/\|0?\|/, 'and everything happened in it');
foreach my $what (sort keys %seen)
{
  SKIP:
    {
        skip 'a sanitizer reserves more memory than there can be a limit for', 1 if $sanitizer && $what =~ /memory/;
        cmp_ok($seen{$what}, '>', 0, "there were $what");
    }
}
unlike($said, qr/^.*(?:PANIC|: XX\w\w\w: ).*$/m, 'there was no internal error');
my $lost = () = $said =~ /connection to server was lost/g;
cmp_ok($lost, '<=', $terminated, 'and no session was lost that was not terminated');
check_at_rest('after cancels, terminations, time-outs and lack of memory');

# What cannot: the server starts again.
foreach my $turn (1 .. 3)
{
    start_clients();
    sleep 1;
    my $victim = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND query ~ '^CALL' LIMIT 1");
    like($victim, qr/^\d+$/, "a backend to kill, $turn");
    kill 'KILL', $victim;
    stop_clients();
    ok($node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'the server is there again');
    is($node->safe_psql('postgres', $check), '', "sound and within bounds after kill -9, $turn");
}
$node->safe_psql('postgres', "SELECT count(apibase.cache_set('key ' || i, '1', '1 day')) FROM generate_series(1, 100) i");
is($node->safe_psql('postgres', 'SELECT count(*) FROM apibase.cache_entries WHERE expires_at > now() + interval \'1 hour\''), '100', 'entries before a crash');
kill 'KILL', $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM apibase.cache_entries');
is($node->safe_psql('postgres', "SELECT apibase.cache_get('key 1'), entries, bytes FROM apibase.cache_memory"), '|0|0', 'after it the cache is empty');
check_at_rest('after crashes');

$node->stop;
done_testing();
