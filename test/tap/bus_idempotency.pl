# Commands with a key, and what a crash leaves of them: either the effects and the stored result, or neither, wherever it comes. Many
# sessions with the same keys: each effect is there once, and everybody gets the same result. What has expired goes, little by little.
#
# The handler waits for the gate, an advisory lock that the test holds, after it has written.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('idempotency');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', qq{
    shared_preload_libraries = 'apibase'
    restart_after_crash = on
    log_min_messages = log
    synchronous_standby_names = 'nobody'
    synchronous_commit = local});
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE TABLE effects (k text, at timestamptz DEFAULT clock_timestamp(), by int DEFAULT pg_backend_pid());
    CREATE TYPE act AS (k text);
    CREATE FUNCTION handle_act(c act) RETURNS jsonb LANGUAGE plpgsql AS $$
    DECLARE e effects;
    BEGIN
        INSERT INTO effects (k) VALUES (c.k) RETURNING * INTO e;
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN to_jsonb(e);
    END $$;
    SELECT apibase.register_command('act', 'handle_act(act)', idempotency_ttl => '1 hour');
    CREATE FUNCTION act(key text) RETURNS apibase.result LANGUAGE sql AS
        $$ SELECT apibase.command(ROW(key)::act, jsonb_build_object('idempotency_key', key)) $$;
    CREATE FUNCTION shown(r apibase.result) RETURNS text LANGUAGE sql AS
        $$ SELECT coalesce((r).value ->> 'k', (r).error::text) || CASE WHEN (r).replayed THEN ' replayed' ELSE '' END $$});

# ---- crashes

# How many effects and results there are for a key, and what a new call gives, and then.
sub left_of
{
    my ($key) = @_;
    return $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM effects WHERE k = '$key'),
        (SELECT count(*) FROM apibase_internal.idempotency WHERE key = '$key')");
}
sub call { my ($key) = @_; return $node->safe_psql('postgres', "SELECT shown(act('$key'))"); }
sub start_in { my ($session, $sql) = @_; $session->query_until(qr/started/, "\\echo started\n$sql;\n"); return; }

sub crash
{
    my ($how, $session, $pid) = @_;
    if ($how eq 'kill')
    {
        my $offset = -s $node->logfile;
        kill 'KILL', $pid;
        $node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
        $node->poll_query_until('postgres', 'SELECT 1', '1');
    }
    else
    {
        $node->stop('immediate');
        $node->start;
    }
    eval { $session->quit };
    return;
}

for my $how ('kill', 'stop')
{
    # in the handler; the gate goes with the server
    my $gate = $node->background_psql('postgres', on_error_stop => 0);
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    my $pid = $session->query('SELECT pg_backend_pid()');
    $gate->query('SELECT FROM pg_advisory_lock(1)');
    start_in($session, "SELECT shown(act('$how-handler'))");
    ok($node->poll_query_until('postgres', "SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND NOT granted", '1'),
        "$how: the handler has written and waits");
    crash($how, $session, $pid);
    eval { $gate->quit };
    is(left_of("$how-handler"), '0|0', "$how in the handler leaves nothing");
    is(call("$how-handler"), "$how-handler", 'so the next call runs it');
    is(call("$how-handler"), "$how-handler replayed", 'and the one after that replays');
    is(left_of("$how-handler"), '1|1', 'with one effect');

    # after the handler, before the commit
    $session = $node->background_psql('postgres', on_error_stop => 0);
    $pid = $session->query('SELECT pg_backend_pid()');
    $session->query('BEGIN');
    is($session->query("SELECT shown(act('$how-result'))"), "$how-result", "$how: there is a result");
    crash($how, $session, $pid);
    is(left_of("$how-result"), '0|0', "$how before the commit leaves nothing");
    is(call("$how-result"), "$how-result", 'so the next call runs it');
    is(left_of("$how-result"), '1|1', 'with one effect');

    # after the commit, of which the client has not heard: it waits for a standby that there is not
    $session = $node->background_psql('postgres', on_error_stop => 0);
    $pid = $session->query('SELECT pg_backend_pid()');
    $session->query('SET synchronous_commit = on');
    start_in($session, "SELECT shown(act('$how-commit'))");
    ok($node->poll_query_until('postgres', "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid", 'SyncRep'), "$how: it is committing");
    crash($how, $session, $pid);
    is(left_of("$how-commit"), '1|1', "$how after the commit leaves both");
    is(call("$how-commit"), "$how-commit replayed", 'so the next call replays');
    is(left_of("$how-commit"), '1|1', 'and there is still one effect');
}

# ---- many sessions, the same keys

my $keys = 60;
$node->safe_psql('postgres', q{TRUNCATE effects, apibase_internal.idempotency; CREATE TABLE seen (k text, value jsonb, replayed boolean)});
my $call = q{WITH r AS MATERIALIZED (SELECT act('k' || :k) AS r)
    INSERT INTO seen SELECT 'k' || :k, (r).value, (r).replayed IS TRUE FROM r WHERE (r).ok;};
my $dir = PostgreSQL::Test::Utils::tempdir();
my %scripts = (
    commit => "\\set k random(1, $keys)\n$call\n",
    savepoint => "\\set k random(1, $keys)\nBEGIN;\nSAVEPOINT s;\n$call\nROLLBACK TO s;\n$call\nCOMMIT;\n",
    rollback => "\\set k random(1, $keys)\nBEGIN;\n$call\nROLLBACK;\n",
);
PostgreSQL::Test::Utils::append_to_file("$dir/$_.sql", $scripts{$_}) for keys %scripts;
$node->command_ok(
    ['pgbench', '-n', '-c', '8', '-j', '2', '-t', '100', '-h', $node->host, '-p', $node->port,
        '-f', "$dir/commit.sql\@5", '-f', "$dir/savepoint.sql\@1", '-f', "$dir/rollback.sql\@2", 'postgres'],
    'eight sessions use the same keys');
is($node->safe_psql('postgres', 'SELECT k, count(*) FROM effects GROUP BY 1 HAVING count(*) <> 1'), '', 'no effect is there twice');
is($node->safe_psql('postgres', q{
    SELECT count(*) FROM (SELECT k FROM effects) e FULL JOIN (SELECT key FROM apibase_internal.idempotency WHERE ok) i ON e.k = i.key
        FULL JOIN (SELECT DISTINCT k FROM seen) s ON s.k = e.k
    WHERE e.k IS NULL OR i.key IS NULL OR s.k IS NULL}), '0', 'what has an effect has a result, and was seen by somebody');
is($node->safe_psql('postgres', q{
    SELECT k FROM seen GROUP BY k HAVING count(DISTINCT value) <> 1 OR count(*) FILTER (WHERE NOT replayed) <> 1}), '',
    'all got the same result, of which one was the first');
is($node->safe_psql('postgres', q{
    SELECT count(*) FROM seen s JOIN effects e USING (k) WHERE s.value <> to_jsonb(e)}), '0', 'and it is that of the effect');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM seen WHERE replayed'), '>', $keys, 'most were replayed');

# ---- expiry

$node->safe_psql('postgres', q{TRUNCATE effects, apibase_internal.idempotency; SELECT count(act('old' || n)) FROM generate_series(1, 500) n});
$node->safe_psql('postgres', q{SELECT apibase_internal.clock_set('61 min')});
my $old = q{SELECT count(*) FROM apibase_internal.idempotency WHERE key LIKE 'old%'};
PostgreSQL::Test::Utils::append_to_file("$dir/new.sql", "SELECT act('new' || :client_id || '/' || nextval('serial'));\n");
$node->safe_psql('postgres', 'CREATE SEQUENCE serial');
$node->command_ok(
    ['pgbench', '-n', '-c', '8', '-j', '2', '-t', '20', '-h', $node->host, '-p', $node->port, '-f', "$dir/new.sql", 'postgres'],
    'eight sessions with new keys');
is($node->safe_psql('postgres', $old), 500 - 2 * 8 * 20, 'each call has deleted two that have expired');
# one that has expired is used again by eight at once
PostgreSQL::Test::Utils::append_to_file("$dir/again.sql", "SELECT act('old500');\n");
$node->command_ok(
    ['pgbench', '-n', '-c', '8', '-j', '2', '-t', '3', '-h', $node->host, '-p', $node->port, '-f', "$dir/again.sql", 'postgres'],
    'eight sessions use a key that has expired');
is($node->safe_psql('postgres', q{SELECT count(*) FROM effects WHERE k = 'old500'}), '2', 'it has run once more');
is($node->safe_psql('postgres', 'SELECT apibase.idempotency_prune(100)'), '100', 'idempotency_prune() deletes as many as it may');
cmp_ok($node->safe_psql('postgres', 'SELECT apibase.idempotency_prune()'), '>', 0, 'and then the others');
is($node->safe_psql('postgres', $old), '1', 'but not what is used');
$node->safe_psql('postgres', q{SELECT apibase_internal.clock_set('0')});

# ---- the log

$node->safe_psql('postgres', q{SELECT apibase.use_middleware('apibase.middleware_logging(apibase.dispatch,jsonb,jsonb)', 'around', 'public.act',
    rank => -1, config => '{"payload": true}')});
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{SELECT apibase.command(ROW('logged')::act, '{"idempotency_key": "logged", "correlation_id": "a \"b\"\nc"}')}) for 1, 2;
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
my $line = qr/command public\.act: \d+\.\d{3} ms, ok(, replayed)?, id $uuid, correlation id "a \\"b\\"\\nc", payload \{"k": "logged"\}/;
my @lines = slurp_file($node->logfile, $offset) =~ /LOG:  $line\n/g;
is(scalar @lines, 2, 'middleware_logging writes a line for each dispatch');
ok(!defined $lines[0] && defined $lines[1], 'which tells a replay');

$node->stop;
done_testing();
