# Level 2 of the cache, end to end with a real Redis: what is put, found again, invalidated, and what happens when one of
# the two is not there.

use strict;
use warnings;

use File::Path qw(rmtree);
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServers qw(start_redis wait_until);
use Test::More;

my $redis = start_redis();
my $node = PostgreSQL::Test::Cluster->new('redis');
$node->init;
$node->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'apibase'
apibase.redis_url = 'redis://${\$redis->host}'
apibase.redis_command_timeout = 500ms
apibase.redis_queue_size = 16kB
apibase.cache_default_ttl = 0
END
$node->start;
# CREATE EXTENSION clears the cache, for which the worker has to be there
wait_until('the first epoch', sub { $redis->cli('KEYS', 'apibase:*:epoch') ne '' });
$node->safe_psql('postgres', 'CREATE EXTENSION apibase');

# What a statement answers.
sub answer
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', "SET search_path = apibase, public; SELECT $sql");
}

# A column of the worker's view.
sub worker
{
    my ($column) = @_;
    return answer("$column FROM cache_redis_worker");
}

# Until the worker is ready and has nothing left to send, or a condition on its view holds.
sub wait_for
{
    my ($condition) = @_;
    my $sql = "SELECT $condition FROM apibase.cache_redis_worker";
    $node->poll_query_until('postgres', $sql) or die "timed out: $condition";
    return 1;
}

sub settle { return wait_for("state = 'ready' AND waiting_bytes = 0") }

# Names in Redis that match a pattern below the epoch of now.
sub names
{
    my ($pattern) = @_;
    my $epoch = worker('epoch');
    return sort grep { length } split /\n/, $redis->cli('KEYS', "apibase:*:$epoch:*:$pattern");
}

# The name in Redis of a value.
sub value_name
{
    my ($key) = @_;
    my ($name) = names("v0:$key");
    return $name;
}

# Level 1 is emptied, level 2 is not: the worker drops everything when its connection is lost, and when it has another one.
sub forget_level1
{
    my $drops = worker('drops');
    is($redis->cli('CLIENT', 'KILL', 'TYPE', 'pubsub'), '1', 'the connection that tracks is killed');
    wait_for("drops >= $drops + 2 AND state = 'ready'");
    return;
}

settle();
cmp_ok(worker('epochs'), '>=', 2, 'the first start makes an epoch, and CREATE EXTENSION another one');
my $epoch = worker('epoch');
like($epoch, qr/^[0-9a-f]{16}$/, 'which the view shows');
my $system = answer('system_identifier FROM pg_control_system()');
like($redis->cli('GET', "apibase:$system:epoch"), qr/^$epoch [0-9a-f]{16}$/, 'and Redis has');

# ---- put: names, the form of a value, its time to live ----
answer(q{cache_set('user:1', '{"name": "Zoë", "list": [1, 2.50, null], "text": "a\"b\nc"}', '1 hour', '{items,items:5}')});
is_deeply([ names('*') ],
    [ map { "apibase:$system:$epoch:" . answer("oid FROM pg_database WHERE datname = 'postgres'") . ":$_" }
            'k:user:1', 't:items', 't:items:*', 't:items:5', 'v0:user:1' ],
    'a value, the version of its key, and those of its tags');
my $value = $redis->cli('GET', value_name('user:1'));
like($value, qr/"kind":"j","value":\{/, 'a value is JSON');
is(answer("((\$v\$$value\$v\$)::jsonb->'value')::text"), answer(q{cache_get('user:1')}), 'that has what was put');
my $ttl = $redis->cli('PTTL', value_name('user:1'));
cmp_ok($ttl, '<=', 3600_000, 'with the time to live');
cmp_ok($ttl, '>', 3000_000, 'that was given');
answer(q{cache_set('for ever', '1')});
cmp_ok($redis->cli('PTTL', value_name('for ever')), '<=', 30 * 86400_000, 'a value without one does not stay for ever');
cmp_ok($redis->cli('PTTL', value_name('for ever')), '>', 29 * 86400_000, 'but for apibase.redis_max_ttl');
cmp_ok($redis->cli('PTTL', (names('k:for ever'))[0]), '>', 30 * 86400_000, 'and its version for longer');

# ---- a clean restart: what is in level 2 is found, and fills level 1 ----
$node->restart;
settle();
is(worker('epoch'), $epoch, 'a clean restart keeps the epoch');
is(worker('epochs'), 0, 'and makes none');
is(answer(q{cache_get('user:1')->>'text'}), "a\"b\nc", 'a value is found in level 2');
is(answer(q{cache_get_many('{user:1,for ever,nothing}')::text}),
    answer(q{t::text FROM (VALUES ('user:1', cache_get('user:1')), ('for ever', '1')) t}), 'and several at once');
$redis->cli('DEL', value_name('user:1'));
is(answer(q{cache_get('user:1')->>'text'}), "a\"b\nc", 'which is then in level 1');
cmp_ok(answer(q{extract(epoch FROM cache_ttl('user:1'))}), '<=', 3600, 'with its time to live');

# ---- invalidation ----
for my $case (
    [ 'its tag', q{cache_invalidate('items')} ],
    [ 'a part of it', q{cache_invalidate('items:5')} ],
    [ 'all parts of it', q{cache_invalidate('items:*')} ],
    [ 'its key', q{cache_delete('user:1')} ],
    [ 'everything', q{cache_clear()} ])
{
    my ($what, $sql) = @$case;
    answer(q{cache_set('user:1', '"old"', '1 hour', '{items,items:5}')});
    answer(q{cache_set('other', '"other"', '1 hour', '{items:6,others}')});
    settle();
    forget_level1();
    is(answer(q{cache_get('user:1')}), '"old"', "before: level 2 has it ($what)");
    answer($sql);
    is(answer(q{cache_get('user:1') IS NULL}), 't', "$what is invalidated: at once");
    settle();
    is(answer(q{cache_get('user:1') IS NULL}), 't', 'and when Redis has been told');
    forget_level1();
    is(answer(q{cache_get('user:1') IS NULL}), 't', 'in level 2 as well');
    is(answer(q{cache_get('other') IS NULL}), $what =~ /^(?:every|all)/ ? 't' : 'f', 'and nothing else');
}
is(worker('epochs'), 1, 'clearing makes a new epoch');
isnt(worker('epoch'), $epoch, 'which is another one');

# ---- a put that Redis executes late ----
for my $sql (q{cache_delete('late')}, q{cache_invalidate('lates')})
{
    answer(q{cache_set('late', '"old"', '1 hour', '{lates}')});
    my $name = value_name('late');
    my $old = $redis->cli('GET', $name);
    answer($sql);
    settle();
    $redis->cli('SET', $name, $old);
    forget_level1();
    is(answer(q{cache_get('late') IS NULL}), 't', "$sql: what is put again afterwards does not count");
    answer(q{cache_set('late', '"new"', '1 hour', '{lates}')});
    forget_level1();
    is(answer(q{cache_get('late')}), '"new"', 'until a new value is put');
}

# ---- transactions ----
answer(q{cache_set('user:1', '"old"', '1 hour', '{items}')});
$node->safe_psql('postgres', <<'END');
SET search_path = apibase, public;
CREATE TABLE items (id int);
BEGIN; INSERT INTO items VALUES (1); SELECT cache_invalidate('items'); SELECT cache_set('new', '"rolled back"'); ROLLBACK;
BEGIN; INSERT INTO items VALUES (1); SELECT cache_set('new', '"committed"', '1 hour', '{items}'); COMMIT;
END
settle();
forget_level1();
is(answer(q{cache_get('user:1')}), '"old"', 'what is rolled back invalidates nothing');
is(answer(q{cache_get('new')}), '"committed"', 'what a transaction has put is in level 2 after its commit');
$node->safe_psql('postgres', <<'END');
SET search_path = apibase, public;
BEGIN; SELECT cache_delete('new'); SELECT cache_set('new', '"newer"'); COMMIT;
END
settle();
forget_level1();
is(answer(q{cache_get('new')}), '"newer"', 'deleted and put in one transaction: the new one');

# ---- what is in Redis is not believed ----
my %garbage = (
    'empty' => '',
    'no JSON' => "\x01\xff{",
    'JSON of another form' => '{"value": 1}',
    'deeply nested JSON' => '{"sum":"0000000000000000",' . '[' x 100_000,
    'a changed value' => $redis->cli('GET', value_name('new')) =~ s/newer/wrong/r,
    'the value of another key' => $redis->cli('GET', value_name('user:1')),
);
for my $what (sort keys %garbage)
{
    answer(q{cache_set('new', '"newer"')});
    my $name = value_name('new');
    my $file = PostgreSQL::Test::Utils::tempdir_short() . '/value';
    append_to_file($file, $garbage{$what});
    system("redis-cli -p " . $redis->port . " -x SET '$name' < $file > $file.out") == 0 or die 'redis-cli';
    forget_level1();
    is(answer(q{cache_get('new') IS NULL}), 't', "$what is a miss");
}
answer(q{cache_set('new', '"newer"')});
$redis->cli('DEL', value_name('new'));
$redis->cli('LPUSH', (names('k:new'))[0] =~ s/:k:/:v0:/r, 'x');
forget_level1();
is(answer(q{cache_get('new') IS NULL}), 't', 'a list is a miss');
answer(q{cache_set('new', '"newest"')});
forget_level1();
is(answer(q{cache_get('new')}), '"newest"', 'and is overwritten');
$redis->cli('DEL', names('k:new'));
forget_level1();
is(answer(q{cache_get('new') IS NULL}), 't', 'without the version of its key a value does not count');

# ---- FLUSHALL ----
answer(q{cache_set('a', '1')});
my $drops = worker('drops');
$epoch = worker('epoch');
$redis->cli('FLUSHALL');
wait_for("drops > $drops AND state = 'ready' AND epoch <> '$epoch'");
is(answer(q{cache_get('a') IS NULL}), 't', 'FLUSHALL drops level 1 as well');
answer(q{cache_set('a', '2')});
forget_level1();
is(answer(q{cache_get('a')}), '2', 'and a new epoch begins');

# ---- the connection that tracks is lost ----
my $connects = worker('connects');
$epoch = worker('epoch');
forget_level1();
is(worker('connects'), $connects + 1, 'connects again');
is(worker('epoch'), $epoch, 'and goes on with the same Redis');

# ---- the queue is full ----
answer(q{cache_set('a', '3', '1 hour', '{t1}')});
my $overflows = worker('overflows');
answer(q{count(cache_invalidate('t' || n)) FROM generate_series(1, 2000) n});
wait_for("overflows > $overflows AND state = 'ready' AND waiting_bytes = 0");
isnt(worker('epoch'), $epoch, 'too many invalidations: a new epoch');
forget_level1();
is(answer(q{cache_get('a') IS NULL}), 't', 'and nothing of the old one is found');
cmp_ok(worker('sent'), '<', worker('queued'), 'not all had to be sent');

# ---- Redis stops and starts ----
answer(q{cache_set('a', '4')});
answer(q{cache_set('b', '4')});
$redis->cli('SAVE');
answer(q{cache_set('a', '5')});
$epoch = worker('epoch');
$redis->stop('KILL');
wait_for("state = 'waiting'");
is(answer(q{cache_set('c', '6')}), 't', 'without Redis: put');
is(answer(q{cache_get('c')}), '6', 'and got from level 1');
answer(q{cache_delete('b')});
$redis->start;
wait_for("state = 'ready' AND waiting_bytes = 0");
isnt(worker('epoch'), $epoch, 'a Redis that was started again may have old data: a new epoch');
is(answer(q{cache_get('a') IS NULL}), 't', 'so that what it has is not served');
is(answer(q{cache_get('b') IS NULL}), 't', 'whatever it is');

# ---- Redis has no memory left ----
answer(q{cache_set('full', '"old"')});
settle();
$redis->cli('CONFIG', 'SET', 'maxmemory', '1');
is(answer(q{cache_set('full', '"new"')}), 't', 'Redis is out of memory: put');
is(answer(q{cache_get('full')}), '"new"', 'and got from level 1');
$redis->cli('CONFIG', 'SET', 'maxmemory', '0');
settle();
forget_level1();
isnt(answer(q{coalesce(cache_get('full'), '"none"')}), '"old"', 'the older value, which Redis could not replace, is not served');

# ---- Redis hangs ----
answer(q{cache_set('a', '7', '1 hour', '{slow}')});
settle();
$redis->pause;
my $pid = worker('pid');
answer(q{cache_invalidate('slow')});
is(answer(q{cache_get('a') IS NULL}), 't', 'Redis hangs: what was invalidated is not served');
wait_for("state = 'waiting'");
$redis->resume;
wait_for("state = 'ready' AND waiting_bytes = 0");
is(worker('pid'), $pid, 'the worker was not ended by that');
forget_level1();
is(answer(q{cache_get('a') IS NULL}), 't', 'nor is it served afterwards');

# ---- the worker is ended and started again ----
answer(q{cache_set('a', '8', '1 hour', '{w}')});
settle();
$epoch = worker('epoch');
$pid = worker('pid');
kill 'TERM', $pid;
wait_for("pid IS NULL OR pid <> $pid");
answer(q{cache_invalidate('w')});
wait_for("pid <> $pid AND state = 'ready' AND waiting_bytes = 0");
is(worker('epoch'), $epoch, 'the worker is started again and goes on');
is(answer(q{cache_get('a') IS NULL}), 't', 'with what was invalidated while it did not run');

# ---- the server is stopped with something left to send ----
answer(q{cache_set('a', '9', '1 hour', '{s}')});
settle();
$epoch = worker('epoch');
$redis->pause;
answer(q{cache_invalidate('s')});
$node->stop('fast');
$redis->resume;
$node->start;
settle();
isnt(worker('epoch'), $epoch, 'stopped before everything was sent: a new epoch');
is(answer(q{cache_get('a') IS NULL}), 't', 'and nothing old');

# ---- the server crashes ----
for my $crash (
    [ 'an immediate stop', sub { $node->stop('immediate'); $node->start } ],
    [ 'a killed backend', sub {
        my $victim = $node->background_psql('postgres');
        my $backend = $victim->query_safe('SELECT pg_backend_pid()');
        kill 'KILL', $backend;
        eval { $victim->quit };
        $node->poll_query_until('postgres', 'SELECT true') or die 'no restart';
    } ])
{
    my ($what, $code) = @$crash;
    $node->append_conf('postgresql.conf', 'restart_after_crash = on');
    $node->reload;
    answer(q{cache_set('a', '10')});
    settle();
    $epoch = worker('epoch');
    $code->();
    settle();
    isnt(worker('epoch'), $epoch, "$what: a new epoch");
    is(answer(q{cache_get('a') IS NULL}), 't', 'nothing old is served');
}

# ---- started without level 2 in between ----
answer(q{cache_set('a', '11')});
settle();
$epoch = worker('epoch');
my $url = "redis://" . $redis->host;
$node->append_conf('postgresql.conf', "apibase.redis_url = ''");
$node->restart;
is(worker('state'), 'off', 'without a URL there is no level 2');
answer(q{cache_delete('a')});
is(worker('queued'), 0, 'and nothing is queued');
$node->append_conf('postgresql.conf', "apibase.redis_url = '$url'");
$node->reload;
settle();
isnt(worker('epoch'), $epoch, 'with a URL again: a new epoch');
is(answer(q{cache_get('a') IS NULL}), 't', 'nothing that was deleted meanwhile');
answer(q{cache_set('a', '12')});
settle();
$epoch = worker('epoch');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'apibase'");
$node->restart;
settle();
isnt(worker('epoch'), $epoch, 'started without the library in between: a new epoch');

# ---- an old copy of the server is put in its place ----
answer(q{cache_set('a', '"before"', '1 hour', '{copied}')});
settle();
$epoch = worker('epoch');
$node->stop;
my $copy = $node->basedir . '/copy';
system('cp', '-a', $node->data_dir, $copy) == 0 or die 'cp';
$node->start;
settle();
is(worker('epoch'), $epoch, 'the server goes on');
answer(q{cache_set('a', '"after"', '1 hour', '{copied}')});
settle();
$node->stop;
rmtree($node->data_dir);
rename($copy, $node->data_dir) or die "rename: $!";
$node->start;
settle();
isnt(worker('epoch'), $epoch, 'an old copy of the server: a new epoch');
is(answer(q{cache_get('a') IS NULL}), 't', 'it does not see what was after it');

for my $prefix ('another:', 'apibase:')
{
    answer(q{cache_set('a', '12')});
    $epoch = worker('epoch');
    $node->append_conf('postgresql.conf', "apibase.redis_key_prefix = '$prefix'");
    $node->reload;
    wait_for("state = 'ready' AND epoch <> '$epoch'");
    like($redis->cli('GET', "$prefix$system:epoch"), qr/^@{[ worker('epoch') ]} /, 'another prefix: another epoch there');
    is(answer(q{cache_get('a') IS NULL}), 't', 'and nothing under it');
}

# ---- databases, encodings ----
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION apibase');
$node->safe_psql('one', q{SELECT apibase.cache_set('k', '"one"')});
settle();
$node->safe_psql('postgres', 'DROP DATABASE one; CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION apibase');
is($node->safe_psql('one', q{SELECT apibase.cache_get('k') IS NULL}), 't', 'a database of the same name has nothing of it');
$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$node->safe_psql('latin', 'CREATE EXTENSION apibase');
my $latin = q{SET client_encoding = 'UTF8'; SET search_path = apibase;};
$node->safe_psql('latin', qq{$latin SELECT cache_set('Zoë', '"naïve"', '1 hour', '{été:à}')});
settle();
forget_level1();
is($node->safe_psql('latin', qq{$latin SELECT cache_get('Zoë')}), '"naïve"', 'a database in another encoding');
$node->safe_psql('latin', qq{$latin SELECT cache_invalidate('été:*')});
settle();
is($node->safe_psql('latin', qq{$latin SELECT cache_get('Zoë') IS NULL}), 't', 'with tags');

$node->stop;
done_testing();
