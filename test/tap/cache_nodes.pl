# Level 2 of the cache between servers: a primary and its standby, which hear of each other through Redis, and a server
# that is none of theirs.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServers qw(start_redis start_cluster);
use Test::More;

my $redis = start_redis();
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'apibase'
apibase.redis_url = 'redis://${\$redis->host}'
apibase.redis_command_timeout = 500ms
apibase.cache_default_ttl = 0
apibase.cache_standby_ttl = 1h
END
$primary->start;
$primary->safe_psql('postgres', <<'END');
CREATE EXTENSION apibase;
ALTER DATABASE postgres SET search_path = public, apibase;
CREATE TABLE items (id int PRIMARY KEY, v int);
INSERT INTO items SELECT n, 0 FROM generate_series(1, 5) n;
SELECT apibase.cache_configure('far', levels => '{2}');

-- The cached value of a row, which is put when it is missing; an error if it is older than what the table had before.
CREATE FUNCTION read_item(item int, prefix text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before int := (SELECT i.v FROM items i WHERE i.id = item);
    cached int := apibase.cache_get(prefix || item);
BEGIN
    IF cached < before THEN
        RAISE EXCEPTION 'stale: % has %, and % was committed', item, cached, before;
    ELSIF cached IS NULL THEN
        cached := (SELECT i.v FROM items i WHERE i.id = item);
        -- computing takes its time
        PERFORM pg_sleep(0.003);
        PERFORM apibase.cache_set(prefix || item, to_jsonb(cached), '1 hour', ARRAY['items:' || item]);
    END IF;
END $$;
END
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;

sub answer
{
    my ($node, $sql) = @_;
    return $node->safe_psql('postgres', "SELECT $sql");
}

sub worker
{
    my ($node, $column) = @_;
    return answer($node, "$column FROM cache_redis_worker");
}

# Until a condition holds on a server.
sub wait_for
{
    my ($node, $condition) = @_;
    $node->poll_query_until('postgres', "SELECT $condition")
        or die 'timed out on ' . $node->name . ": $condition";
    return 1;
}

# Until the workers of servers are ready and have sent all.
sub settle
{
    my (@nodes) = @_;
    for my $node (@nodes)
    {
        wait_for($node, "state = 'ready' AND waiting_bytes = 0 FROM cache_redis_worker");
    }
    return;
}

# Whether level 1 of a server has a key.
sub has_entry
{
    my ($node, $key) = @_;
    return answer($node, "count(*) FROM cache_entries WHERE key = '$key' AND valid");
}

my $names = sub { return join ' ', sort split /\s+/, $redis->cli('KEYS', '*') };

# ---- the standby reads ----
settle($primary, $standby);
is(worker($standby, 'epoch'), worker($primary, 'epoch'), 'a standby has the epoch of the primary');
is(worker($standby, 'epochs'), 0, 'and has not made it');
answer($primary, q{cache_set('k', '"one"', '1 hour', '{items,items:1}')});
is(answer($standby, q{cache_get('k')}), '"one"', 'it finds what the primary has put');
is(has_entry($standby, 'k'), 1, 'which is then in its level 1');
my $before = $names->();
answer($standby, q{cache_set('s', '"standby"')});
is(answer($standby, q{cache_get('s')}), '"standby"', 'what is put on a standby');
is($names->(), $before, 'is not in Redis');
is(answer($primary, q{cache_get('s') IS NULL}), 't', 'and not on the primary');

# ---- what the primary changes, the standby drops ----
for my $case (
    [ 'a tag', q{cache_invalidate('items')} ],
    [ 'all parts of a tag', q{cache_invalidate('items:*')} ],
    [ 'a key', q{cache_delete('k')} ],
    [ 'everything', q{cache_clear()} ],
    [ 'another value', q{cache_set('k', '"two"')} ])
{
    my ($what, $sql) = @$case;
    answer($primary, q{cache_set('k', '"one"', '1 hour', '{items,items:1}')});
    settle($primary, $standby);
    wait_for($standby, q{cache_get('k') = '"one"'});
    # what was on its way when the value was put has arrived once an entry stays
    wait_for($standby, q{count(*) = 1 FROM cache_entries WHERE key = 'k' AND valid});
    answer($primary, $sql);
    ok(wait_for($standby, q{cache_get('k') IS DISTINCT FROM '"one"'}), "$what: the standby drops what it has");
    settle($primary);
    is(answer($standby, q{cache_get('k')}), answer($primary, q{cache_get('k')}), 'and has what the primary has');
}

# a value that only the standby has
answer($standby, q{cache_set('s', '1', '1 hour', '{items:7}')});
answer($standby, q{cache_set('s2', '1')});
answer($primary, q{cache_invalidate('items:7')});
answer($primary, q{cache_delete('s2')});
ok(wait_for($standby, q{cache_get('s') IS NULL AND cache_get('s2') IS NULL}), 'also what Redis never had');

# what is rolled back
answer($primary, q{cache_set('k', '"one"', '1 hour', '{items}')});
settle($primary, $standby);
wait_for($standby, q{cache_get('k') IS NOT NULL});
$primary->safe_psql('postgres', q{BEGIN; SELECT apibase.cache_invalidate('items'); ROLLBACK; SELECT apibase.cache_delete('s3')});
answer($standby, q{cache_set('s3', '1')});
answer($primary, q{cache_delete('s3')});
wait_for($standby, q{cache_get('s3') IS NULL});
is(answer($standby, q{cache_get('k')}), '"one"', 'what the primary rolls back is not invalidated on the standby');

# ---- what is invalidated on the standby by hand ----
for my $case (
    [ 'a tag', q{cache_invalidate('items')} ],
    [ 'a key', q{cache_delete('k')} ],
    [ 'everything', q{cache_clear()} ])
{
    my ($what, $sql) = @$case;
    answer($primary, q{cache_set('k', '"one"', '1 hour', '{items}')});
    is(has_entry($primary, 'k'), 1, "level 1 of the primary has it ($what)");
    settle($primary, $standby);
    answer($standby, $sql);
    is(answer($standby, q{cache_get('k') IS NULL}), 't', "$what on a standby is invalidated there");
    ok(wait_for($primary, q{count(*) = 0 FROM cache_entries WHERE key = 'k' AND valid}), 'and on the primary')
        if $what ne 'everything';
    settle($standby, $primary);
    is(answer($standby, q{cache_get('k') IS NULL}), 't', 'and in Redis');
}

# what the primary wrote itself comes back to it, and is not taken for another's: what comes after it from elsewhere is applied
my $tracked = worker($primary, 'tracked');
answer($primary, q{count(cache_set('own' || n, '1', '1 hour', ARRAY['own:' || n])) FROM generate_series(1, 20) n});
answer($primary, q{cache_invalidate('own:1')});
settle($primary);
answer($standby, q{cache_delete('own2')});
wait_for($primary, "tracked > $tracked FROM cache_redis_worker");
is(worker($primary, 'tracked'), $tracked + 1, 'the primary applies what the standby did, and nothing else');
is(answer($primary, q{count(*) FROM cache_entries WHERE key LIKE 'own%' AND valid}), 18, 'its own entries stay');

# ---- nothing stale: writers and readers on the primary, with both levels, and with level 2 alone ----
my $script = PostgreSQL::Test::Utils::tempdir_short() . '/script';
append_to_file($script, <<'END');
\set id random(1, 5)
\set what random(1, 10)
\if :what <= 2
BEGIN;
UPDATE items SET v = v + 1 WHERE id = :id;
SELECT apibase.cache_invalidate('items:' || :id);
COMMIT;
\elif :what = 3
BEGIN;
UPDATE items SET v = v + 1 WHERE id = :id;
SELECT apibase.cache_delete(p || :id) FROM unnest(ARRAY['near:', 'far:']) p;
COMMIT;
\elif :what <= 6
SELECT read_item(:id, 'near:');
\else
SELECT read_item(:id, 'far:');
\endif
END
my $far_hits = answer($primary, q{coalesce(sum(hits), 0) FROM cache_stats WHERE namespace = 'far' AND level = 'l2'});
$primary->command_ok(
    [ 'pgbench', '-n', '-c', 4, '-j', 2, '-t', 1000, '-f', $script, '-p', $primary->port, '-h', $primary->host, 'postgres' ],
    'nothing stale is served while others write');
cmp_ok(answer($primary, q{sum(hits) FROM cache_stats WHERE namespace = 'far' AND level = 'l2'}), '>', $far_hits + 100,
    'though level 2 has served');

# ---- and on the standby, once it has heard of the write ----
my $late = 0;
for my $round (1 .. 50)
{
    $primary->safe_psql('postgres', <<'END');
BEGIN; UPDATE items SET v = v + 1 WHERE id = 1; SELECT apibase.cache_invalidate('items:1'); COMMIT; SELECT read_item(1, 'near:');
END
    my $v = $primary->safe_psql('postgres', 'SELECT v FROM items WHERE id = 1');
    wait_for($standby, "coalesce(cache_get('near:1') = '$v', false)") or $late++;
    is(answer($standby, q{cache_get('near:1')}), $v, 'the standby does not go back') if $round % 10 == 0;
}
is($late, 0, 'a value that is written again and again arrives at the standby each time');

# ---- Redis is flushed, connections are lost ----
answer($primary, q{cache_set('k', '"one"')});
settle($primary, $standby);
wait_for($standby, q{cache_get('k') IS NOT NULL});
my $epoch = worker($primary, 'epoch');
$redis->cli('FLUSHALL');
for my $node ($primary, $standby)
{
    wait_for($node, "state = 'ready' AND epoch <> '$epoch' FROM cache_redis_worker");
    is(answer($node, q{cache_get('k') IS NULL}), 't', 'FLUSHALL drops level 1 on the ' . $node->name);
}
is(worker($standby, 'epochs'), 1, 'the epochs of the standby: that of the cache_clear() above, no other');

answer($primary, q{cache_set('k', '"one"')});
settle($primary, $standby);
wait_for($standby, q{cache_get('k') IS NOT NULL});
my %drops = map { $_->name => worker($_, 'drops') } $primary, $standby;
is($redis->cli('CLIENT', 'KILL', 'TYPE', 'pubsub'), 2, 'the connections that track are killed');
for my $node ($primary, $standby)
{
    wait_for($node, "state = 'ready' AND drops >= $drops{$node->name} + 2 FROM cache_redis_worker");
}
answer($primary, q{cache_delete('k')});
ok(wait_for($standby, q{cache_get('k') IS NULL}), 'and made again: the standby hears of the primary');

# ---- a standby does not begin an epoch ----
$primary->stop;
$redis->cli('FLUSHALL');
wait_for($standby, "state = 'waiting' FROM cache_redis_worker");
is($redis->cli('DBSIZE'), 0, 'without the primary, a standby leaves an empty Redis empty');
answer($standby, q{cache_set('s', '5')});
is(answer($standby, q{cache_get('s')}), 5, 'and goes on with level 1');
$primary->start;
settle($primary, $standby);
is(worker($standby, 'epoch'), worker($primary, 'epoch'), 'with the primary there is an epoch again');

# ---- another server with the same Redis ----
my $stranger = PostgreSQL::Test::Cluster->new('stranger');
$stranger->init;
$stranger->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'apibase'
apibase.redis_url = 'redis://${\$redis->host}'
END
$stranger->start;
$stranger->safe_psql('postgres', 'CREATE EXTENSION apibase; ALTER DATABASE postgres SET search_path = public, apibase');
settle($stranger);
answer($primary, q{cache_set('k', '"mine"', '1 hour', '{items}')});
is(answer($stranger, q{cache_get('k') IS NULL}), 't', 'a server that is no standby of it does not see what the primary has put');
answer($stranger, q{cache_set('k', '"strange"', '1 hour', '{items}')});
answer($stranger, q{cache_invalidate('items')});
answer($stranger, q{cache_clear()});
settle($stranger, $primary, $standby);
is(answer($standby, q{cache_get('k')}), '"mine"', 'nor do they hear of it');
$stranger->stop;

# ---- promotion ----
answer($primary, q{cache_set('k', '"old"', '1 hour', '{items}')});
settle($primary, $standby);
is(answer($standby, q{cache_get('k')}), '"old"', 'before the promotion');
$epoch = worker($primary, 'epoch');
$primary->stop;
$standby->promote;
wait_for($standby, "state = 'ready' AND epoch <> '$epoch' FROM cache_redis_worker");
is(answer($standby, q{cache_get('k') IS NULL}), 't', 'promoted: a new epoch, and nothing of the old one');
answer($standby, q{cache_set('k', '"new"')});
like($names->(), qr/:@{[ worker($standby, 'epoch') ]}:\d+:v0:k\b/, 'and what is put is in Redis');
$standby->restart;
settle($standby);
is(answer($standby, q{cache_get('k')}), '"new"', 'where it is found after a restart');
$standby->stop;

# ---- a cluster of Redis servers ----
my @nodes = start_cluster(3);
$_->adjust_conf('postgresql.conf', 'apibase.redis_url', "'redis+cluster://" . $nodes[0]->host . "'") for $primary;
$primary->start;
$primary->backup('copy2');
$standby = PostgreSQL::Test::Cluster->new('standby2');
$standby->init_from_backup($primary, 'copy2', has_streaming => 1);
$standby->start;
settle($primary, $standby);
answer($primary, q{count(cache_set('c' || n, to_jsonb(n), '1 hour', ARRAY['n:' || n])) FROM generate_series(1, 60) n});
for my $node (@nodes)
{
    cmp_ok(scalar(() = $node->cli('KEYS', '*:v0:c*') =~ /:c\d+/g), '>', 3, 'a node of the cluster has some of the values');
}
is(answer($standby, q{sum((cache_get('c' || n))::int) FROM generate_series(1, 60) n}), 60 * 61 / 2, 'the standby finds all');
is(answer($standby, q{count(value) FROM cache_get_many(ARRAY(SELECT 'c' || n FROM generate_series(1, 60) n))}), 60, 'at once, too');
answer($primary, q{count(cache_invalidate('n:' || n)) FROM generate_series(1, 30) n});
answer($primary, q{count(cache_delete('c' || n)) FROM generate_series(31, 45) n});
ok(wait_for($standby, q{count(cache_get('c' || n)) = 15 FROM generate_series(1, 60) n}), 'and drops what the primary invalidates');
is(answer($standby, q{sum((cache_get('c' || n))::int) FROM generate_series(46, 60) n}), 795, 'and nothing else');
$epoch = worker($primary, 'epoch');
$nodes[1]->stop('KILL');
wait_for($standby, "state = 'waiting' FROM cache_redis_worker");
$nodes[1]->start;
wait_for($_, "state = 'ready' AND epoch <> '$epoch' FROM cache_redis_worker") for $primary, $standby;
is(answer($standby, q{count(cache_get('c' || n)) FROM generate_series(1, 60) n}), 0, 'a node that was started again: a new epoch');
$standby->stop;
$primary->stop;
done_testing();
