# The cache while a commit lasts: between the moment from which a transaction will commit whatever happens and the one at which others
# see that it has. A synchronous standby that is not there stops commits just there, for as long as it takes to look.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('commit');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase'
max_prepared_transactions = 2
wal_level = replica
max_wal_senders = 2
synchronous_standby_names = 'nobody'
synchronous_commit = local
END
$node->start;
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION apibase;
CREATE TABLE item (id integer PRIMARY KEY, v integer);
INSERT INTO item VALUES (1, 10), (2, 20);
SELECT apibase.cache_watch('item', rows => true);
END

# What another session gets, and reads, of both rows.
sub others
{
    return $node->safe_psql('postgres', q{SELECT string_agg(v || ' ' || coalesce(apibase.cache_get('item:' || id)::text, 'miss'), ', ' ORDER BY id) FROM item});
}

# What another session can put: t or f for each row.
sub put
{
    return $node->safe_psql('postgres', q{SELECT string_agg(apibase.cache_set('item:' || id, to_jsonb(v), '1 day', ARRAY['public.item:' || id])::text, ' ' ORDER BY id) FROM item});
}

# Begin a commit that lasts; returns when it does.
my ($in, $out, $err, $run);

sub commit_that_lasts
{
    my ($sql) = @_;
    ($in, $out, $err) = ("SET synchronous_commit = on;\nBEGIN;\n$sql;\nCOMMIT;\n\\echo done\n", '', '');
    $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
    $run->pump_nb;
    ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}), 'a commit lasts');
    return;
}

# Do to those that wait in a commit, and whose statement matches, what lets it end.
sub let_end
{
    my ($what, $statement) = @_;
    return $node->safe_psql('postgres', "SELECT count(pg_${what}_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ~ '$statement'");
}

sub commit_ends
{
    is(let_end('cancel', 'COMMIT'), 1, 'its wait is cancelled');
    $run->finish;
    like($out, qr/^done$/m, 'which ends the commit');
    return;
}

my $update = 'UPDATE item SET v = v + 1 WHERE id = 1';

is(put(), 'true true', 'both rows are put');
is(others(), '10 10, 20 20', 'and got');
commit_that_lasts($update);
is(others(), '10 miss, 20 20', 'while it lasts its row is a miss, although the old one is still read, and the other is got');
is(put(), 'false true', 'and the old row is not put');
is(others(), '10 miss, 20 20', 'nor got later');
commit_ends();
is(others(), '11 miss, 20 20', 'after it the row is still a miss');
is(put(), 'true true', 'and can be put');
is(others(), '11 11, 20 20', 'and got');

# With what the transaction put itself, which comes in the end.
commit_that_lasts("$update; SELECT apibase.cache_set('item:1', to_jsonb(v), '1 day', '{public.item:1}') FROM item WHERE id = 1");
is(others(), '11 miss, 20 20', 'what it has put is not got before it ends');
commit_ends();
is(others(), '12 12, 20 20', 'and is after that');

# A delete and a clear.
commit_that_lasts("$update; SELECT apibase.cache_delete('item:2')");
is(others(), '12 miss, 20 miss', 'what it deletes is a miss while it lasts');
is(put(), 'false false', 'and cannot be put');
commit_ends();
is(others(), '13 miss, 20 miss', 'nor is it there after that');
is(put(), 'true true', 'but can be put');
commit_that_lasts("$update; SELECT apibase.cache_clear()");
is(others(), '13 miss, 20 miss', 'all is a miss while a clear is committed');
is(put(), 'false false', 'and nothing can be put');
commit_ends();
is(put(), 'true true', 'and all can after that');

# Two at a time: the tag is free when both are done.
commit_that_lasts("SELECT apibase.cache_invalidate('public.item:2'); $update");
my $other = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET synchronous_commit = on; SELECT apibase.cache_invalidate('public.item:2'); INSERT INTO item VALUES (3, 30)" ],
    '<', \undef, '>', \my $other_out, '2>', \my $other_err);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}), 'two commits last');
is(let_end('cancel', 'INSERT'), 1, 'one of them ends');
$other->finish;
is(others(), '14 miss, 20 miss, 30 miss', 'the other still lasts');
is(put(), 'false false true', 'and what it concerns cannot be put');
commit_ends();
is(put(), 'true true true', 'until it has ended too');

# A session that is terminated while its commit lasts has committed.
commit_that_lasts($update);
is(let_end('terminate', 'COMMIT'), 1, 'a session is terminated while its commit lasts');
$run->finish;
like($err, qr/terminating connection/, 'and says so');
is(others(), '16 miss, 20 20, 30 30', 'what it has committed is invalidated');
is(put(), 'true true true', 'and it has left no mark');
is(others(), '16 16, 20 20, 30 30', 'all is well');

# A transaction is prepared if it has only kept what it computed: that is not published. One that replaces or invalidates a value
# is refused.
$node->safe_psql('postgres', q{BEGIN; SELECT pg_current_xact_id(), apibase.cache_fetch('computed', 'SELECT 1'); PREPARE TRANSACTION 'p'});
is($node->safe_psql('postgres', q{SELECT apibase.cache_get('computed')}), '', 'what a prepared transaction has computed is not got');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
is($node->safe_psql('postgres', q{SELECT apibase.cache_get('computed')}), '', 'nor after its commit');
is($node->safe_psql('postgres', q{SELECT apibase.cache_set('computed', '2'), apibase.cache_get('computed')}), 't|2', 'but somebody else can put it');
foreach my $what (q{cache_set('computed', '3')}, q{cache_delete('computed')}, q{cache_clear()}, q{cache_invalidate('any')})
{
    my ($code, $out_of_psql, $error) =
      $node->psql('postgres', "BEGIN; SELECT pg_current_xact_id(), apibase.$what; PREPARE TRANSACTION 'p'");
    like($error, qr/ERROR:  cannot prepare a transaction that has/, "$what: refused");
}
is($node->safe_psql('postgres', q{SELECT apibase.cache_get('computed')}), '2', 'and nothing was done');
is($node->safe_psql('postgres', 'SELECT * FROM apibase_internal.cache_verify()'), '', 'the cache is sound');

$node->stop;
done_testing();
