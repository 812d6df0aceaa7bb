# The outbox under 16 concurrent writers that delay, abort, use savepoints and read each other's effects, beside 3 readers: every committed
# event is read exactly once by each reader, none of an aborted (sub)transaction is, and no event comes before one that its writer had
# seen. The control: in the order of the numbers that are drawn when something is first emitted, and in that of the events' ids, some do.
#
# APIBASE_STRESS_SECONDS is how long it lasts (10).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run;
use OutboxClients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $writers = 16;
my $seconds = $ENV{APIBASE_STRESS_SECONDS} || 10;

my $node = PostgreSQL::Test::Cluster->new('outbox');
# a commit can wait for a standby
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase'
max_connections = 40
fsync = off
END
$node->start;
outbox_setup($node);

my $clients = outbox_start($node, $writers, $seconds);
is(outbox_finish($clients->{writers}), '', 'the writers ran to their end');
is(outbox_drain($node, $clients), '', 'and so did the readers');
outbox_verify($node, 'order');

my ($events, $commits, $steps) = split /\|/, $node->safe_psql('postgres', q{
    SELECT count(*), count(DISTINCT batch), count(DISTINCT (event).step) FROM stress.got WHERE reader = 1});
diag("$events events of $commits transactions in $seconds s");
cmp_ok($commits, '>', 10 * $writers, 'there was something to be put in order');
is($steps, 4, 'of all kinds: ' . $node->safe_psql('postgres', q{SELECT string_agg(DISTINCT (event).step, ', ') FROM stress.got}));
cmp_ok($node->safe_psql('postgres', q{SELECT stress.inversions('g.batch')}), '>', 0, 'in the order of the first write, some come before one that they had seen');
cmp_ok($node->safe_psql('postgres', q{SELECT stress.inversions('g.id')}), '>', 0, 'and in the order of their ids');
is($node->safe_psql('postgres', q{SELECT count(*) FROM stress.got g WHERE (g.event).seen <> '{}' AND reader = 1}) > 0, 1, 'they had seen others');

# A commit that hangs with its position drawn, because it waits for a standby that is not there. It cannot be seen yet, and so a
# later one cannot be read yet, nor acknowledged, although it can be seen.
$node->safe_psql('postgres', q{SELECT apibase.outbox_ack('hanging', (SELECT max(position) FROM stress.got))});
$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', q{SELECT current_setting('synchronous_standby_names') = 'nobody'}) or die 'the configuration is not read';
my $got = q{SELECT string_agg((event).payload ->> 'step', ', ') FROM apibase.outbox_read('hanging')};
my $file = PostgreSQL::Test::Utils::tempdir() . '/hanging';
my $hanging = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{SELECT stress.happen(1, 0, 'hanging')} ], '<', \undef, '>', "$file.out", '2>', "$file.err");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}) or die 'the commit does not hang';
$node->safe_psql('postgres', q{SET synchronous_commit = local; SELECT stress.happen(2, 0, 'later')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM apibase.outbox WHERE payload ->> 'step' IN ('hanging', 'later')}), 1, 'a later commit can be seen, the one that hangs cannot');
is($node->safe_psql('postgres', $got), '', 'but the later one cannot be read before it');
my ($code, $out, $err) = $node->psql('postgres', q{SELECT apibase.outbox_ack('hanging', (SELECT max(position) * 65536 FROM apibase_internal.outbox_commit))});
like($err, qr/ERROR:  position \d+ of the outbox cannot have been read/, 'nor acknowledged');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()});
$hanging->finish;
is($node->safe_psql('postgres', $got), 'hanging, later', 'when it has ended both are read, in order');
$node->safe_psql('postgres', q{SELECT apibase.outbox_drop_consumer('hanging'); SELECT apibase.outbox_ack('reader ' || n, max(r.position))
    FROM generate_series(1, 3) n, apibase.outbox_read('reader 1') r GROUP BY n});
$events += 2;

# A read looks at as many buffers at the end of the history as at its beginning.
my $buffers = q{EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM apibase.outbox_read('%s', 10)};
sub buffers_of
{
    my ($consumer) = @_;
    my $plan = $node->safe_psql('postgres', sprintf($buffers, $consumer) . ';' . sprintf($buffers, $consumer));
    my @hits = $plan =~ /Function Scan.*\n\s+Buffers: shared hit=(\d+)/g;
    return $hits[-1];
}
$node->safe_psql('postgres', q{SELECT apibase.outbox_ack('late', (SELECT max(position) FROM (SELECT position FROM stress.got WHERE reader = 1 ORDER BY position DESC OFFSET 10) x))});
my ($first, $last) = (buffers_of('new'), buffers_of('late'));
diag("buffers of a read: $first at the beginning, $last at the end");
cmp_ok($last, '<', $first + 40, 'what a read costs does not depend on what was before');

# Everything is acknowledged, so everything can go, a part at a time.
$node->safe_psql('postgres', q{SELECT apibase.outbox_drop_consumer('late')});
my $pruned = $node->safe_psql('postgres', q{SELECT apibase.outbox_prune('0', 100)});
is($pruned, 100, 'pruned in parts');
is($node->safe_psql('postgres', q{SELECT apibase.outbox_prune('0', 10000000) + 100}), $events, 'all events are pruned');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM apibase.outbox), (SELECT count(*) FROM apibase_internal.outbox_commit)}), '0|0', 'and all commits');

$node->stop;
done_testing();
