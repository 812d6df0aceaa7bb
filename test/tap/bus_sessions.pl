# Dispatches in many sessions: serializable transactions that get in each other's way, each of which must count once; sessions that are
# cancelled or terminated while a command is handled, or while one is to be tried again; a hot standby.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $calls = 40;
my $clients = 4;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE TABLE counter (id int, n int);
    INSERT INTO counter SELECT i, 0 FROM generate_series(1, 2) i;
    CREATE TABLE done (client int, call int, attempt int);

    -- adds one to one of two counters, having read both, and lets others do so in between
    CREATE TYPE add AS (client int, call int);
    CREATE FUNCTION handle(add) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE
        total int;
    BEGIN
        SELECT sum(n) INTO total FROM counter;
        PERFORM pg_sleep(0.001);
        UPDATE counter SET n = n + 1 WHERE id = 1 + ($1.client + $1.call) % 2;
        INSERT INTO done VALUES ($1.client, $1.call, (apibase.current_dispatch()).attempt);
        RETURN total;
    END $$;
    SELECT apibase.register_command('add', 'handle(add)');

    CREATE TYPE hold AS (what text);
    CREATE FUNCTION handle(hold) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO done VALUES (99, 0, (apibase.current_dispatch()).attempt);
        IF $1.what = 'fail' THEN RAISE serialization_failure; END IF;
        PERFORM pg_sleep(600);
    END $$;
    SELECT apibase.register_command('hold', 'handle(hold)');

    CREATE TYPE total AS (id int);
    CREATE FUNCTION handle(total) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(n) FROM counter WHERE id = $1.id OR $1.id IS NULL';
    SELECT apibase.register_query('total', 'handle(total)')});

#
# Every command has an effect exactly once, or its result says that it has none; and the totals that were read are all different, as they
# would be if the transactions had run one after the other.
#
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. $clients;
my $gate = $node->background_psql('postgres');
$gate->query('SELECT FROM pg_advisory_lock(1)');
my $loop = q{
    SELECT FROM pg_advisory_lock_shared(1);
    DO $$
    DECLARE
        result apibase.result;
        totals int[];
    BEGIN
        FOR i IN 1 .. %d LOOP
            CALL apibase.dispatch_command(ROW(%d, i)::add, result);
            IF result.ok THEN totals := totals || (result.value)::int; END IF;
        END LOOP;
        PERFORM set_config('my.totals', array_to_string(totals, ','), false);
    END $$;
};
for my $i (0 .. $#sessions)
{
    $sessions[$i]->query(q{SET default_transaction_isolation = serializable; SET apibase.dispatch_max_attempts = 100});
    $sessions[$i]->query_until(qr/started/, "\\echo started\n" . sprintf($loop, $calls, $i));
}
ok($node->poll_query_until('postgres', q{SELECT count(*) FROM pg_locks WHERE NOT granted}, $clients), 'all are waiting to begin together');
$gate->quit;
my @totals = map { split(/[,\n]/, scalar $_->query(q{SELECT current_setting('my.totals')})) } @sessions;
is(join('', map { $_->{stderr} } @sessions), '', 'no session has seen an error');
my $effects = $node->safe_psql('postgres', 'SELECT sum(n) FROM counter');
is($effects, scalar(@totals), 'as many effects as results that are ok');
is($effects, $clients * $calls, 'which is all, with so many attempts');
is(join(',', sort { $a <=> $b } @totals), join(',', 0 .. $clients * $calls - 1), 'each has read what exactly those before it have done');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT (client, call)) FROM done'), "$effects|$effects", 'nothing was done twice');
cmp_ok($node->safe_psql('postgres', 'SELECT max(attempt) FROM done'), '>', 1, 'some of it not in the first attempt');

#
# Cancelled and terminated, while a handler runs and between attempts
#
sub start
{
    my ($session, $sql) = @_;
    my $pid = $session->query('SELECT pg_backend_pid()');
    $session->{stderr} = '';
    $session->query_until(qr/started/, "\\echo started\n$sql;\n");
    return $pid;
}

sub await_state
{
    my ($pid, $condition, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid AND $condition)"), $what);
    return;
}
my $handling = "wait_event = 'PgSleep'";
my ($session) = @sessions;

my $pid = start($session, q{CALL apibase.dispatch_command(ROW('sleep')::hold)});
await_state($pid, $handling, 'a command is being handled');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
is($session->query('SELECT apibase.current_dispatch() IS NULL'), 't', 'cancelled: the session goes on');
like($session->{stderr}, qr/canceling statement due to user request/, 'and has been told');

$pid = start($session, q{CALL apibase.dispatch_command(ROW('sleep')::hold, options => '{"timeout": "10 min"}')});
await_state($pid, $handling, 'a command with a deadline is being handled');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
is($session->query('SELECT 1'), '1', 'cancelled before its deadline');
like($session->{stderr}, qr/canceling statement due to user request/, 'that is a cancellation');

$pid = start($session, q{CALL apibase.dispatch_command(ROW('fail')::hold)});
await_state($pid, "state = 'active' AND query LIKE 'CALL%'", 'a command is tried again and again');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
is($session->query('SELECT 1'), '1', 'cancelled wherever it was');
like($session->{stderr}, qr/canceling statement due to user request/, 'that is a cancellation as well');

$pid = start($session, q{CALL apibase.dispatch_command(ROW('sleep')::hold)});
await_state($pid, $handling, 'a command is being handled once more');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"), 'a session is terminated');
is($node->safe_psql('postgres', 'SELECT count(*) FROM done WHERE client = 99'), '0', 'nothing of all that was committed');
eval { $_->quit } for @sessions;

#
# A hot standby: queries in every form, and commands are refused in their result
#
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $half = $effects / 2;
is($standby->safe_psql('postgres', 'SELECT apibase.query(ROW(NULL)::total), apibase.query(\'public.total\', \'{"id": 1}\')'), "$effects|$half",
    'queries on a standby');
is($standby->safe_psql('postgres', 'CALL apibase.dispatch_query(ROW(1)::total)'), "(t,$half,,f)", 'and by CALL');
is($standby->safe_psql('postgres', q{SELECT r.ok, r.error->>'code' FROM apibase.command(ROW(1, 1)::add) r}), 'f|25006', 'no commands');
is($standby->safe_psql('postgres', q{DO $$
    DECLARE
        result apibase.result;
    BEGIN
        CALL apibase.dispatch_command(ROW(1, 1)::add, result);
        PERFORM set_config('my.code', result.error->>'code', false);
    END $$;
    SELECT current_setting('my.code')}), '25006', 'nor by CALL');
$standby->stop;
$node->stop;
done_testing();
