# The second level of the cache on a Redis Cluster of three masters: redirections, slots that move, a node that dies; and on
# servers that Sentinel watches.

use strict;
use warnings;

use lib 'test/tap';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServers qw(start_redis start_cluster start_sentinel wait_until start_node set_conf redis_state wait_usable stop_worker go_on);
use Test::More;

my $password = 'Pa55word';
my $node = start_node('cluster', <<'END');
apibase.redis_connect_timeout = 1s
apibase.redis_command_timeout = 1s
apibase.redis_breaker_recovery = 200ms
END

# How many redirections of a kind a server has answered with.
sub redirections
{
    my ($kind, @servers) = @_;
    my $sum = 0;
    $sum += ($_->info("errorstat_$kind") // '') =~ /count=(\d+)/ ? $1 : 0 for @servers;
    return $sum;
}

# Put values into level 2, each of its own; what comes out of it.
my $put = q{SELECT bool_and(apibase.cache_set('r:' || i, to_jsonb(i))) FROM generate_series(1, 60) i};
my $wrong = q{SELECT count(*) FILTER (WHERE v <> to_jsonb(i)) || ' wrong, ' || count(v) || ' right'
    FROM generate_series(1, 60) i, LATERAL (SELECT apibase.cache_get('r:' || i || left(random()::text, 0)) v) v};
my $many = q{SELECT count(*) || ' ' || bool_and(key = 'r:' || value::text)
    FROM apibase.cache_get_many(ARRAY(SELECT 'r:' || i FROM generate_series(1, 60) i))};

# ---- a cluster ----

my @nodes = start_cluster(3, password => $password);
set_conf($node, 'apibase.redis_url' => "redis://:$password\@" . $nodes[1]->host);
wait_usable($node, 'a cluster, by way of one of its nodes');
is($node->safe_psql('postgres', $put), 't', 'values are put');
cmp_ok($_->cli('DBSIZE'), '>', 10, 'into every node') for @nodes;
is($node->safe_psql('postgres', $wrong), '0 wrong, 60 right', 'and got, one by one');
is($node->safe_psql('postgres', $many), '60 true', 'and in one call');
is(redis_state($node, 'breaker, failures'), 'closed|0', 'redirections are no failures');

# A session meets MOVED once, and then has the map.
my $session = $node->background_psql('postgres', on_error_stop => 0);
is($session->query($wrong), '0 wrong, 60 right', 'a session');
my $worker = stop_worker($node);
my $moved = redirections('MOVED', @nodes);
cmp_ok($moved, '>', 0, 'the nodes have redirected');
is($session->query($wrong), '0 wrong, 60 right', 'the session again');
is($session->query($many), '60 true', 'and in one call');
is(redirections('MOVED', @nodes), $moved, 'is not redirected any more');

# A slot on its way: the keys that are there already are asked for there, and nobody remembers.
my ($name) = grep { /:v.*r:7$/ } map { split /\n/, $_->cli('KEYS', '*') } @nodes;
my $slot = $nodes[0]->cli('CLUSTER', 'KEYSLOT', $name);
my ($from) = grep { $_->cli('CLUSTER', 'COUNTKEYSINSLOT', $slot) > 0 } @nodes;
my ($to) = grep { $_ != $from } @nodes;
my %id = map { $_ => scalar $_->cli('CLUSTER', 'MYID') } @nodes;
is($to->cli('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $id{$from}), 'OK', 'a slot is imported by one node');
is($from->cli('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $id{$to}), 'OK', 'and leaves another');
like($from->cli('MIGRATE', '127.0.0.1', $to->port, '', 0, 5000, 'AUTH', $password, 'KEYS',
        split(/\n/, $from->cli('CLUSTER', 'GETKEYSINSLOT', $slot, 100))), qr/OK/, 'its keys are moved');
my $asked = redirections('ASK', @nodes);
is($session->query($wrong), '0 wrong, 60 right', 'values are found meanwhile');
cmp_ok(redirections('ASK', @nodes), '>', $asked, 'by way of ASK');
is(redirections('MOVED', @nodes), $moved, 'but not of MOVED');
is($session->query(q{SELECT apibase.cache_set('r:7', '7')}), 't', 'a value is put meanwhile');
is($session->query($many), '60 true', 'and got');

# The slot has arrived.
is($_->cli('CLUSTER', 'SETSLOT', $slot, 'NODE', $id{$to}), 'OK', 'the slot is the other node\'s') for $to, $from, grep { $_ != $to && $_ != $from } @nodes;
$moved = redirections('MOVED', @nodes);
is($session->query($wrong), '0 wrong, 60 right', 'values are found where the slot is now');
cmp_ok(redirections('MOVED', @nodes), '>', $moved, 'by way of MOVED');
$moved = redirections('MOVED', @nodes);
is($session->query($many), '60 true', 'and again');
is(redirections('MOVED', @nodes), $moved, 'without it');
is(redis_state($node, 'breaker, failures'), 'closed|0', 'none of this is a failure');

# One of three dies: the others serve, and it is left alone for a while.
set_conf($node, 'apibase.redis_breaker_recovery' => '1h');
my $kept = $nodes[2]->cli('DBSIZE');
$nodes[2]->stop('KILL');
my $got = $session->query($wrong);
like($got, qr/^0 wrong, /, 'a node dies: nothing wrong is got');
my ($right) = $got =~ /(\d+) right/;
cmp_ok($right, '>', 10, 'what the other nodes have is got');
cmp_ok($right, '<', 60, 'what it had is not');
my ($failures, $skipped) = split /\|/, redis_state($node, 'failures, skipped');
is($session->query($wrong), $got, 'the same again');
my $now = redis_state($node, "failures - $failures, skipped > $skipped, breaker");
is($now, '0|t|closed', 'without another attempt, and the breaker stays closed for the others');

# It comes back.
$nodes[2]->start;
wait_until('the cluster is whole', sub { !grep { $_->cli('CLUSTER', 'INFO') !~ /cluster_state:ok.*cluster_slots_ok:16384/s } @nodes });
$node->safe_psql('postgres', q{SELECT apibase_internal.clock_set('2 hours')});
is($session->query($put), 't', 'the node is back: values are put');
is($session->query($wrong), '0 wrong, 60 right', 'and got');
$session->quit;
go_on($worker);
set_conf($node, 'apibase.redis_breaker_recovery' => '200ms');

# With the worker, which follows all nodes: whatever is got is right.
wait_usable($node, 'level 2 with the worker');
$nodes[0]->stop('KILL');
like($node->safe_psql('postgres', $put), qr/^[tf]$/, 'a node dies while the worker runs: puts are no errors');
like($node->safe_psql('postgres', $wrong), qr/^0 wrong, /, 'and nothing wrong is got');
$nodes[0]->start;
wait_usable($node, 'and is back');

# A failover: a replica takes over a master's slots, at an address that is in no setting.
my $replica = start_redis(password => $password, 'cluster-enabled' => 'yes',
    'cluster-port' => PostgreSQL::Test::Cluster::get_free_port(), 'cluster-node-timeout' => 2000,
    'cluster-require-full-coverage' => 'no');
$replica->cli('CLUSTER', 'MEET', '127.0.0.1', $nodes[0]->port, $nodes[0]->{options}{'cluster-port'});
wait_until('a replica joins', sub { $replica->cli('CLUSTER', 'REPLICATE', $id{ $nodes[1] }) =~ /OK/ });
wait_until('it has the data', sub { ($replica->info('master_link_status') // '') eq 'up' });
wait_until('all know of it', sub { !grep { $_->cli('CLUSTER', 'NODES') !~ /127.0.0.1:@{[$replica->port]}.* slave / } @nodes });
$nodes[1]->stop('KILL');
wait_until('it is promoted', sub { $replica->cli('ROLE') =~ /^master/ });
set_conf($node, 'apibase.redis_url' => "redis+cluster://:$password\@" . join(',', map { $_->host } @nodes));
wait_usable($node, 'a replica took over, and the first host may be any');
is($node->safe_psql('postgres', $put), 't', 'values are put');
is($node->safe_psql('postgres', $wrong), '0 wrong, 60 right', 'and got');
cmp_ok($replica->cli('DBSIZE'), '>', 10, 'from the replica that was');
$_->stop for @nodes, $replica;

# ---- Sentinel ----

my $master = start_redis(password => $password);
my $second = start_redis(password => $password, replicaof => '127.0.0.1 ' . $master->port);
my @sentinels = map { start_sentinel('main', $master) } 1 .. 2;
for my $sentinel (@sentinels)
{
    wait_until('Sentinel knows all', sub {
        my $known = $sentinel->cli('SENTINEL', 'MASTER', 'main');
        $known =~ /num-slaves\n1\n/ && $known =~ /num-other-sentinels\n1\n/
    });
}
my $absent = PostgreSQL::Test::Cluster::get_free_port();
set_conf($node, 'apibase.redis_url' => "redis+sentinel://:$password\@127.0.0.1:$absent," . join(',', map { $_->host } @sentinels) . '/main/2');
wait_usable($node, 'a master that Sentinel names, one Sentinel of three being absent');
like($master->cli('-n', 2, 'KEYS', '*'), qr/r:probe/, 'has the keys');

$master->stop('KILL');
wait_until('Sentinel promotes the replica', sub { $second->cli('ROLE') =~ /^master/ });
wait_usable($node, 'the replica took over');
like($second->cli('-n', 2, 'KEYS', '*'), qr/r:probe/, 'it has the keys');

$master->start;
wait_until('the old master is a replica now', sub { $master->cli('ROLE') =~ /^slave/ });
wait_usable($node, 'the old master is back as a replica');
$sentinels[0]->stop;
wait_usable($node, 'one Sentinel less');

set_conf($node, 'apibase.redis_url' => "redis://:$password\@" . $master->host . ',' . $second->host . '/2');
wait_usable($node, 'of two servers that are named the one is used that is no replica');
like($second->cli('CLIENT', 'LIST'), qr/name=apibase/, 'it is logged in to');
set_conf($node, 'apibase.redis_url' => "redis+sentinel://:$password\@" . $sentinels[1]->host . '/other');
wait_until('a master that Sentinel does not know', sub { redis_state($node, 'last_error') =~ /Sentinel does not know the master/ });
pass('a master that Sentinel does not know is told');

unlike(slurp_file($node->logfile), qr/$password/, 'the password is not in the log');
$node->stop;
done_testing();
