# cache/cache_flight.c: many sessions that miss one key, the one that computes fails, is terminated or killed, has nothing to
# share; more flights than there are slots; the name of the wait event. What needs two sessions is in
# test/isolation/specs/cache_flight*.spec.
#
# What is computed waits for the gate, an advisory lock that the test holds, and counts how often it ran.

use strict;
use warnings;

use lib 'test/tap';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions qw(start result_of);
use Test::More;

my $waiting = 6;

my $node = PostgreSQL::Test::Cluster->new('flight');
$node->init;
$node->append_conf('postgresql.conf', qq{
    shared_preload_libraries = 'apibase'
    apibase.cache_wait_limit = '1h'
    max_connections = 20
    restart_after_crash = on});
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE UNLOGGED SEQUENCE computed;
    CREATE FUNCTION gated(gate int DEFAULT 1) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(gate), pg_advisory_unlock_shared(gate);
        RETURN nextval('computed');
    END $$;
    CREATE FUNCTION failing(attempts int) RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE n bigint := gated();
    BEGIN
        IF n <= attempts THEN RAISE 'attempt % fails', n; END IF;
        RETURN n;
    END $$;
    CREATE FUNCTION nest(n int) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN
        IF n = 0 THEN RETURN (SELECT count(*) FROM apibase.cache_flights); END IF;
        RETURN apibase.cache_fetch('nest:' || n, format('SELECT nest(%s)', n - 1))::bigint;
    END $$});

my $gate = $node->background_psql('postgres', on_error_stop => 0);
my $owner = $node->background_psql('postgres', on_error_stop => 0);
my @waiters = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. $waiting;

sub close_gate { $gate->query("SELECT FROM pg_advisory_lock($_)") for @_; return; }
sub open_gate { $gate->query("SELECT FROM pg_advisory_unlock($_)") for @_; return; }

sub await_flights
{
    my ($flights, $waiters, $what) = @_;
    ok($node->poll_query_until('postgres', 'SELECT count(*), coalesce(sum(waiters), 0) FROM apibase.cache_flights', "$flights|$waiters"), $what);
    return;
}

# The owner starts, then the waiters; how often it was computed is counted from 0.
my $key = 0;
sub all_start
{
    my ($owners, $waiters) = @_;
    $key++;
    $node->safe_psql('postgres', 'ALTER SEQUENCE computed RESTART');
    start($owner, sprintf($owners, "k$key"));
    await_flights(1, 0, "$key: one computes");
    start($_, sprintf($waiters // $owners, "k$key")) for @waiters;
    await_flights(1, $waiting, 'the others wait');
    return;
}
sub computed { return $node->safe_psql('postgres', 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM computed'); }
sub waits { return $node->safe_psql('postgres', q{SELECT coalesce(sum(waits), 0) FROM apibase.cache_stats WHERE level = 'l1'}); }

# ---- many that miss one key ----
my $waits = waits();
close_gate(1);
all_start(q{SELECT apibase.cache_fetch('%s', 'SELECT gated()')});
my $major = $node->safe_psql('postgres', 'SHOW server_version_num') / 10000;
my $event = $major >= 17 ? 'ApibaseCacheFlight' : 'Extension';
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND wait_event = '$event'"),
    $waiting, 'which shows in pg_stat_activity');
is(waits() - $waits, $waiting, 'and is counted');
open_gate(1);
is(join(' ', map { result_of($_) } $owner, @waiters), join(' ', (1) x (1 + $waiting)), 'all have its value');
is(computed(), 1, 'which was computed once');

# ---- the one fails, then the next, then it is there ----
close_gate(1);
all_start(q{SELECT apibase.cache_fetch('%s', 'SELECT failing(2)')});
open_gate(1);
is(result_of($owner), 'attempt 1 fails', 'who computes has its error');
is(join(' ', sort map { result_of($_) } @waiters), join(' ', (3) x ($waiting - 1), 'attempt 2 fails'),
    'the next takes over, fails, the third takes over, and all others share');
is(computed(), 3, 'which was computed three times');

# ---- it is terminated ----
close_gate(1);
all_start(q{SELECT apibase.cache_fetch('%s', 'SELECT gated()')});
is($node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM apibase.cache_flights'), 't', 'the one is terminated');
await_flights(1, $waiting - 1, 'another takes over');
open_gate(1);
is(join(' ', map { result_of($_) } @waiters), join(' ', (1) x $waiting), 'and computes for all');
is(computed(), 1, 'once');
$owner = $node->background_psql('postgres', on_error_stop => 0);

# ---- what it computes is not to be kept: all compute together, not one after the other ----
close_gate(1, 2);
all_start(q{SELECT apibase.cache_fetch('%s', 'SELECT NULL FROM gated()', negative_ttl => '0')},
    q{SELECT apibase.cache_fetch('%s', 'SELECT NULL FROM gated(2)', negative_ttl => '0')});
open_gate(1);
is(result_of($owner), '', 'who computes has nothing to share');
ok($node->poll_query_until('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", $waiting),
    'all others compute at the same time');
open_gate(2);
is(join('', map { result_of($_) } @waiters), '', 'and have the same');

# ---- more flights than slots ----
is($node->safe_psql('postgres', 'SELECT nest(100)'), '64', 'who finds no free slot computes without one');
is($node->safe_psql('postgres', 'SELECT count(*) FROM apibase.cache_flights'), '0', 'and all slots are free afterwards');

# ---- an expired value in the place of an error is logged and counted ----
my $stale = q{SELECT apibase.cache_fetch('stale', 'SELECT 1 / %d', '1 min', stale_on_error => '1 h')};
$node->safe_psql('postgres', sprintf($stale, 1));
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('2 min')");
my $log = -s $node->logfile;
is($node->safe_psql('postgres', sprintf($stale, 0)), '1', 'an expired value');
like(slurp_file($node->logfile, $log), qr/LOG:  .*"stale" is served.*\n.*DETAIL:  division by zero/, 'the error is in the log');
is($node->safe_psql('postgres', q{SELECT sum(errors) FROM apibase.cache_stats WHERE level = 'l1'}), '1', 'and is counted');
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('0')");

# ---- it is killed: the server starts anew, without flights ----
close_gate(1);
all_start(q{SELECT apibase.cache_fetch('%s', 'SELECT gated()')});
my $pid = $node->safe_psql('postgres', 'SELECT pid FROM apibase.cache_flights');
kill('KILL', $pid) or die "cannot kill $pid: $!";
$_->{run}->finish for $gate, $owner, @waiters;
ok($node->poll_query_until('postgres', 'SELECT count(*) FROM apibase.cache_flights', '0'), 'after a crash there are no flights');
is($node->safe_psql('postgres', "SELECT apibase.cache_fetch('k$key', 'SELECT gated() > 0')"), 'true', 'and the cache works');

$node->stop;
done_testing();
