# core/worker.c: the loop of background workers, through the library apibase_test, which has two workers: "steady",
# connected to a database and started again after a second, and "once", not connected and never started again.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('worker');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase,apibase_test'
apibase_test.naptime = 20ms
restart_after_crash = on
END
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION apibase_test');

# A counter of a worker.
sub counter
{
    my ($worker, $name) = @_;
    return $node->safe_psql('postgres', "SELECT $name FROM apibase_test.worker_status('$worker')");
}

# Wait until a condition on the status of a worker holds.
sub wait_for
{
    my ($worker, $condition) = @_;
    return $node->poll_query_until('postgres', "SELECT $condition FROM apibase_test.worker_status('$worker')");
}

# Have turns last, and wait until one does.
sub stall
{
    my $stalled = $node->safe_psql('postgres', 'SELECT apibase_test.stalled()');
    $node->safe_psql('postgres', 'SELECT apibase_test.stall_turns(true)');
    $node->poll_query_until('postgres', "SELECT apibase_test.stalled() > $stalled") or die 'no turn began';
    return;
}

# Turns advance.
ok(wait_for('steady', 'turns >= 3 AND pid > 0'), 'steady takes turns');
my $turns = counter('steady', 'turns');
ok(wait_for('steady', "turns > $turns + 2"), 'and goes on taking them');
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");
my $event = $major >= 17 ? 'ApibaseWorkerTurn' : 'Extension';
ok($node->poll_query_until('postgres',
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'apibase_test steady'
         AND datname = 'postgres' AND state = 'idle' AND wait_event = '$event'"),
    'pg_stat_activity shows that it is idle between turns');
ok(wait_for('once', 'turns >= 1 AND pid > 0'), 'once takes a turn');
$turns = counter('once', 'turns');
sleep 0.5;
is(counter('once', 'turns'), $turns, 'and no further one while nothing sets its latch');

# The memory of a turn is freed: each turn leaves a megabyte.
my $leaked = $node->safe_psql('postgres', 'SELECT apibase_test.leaked_bytes()');
cmp_ok($leaked, '>', 0, 'turns look at their memory context');
cmp_ok($leaked, '<', 65536, 'which is empty when they begin');

# SIGHUP.
my $reloads = counter('steady', 'reloads');
$node->append_conf('postgresql.conf', 'apibase_test.naptime = 60s');
$node->reload;
ok(wait_for('steady', "reloads > $reloads"), 'the configuration is read again');
$turns = counter('steady', 'turns');
sleep 1;
cmp_ok(counter('steady', 'turns') - $turns, '<=', 1, 'and the new setting counts');
$node->append_conf('postgresql.conf', 'apibase_test.naptime = 20ms');
$node->reload;
ok(wait_for('steady', "turns > $turns + 2"), 'a setting that shortens the wait counts at once');

# Errors are survived, logged, counted, and slow the worker down: 20 + 40 + 80 + 160 + 200 ms.
my $pid = counter('steady', 'pid');
my $offset = -s $node->logfile;
my $begin = time;
$node->safe_psql('postgres', 'SELECT apibase_test.fail_turns(5)');
ok(wait_for('steady', 'failures = 5'), 'five turns fail');
$turns = counter('steady', 'turns');
ok(wait_for('steady', "turns > $turns"), 'the next does not: locks and transaction of the failed ones are released');
cmp_ok(time - $begin, '>=', 0.5, 'failures are followed by longer and longer waits');
is(counter('steady', 'pid'), $pid, 'in the same process');
is(counter('steady', 'failures'), 5, 'and no further failure is counted');
my $log = slurp_file($node->logfile, $offset);
is(scalar(() = $log =~ /ERROR:  this turn was told to fail/g), 5, 'each failure is logged once');

# A cancel ends the turn, not the worker.
stall();
is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'a turn that lasts is cancelled');
ok(wait_for('steady', 'failures = 6'), 'which counts as a failure');
is(counter('steady', 'pid'), $pid, 'of the same process');

# DROP DATABASE, while a turn lasts and one worker waits.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$begin = time;
$node->safe_psql('postgres', 'DROP DATABASE other');
cmp_ok(time - $begin, '<', 10, 'DROP DATABASE is not blocked by a worker within a turn');
$node->safe_psql('postgres', 'SELECT apibase_test.stall_turns(false)');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$begin = time;
$node->safe_psql('postgres', 'DROP DATABASE other');
cmp_ok(time - $begin, '<', 10, 'nor by workers between turns');

# pg_terminate_backend: started again, or not, as configured.
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok(wait_for('steady', "pid > 0 AND pid <> $pid"), 'steady is started again');
$turns = counter('steady', 'turns');
ok(wait_for('steady', "turns > $turns"), 'and takes turns');

stall();
$pid = counter('steady', 'pid');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok(wait_for('steady', "pid <> $pid"), 'a turn that lasts is terminated');
$node->safe_psql('postgres', 'SELECT apibase_test.stall_turns(false)');
ok(wait_for('steady', "pid > 0 AND turns > $turns + 1"), 'and started again');

# it is not connected, so that pg_terminate_backend does not know it
$pid = counter('once', 'pid');
$turns = counter('once', 'turns');
kill 'TERM', $pid;
ok(wait_for('once', 'pid = 0'), 'once ends');
sleep 2;
is(counter('once', 'pid'), 0, 'and is not started again');
is(counter('once', 'turns'), $turns, 'nor takes a turn');

# Its own database: the worker is its user as any session is, and WITH (FORCE) ends it.
$node->safe_psql('postgres', 'CREATE DATABASE own');
$node->append_conf('postgresql.conf', "apibase_test.database = 'own'");
$node->restart;
ok(wait_for('steady', 'turns >= 1 AND pid > 0'), 'a worker in another database');
is($node->safe_psql('postgres', "SELECT datname FROM pg_stat_activity WHERE backend_type = 'apibase_test steady'"),
    'own', 'which is the configured one');
$begin = time;
$node->safe_psql('postgres', 'DROP DATABASE own WITH (FORCE)');
cmp_ok(time - $begin, '<', 10, 'DROP DATABASE WITH (FORCE) ends the worker');
$node->safe_psql('postgres', 'CREATE DATABASE own');
ok(wait_for('steady', 'pid > 0 AND turns >= 2'), 'when the database is there again, the worker is');

# Shutdown, with a turn that lasts.
stall();
$begin = time;
$node->stop('fast');
cmp_ok(time - $begin, '<', 10, 'shutdown does not wait for a turn');

# A crash of the worker: the server starts again, with new shared memory.
$node->start;
ok(wait_for('steady', 'turns >= 1'), 'the worker after a start');
$node->safe_psql('postgres', 'SELECT apibase_test.fail_turns(1)');
ok(wait_for('steady', 'failures >= 1'), 'has counted a failure');
$pid = counter('steady', 'pid');
kill 'KILL', $pid;
ok($node->poll_query_until('postgres',
        "SELECT pid > 0 AND pid <> $pid AND failures = 0 FROM apibase_test.worker_status('steady')"),
    'kill -9: the worker runs again and the counters begin at zero');
$node->stop;

done_testing();
