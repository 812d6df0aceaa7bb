# Decorators and sessions: those that wait for a bulkhead, those that are cancelled, terminated or killed while they have a permit or are a
# probe, memory that is too small, parallel workers, a hot standby; and the lines of logged. What needs two sessions that wait for locks only
# is in test/isolation/specs/decorate_*.spec.
#
# Functions wait for the gate, an advisory lock that the test holds.

use strict;
use warnings;

use lib 'test/tap';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions qw(start result_of);
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('sessions');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', qq{
    shared_preload_libraries = 'apibase'
    apibase.breaker_slots = 2
    apibase.bulkhead_slots = 2
    restart_after_crash = on});
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE FUNCTION gated(ending text DEFAULT 'good') RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        IF ending = 'bad' THEN RAISE 'a failure'; END IF;
        RETURN 'been inside';
    END $$;
    CREATE FUNCTION guarded(ending text DEFAULT 'good') RETURNS text LANGUAGE sql AS 'SELECT gated(ending)';
    SELECT apibase.bulkhead('gated(text)', 1, 'narrow', '1 hour'), apibase.circuit_breaker('guarded(text)', 1, '1 hour')});

my $gate = $node->background_psql('postgres', on_error_stop => 0);
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");

sub shut { $gate->query('SELECT FROM pg_advisory_lock(1)'); return; }
sub unshut { $gate->query('SELECT FROM pg_advisory_unlock(1)'); return; }

sub pid_of { my ($session) = @_; return scalar $session->query('SELECT pg_backend_pid()'); }
sub renew
{
    my ($i) = @_;
    eval { $sessions[$i]->quit };
    $sessions[$i] = $node->background_psql('postgres', on_error_stop => 0);
    return;
}

# Wait until a query has a result.
sub await
{
    my ($sql, $result, $what) = @_;
    ok($node->poll_query_until('postgres', $sql, $result), $what);
    return;
}
my $permits = "SELECT running, waiting FROM apibase.bulkheads WHERE name = 'narrow'";
my $at_gate = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted";
my $breaker = "SELECT state, failures FROM apibase.circuit_breakers WHERE function = 'guarded(text)'::regprocedure";

# Those that wait get in one after the other.
shut();
start($_, 'SELECT gated()') for @sessions;
await($permits, '1|2', 'one has the permit, the others wait');
my $event = $major >= 17 ? 'ApibaseBulkhead' : 'Extension';
await("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '$event' AND query LIKE 'SELECT gated%'", '2', 'which pg_stat_activity shows');
unshut();
is_deeply([ map { result_of($_) } @sessions ], [ ('been inside') x 3 ], 'all have been inside');
is($node->safe_psql('postgres', $permits), '0|0', 'and no permit is left behind');

# Cancelled or terminated while they wait, or while they have the permit.
for my $how (qw(cancel terminate))
{
    for my $who ('owner', 'waiter')
    {
        shut();
        my @pids = map { pid_of($_) } @sessions;
        start($sessions[0], 'SELECT gated()');
        await($at_gate, '1', "$how the $who: one is at the gate");
        start($_, 'SELECT gated()') for @sessions[1, 2];
        await($permits, '1|2', 'the others wait');
        my $i = $who eq 'owner' ? 0 : 1;
        $node->safe_psql('postgres', "SELECT pg_${how}_backend($pids[$i])");
        await($permits, '1|1', 'then there is one less');
        await($at_gate, '1', 'and one at the gate');
        unshut();
        is(result_of($sessions[$_]), 'been inside', 'the others get inside') for grep { $_ != $i } 0 .. 2;
        $how eq 'terminate' ? renew($i) : is(result_of($sessions[$i]), 'canceling statement due to user request', 'that one does not');
        is($node->safe_psql('postgres', $permits), '0|0', 'and no permit is left behind');
    }
}

# A probe that is terminated decides nothing.
$node->psql('postgres', "SELECT guarded('bad')");
is($node->safe_psql('postgres', $breaker), 'open|1', 'a breaker is open');
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('1 hour')");
shut();
my $pid = pid_of($sessions[0]);
start($sessions[0], 'SELECT guarded()');
await($at_gate, '1', 'a probe is under way');
is($node->safe_psql('postgres', $breaker), 'half_open|1', 'it is half open');
like(($node->psql('postgres', 'SELECT guarded()'))[2], qr/circuit breaker of function .* is open.*\n.*\nHINT:  Another session is trying/, 'another call is refused');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
await($at_gate, '0', 'the probe is terminated');
start($sessions[1], 'SELECT guarded()');
await($at_gate, '1', 'the next call is the probe');
unshut();
is(result_of($sessions[1]), 'been inside', 'which succeeds');
is($node->safe_psql('postgres', $breaker), 'closed|0', 'and closes the breaker');
renew(0);

# Functions are decorated, undecorated and dropped while others alter theirs, with which they have nothing to do. Functions of the same
# name are decorated at the same time.
$node->safe_psql('postgres', q{
    CREATE PROCEDURE churn(client int) LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('CREATE SCHEMA churn_%s', client);
        FOR i IN 1..40 LOOP
            EXECUTE format('CREATE FUNCTION churn_%s.f%s() RETURNS int LANGUAGE sql AS %L', client, i, 'SELECT 1');
            PERFORM apibase.logged(format('churn_%s.f%s()', client, i)::regprocedure, 'debug5');
        END LOOP;
        COMMIT;
        FOR i IN 1..20 LOOP
            PERFORM apibase.undecorate(format('churn_%s.f%s()', client, i)::regprocedure);
        END LOOP;
        COMMIT;
        EXECUTE format('DROP SCHEMA churn_%s CASCADE', client);
    END $$;
    CREATE FUNCTION bystander_0() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION bystander_1() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION bystander_2() RETURNS int LANGUAGE sql AS 'SELECT 1'});
my $scripts = PostgreSQL::Test::Utils::tempdir();
append_to_file("$scripts/churn.sql", "SET client_min_messages = warning;\nCALL churn(:client_id);\n");
append_to_file("$scripts/bystander.sql", "ALTER FUNCTION bystander_:client_id() COST 7;\n");
$node->command_ok([ 'pgbench', '-n', '-c', 3, '-t', 60, '-f', "$scripts/churn.sql\@1", '-f', "$scripts/bystander.sql\@4", 'postgres' ],
    'functions are decorated and dropped while others are altered');
is($node->safe_psql('postgres', q{
    SELECT (SELECT count(*) FROM apibase.decorators WHERE function::text LIKE 'churn%'),
        (SELECT count(*) FROM pg_depend WHERE classid = 'pg_proc'::regclass AND refclassid = classid AND objid = refobjid),
        (SELECT count(*) FROM pg_proc WHERE pronamespace::regnamespace::text LIKE 'apibase_decorated%' AND proname ~ '^f[0-9]+$')}),
    '0|0|0', 'and nothing is left behind');

# Killed: all shared memory is new.
shut();
$pid = pid_of($sessions[0]);
start($sessions[0], 'SELECT gated()');
await($at_gate, '1', 'one has the permit');
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT true');
is($node->safe_psql('postgres', 'SELECT count(*) FROM apibase.bulkheads'), '0', 'after a crash there are no bulkheads');
is($node->safe_psql('postgres', 'SELECT gated()'), 'been inside', 'and the function can be called');
renew($_) for 0 .. 2;
eval { $gate->quit };
$gate = $node->background_psql('postgres', on_error_stop => 0);

# A pause of retry is shown, and can be cancelled.
$node->safe_psql('postgres', q{
    CREATE FUNCTION deadlocked() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE deadlock_detected; END$$;
    SELECT apibase.retry('deadlocked()', delay => '1 hour', max_delay => '1 hour')});
$pid = pid_of($sessions[0]);
start($sessions[0], 'SELECT deadlocked()');
$event = $major >= 17 ? 'ApibaseRetry' : 'Extension';
await("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", $event, 'a pause between attempts is shown');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
is(result_of($sessions[0]), 'canceling statement due to user request', 'and can be cancelled');

# More breakers in trouble than slots: those that no longer refuse calls make room, others do not.
$node->safe_psql('postgres', q{
    CREATE FUNCTION trouble(n int, fails boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        BEGIN
            EXECUTE format('SELECT trouble_%s(%L)', n, fails);
        EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
        END;
        RETURN 'good';
    END $$;
    DO $$
    BEGIN
        FOR i IN 1 .. 4 LOOP
            EXECUTE format('CREATE FUNCTION trouble_%s(fails boolean) RETURNS void LANGUAGE plpgsql AS %L', i, 'BEGIN IF fails THEN RAISE internal_error; END IF; END');
            PERFORM apibase.circuit_breaker(format('trouble_%s(boolean)', i)::regprocedure, 2, '1 hour');
        END LOOP;
    END $$;
    SELECT apibase_internal.clock_set('0')});
is($node->safe_psql('postgres', 'SELECT trouble(1), trouble(1), trouble(1), trouble(2), trouble(2), trouble(2)'), 'XX000|XX000|PB031|XX000|XX000|PB031', 'two breakers are open');
is($node->safe_psql('postgres', 'SELECT trouble(3), trouble(3), trouble(3)'), 'XX000|XX000|XX000', 'a third one finds no slot');
is($node->safe_psql('postgres', "SELECT slots, used, dropped FROM apibase.decorator_slots WHERE decorator = 'circuit_breaker'"), '2|2|3', 'which is counted');
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('2 hours')");
is($node->safe_psql('postgres', 'SELECT trouble(3), trouble(3), trouble(3)'), 'XX000|XX000|PB031', 'later one of the old ones makes room');
is($node->safe_psql('postgres', 'SELECT trouble(2, false), trouble(4), trouble(4), trouble(4)'), 'good|XX000|XX000|PB031', 'and so does a breaker that is closed');
is($node->safe_psql('postgres', "SELECT slots, used, dropped FROM apibase.decorator_slots WHERE decorator = 'circuit_breaker'"), '2|2|3', 'nothing more is lost');

# More bulkheads than slots.
$node->safe_psql('postgres', q{
    CREATE FUNCTION wide(n int) RETURNS text LANGUAGE sql AS $$SELECT string_agg(name, ' ' ORDER BY name) FROM apibase.bulkheads WHERE running > 0$$;
    CREATE FUNCTION other() RETURNS text LANGUAGE sql AS 'SELECT wide(1)';
    CREATE FUNCTION third() RETURNS text LANGUAGE sql AS 'SELECT other()';
    SELECT apibase.bulkhead('wide(int)', 1, 'wide'), apibase.bulkhead('other()', 1, 'other'), apibase.bulkhead('third()', 1, 'third')});
is($node->safe_psql('postgres', 'SELECT wide(1), other()'), 'wide|other wide', 'an unused bulkhead makes room');
is($node->safe_psql('postgres', 'SELECT third()'), 'other third', 'a third one at a time finds no slot, and limits nothing');
is($node->safe_psql('postgres', "SELECT slots, used, dropped FROM apibase.decorator_slots WHERE decorator = 'bulkhead'"), '2|2|1', 'which is counted');

# Lines of logged.
$node->safe_psql('postgres', q{
    CREATE FUNCTION noted(a numeric, secret text, int DEFAULT 7, OUT b numeric, OUT c text) LANGUAGE sql AS 'SELECT 10 / a, secret';
    CREATE FUNCTION noted_set(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, n)';
    SELECT apibase.logged('noted(numeric,text,int)', result => true, mask => '{secret}', max_length => 5);
    SELECT apibase.logged('noted_set(int)', 'notice', arguments => false, result => true)});
sub lines_of
{
    my ($sql) = @_;
    my $offset = -s $node->logfile;
    my ($rc, $out, $err) = $node->psql('postgres', $sql);
    return ($err, grep { /function public\.noted/ } split(/\n/, slurp_file($node->logfile, $offset)));
}
my ($err, @lines) = lines_of("SET client_min_messages = log; SELECT noted(4, 'mine')");
unlike($err, qr/function public/, 'level log does not reach the client');
is(@lines, 1, 'one line');
like($lines[0], qr/LOG:  function public\.noted\(.*\): \d+\.\d{3} ms, arguments \{"a": "4", "secret": "\*{10}", "\$3": "7"\}, result "\(2\.50\.\.\."$/, 'arguments by name, masked, cut');
($err, @lines) = lines_of("SELECT noted(0, E'two\\nlines')");
is(@lines, 1, 'one line for an error');
like($lines[0], qr/ms, arguments \{"a": "0", "secret": "\*{10}", "\$3": "7"\}, SQLSTATE 22012$/, 'with its SQLSTATE');
$node->safe_psql('postgres', "SELECT apibase.logged('noted(numeric,text,int)')");
(undef, @lines) = lines_of("SELECT noted(1, E'two\\nlines \"quoted\"')");
like($lines[0], qr/"secret": "two\\nlines \\"quoted\\""/, 'a value cannot break the line');
(undef, @lines) = lines_of('SELECT noted(1, NULL, NULL)');
like($lines[0], qr/"secret": null, "\$3": null\}$/, 'NULL is null, and no result is shown unless asked for');
($err, @lines) = lines_of('SELECT * FROM noted_set(3)');
like($err, qr/^psql:.*NOTICE:  function public\.noted_set\(integer\): [\d.]+ ms, 3 rows$/, 'a set: its rows are counted');
$node->safe_psql('postgres', "SELECT apibase.logged('noted_set(int)', slower_than => '1 hour')");
(undef, @lines) = lines_of('SELECT * FROM noted_set(3)');
is(@lines, 0, 'nothing about what is not slower');

# In parallel workers; only retry is not for them.
$node->safe_psql('postgres', q{
    CREATE TABLE numbers AS SELECT generate_series(1, 10000) n;
    ANALYZE numbers;
    CREATE FUNCTION halved(n int) RETURNS numeric LANGUAGE plpgsql PARALLEL SAFE COST 10000 AS 'BEGIN RETURN n / 2.0; END';
    SELECT apibase.memoized('halved(int)'), apibase.timeout('halved(int)', '1 min'), apibase.circuit_breaker('halved(int)'),
        apibase.validated('halved(int)', 'n > 0'), apibase.logged('halved(int)', 'debug5')});
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
    SET parallel_leader_participation = off;';
like($node->safe_psql('postgres', "$parallel EXPLAIN ANALYZE SELECT sum(halved(n)) FROM numbers"), qr/Workers Launched: [12]\n/, 'a query runs in workers');
is($node->safe_psql('postgres', "$parallel SELECT sum(halved(n)) FROM numbers"), '25002500.00000000000000000000', 'where decorated functions work');
like(($node->psql('postgres', "$parallel SELECT sum(halved(n - 1)) FROM numbers"))[2], qr/ERROR:  arguments of function public\.halved\(integer\) are not valid\nDETAIL:  Not satisfied: n > 0\.\nCONTEXT:  .*parallel worker/, 'and errors come from there');
$node->safe_psql('postgres', q{
    CREATE FUNCTION sleepy(n int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE COST 10000 AS 'BEGIN IF n = 5000 THEN PERFORM pg_sleep(3600); END IF; RETURN n; END';
    SELECT apibase.timeout('sleepy(int)', '50 ms')});
like(($node->psql('postgres', "$parallel SELECT sum(sleepy(n)) FROM numbers"))[2], qr/ERROR:  function public\.sleepy\(integer\) did not end within 50 ms\nCONTEXT:  .*parallel worker/, 'a timeout too');

# On a hot standby.
$node->safe_psql('postgres', q{
    CREATE FUNCTION reading(n int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('test.calls', (current_setting('test.calls')::int + 1)::text, false);
        RETURN (SELECT 100 / $1 FROM numbers LIMIT 1);
    END $$;
    SELECT apibase.timeout('reading(int)', '1 min'), apibase.retry('reading(int)', 3, delay => '0', sqlstates => '{22}'),
        apibase.circuit_breaker('reading(int)', 1, sqlstates => '{22}'), apibase.bulkhead('reading(int)', 1), apibase.memoized('reading(int)'),
        apibase.validated('reading(int)', 'n < 100'), apibase.logged('reading(int)')});
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SET test.calls = 0; BEGIN; SELECT reading(5); SELECT reading(5); COMMIT; SHOW test.calls"), "20\n20\n1", 'decorated functions work on a standby');
like(($standby->psql('postgres', 'SET test.calls = 0; SELECT reading(0)'))[2], qr/division by zero.*attempt 3 of 3/s, 'where attempts are made');
is(($standby->psql('postgres', '\set VERBOSITY sqlstate
SELECT reading(5)'))[2] =~ /PB031/, 1, 'and breakers open');
is($node->safe_psql('postgres', "SET test.calls = 0; SELECT reading(5)"), '20', 'for that server only');
like(($standby->psql('postgres', 'SELECT reading(100)'))[2], qr/Not satisfied: n < 100/, 'and arguments are checked');

$standby->stop;
eval { $_->quit } for @sessions, $gate;
$node->stop;
done_testing();
