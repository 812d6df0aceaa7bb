# Namespaces over sessions and servers: counters are exact under concurrency, the configuration reaches other sessions and a standby,
# and there may be more namespaces than have numbers.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\napibase.cache_standby_ttl = '1h'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION apibase');
my $ttl = q{SELECT expires_at - created_at FROM apibase.cache_entries WHERE key = 'conf:1'};

# ---- counters ----
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/hit.sql", "SELECT apibase.cache_get('count:hit');\n");
append_to_file("$dir/miss.sql", "SELECT apibase.cache_get('count:miss');\n");
append_to_file("$dir/set.sql", "SELECT apibase.cache_set('count:set' || :client_id, '1');\n");
$node->safe_psql('postgres', q{SELECT apibase.cache_set('count:hit', '1', '1 hour')});
$node->safe_psql('postgres', q{SELECT apibase.cache_reset_stats()});
$node->command_ok(['pgbench', '-n', '-c', 8, '-j', 2, '-t', 1000, '-f', "$dir/hit.sql\@2", '-f', "$dir/miss.sql\@1", '-f', "$dir/set.sql\@1",
    '-h', $node->host, '-p', $node->port, 'postgres'], 'eight clients');
is($node->safe_psql('postgres', q{SELECT hits + misses + sets, hits > 3000, misses > 1000, sets > 1000 FROM apibase.cache_stats WHERE namespace = 'count' AND level = 'l1'}),
    '8000|t|t|t', 'nothing of what eight clients counted is lost');

# ---- other sessions ----
# A psql script of one session, in which "other STATEMENTS" runs them in another one meanwhile.
sub sessions
{
    my ($script) = @_;
    my $other = 'psql -X -A -t -q -d "' . $node->connstr('postgres') . '" -c';
    $script =~ s/^other (.*)$/\\! $other "$1"/mg;
    return $node->safe_psql('postgres', $script);
}
my $use = qq{SELECT count(apibase.cache_set('conf:1', '1')) FROM (VALUES (1)) v;\n$ttl;\n};
(my $other_use = "other SET statement_timeout = '20s'; $use") =~ s/\n(?=.)/ /g;

is(sessions("SELECT apibase.cache_configure('conf', ttl => '1 min');\n$use" . q{
other SELECT apibase.cache_configure('conf', ttl => '2 min')
} . $use), "\n1\n00:01:00\n\n1\n00:02:00", 'a commit reaches a session that knew the one before');
is(sessions(qq{BEGIN;\nSELECT apibase.cache_configure('conf', ttl => '3 min');\n$other_use\nCOMMIT;\n$use}),
    "\n1\n00:02:00\n1\n00:03:00", 'nobody sees it before the commit');
is(sessions(qq{SELECT apibase.cache_configure('conf', ttl => '5 min');\nBEGIN;\nLOCK TABLE apibase.cache_namespaces IN ACCESS EXCLUSIVE MODE;\n} .
    qq{$other_use\nCOMMIT;\n$other_use}),
    "\n1\n00:03:00\n1\n00:05:00", 'a locked table holds nobody up');

# ---- restart ----
$node->restart;
is($node->safe_psql('postgres', $use), "1\n00:05:00", 'the configuration is read after a restart');
is($node->safe_psql('postgres', q{SELECT sum(hits + misses), sum(sets) FROM apibase.cache_stats WHERE namespace = 'conf'}), '0|1', 'and counting begins anew');

# ---- standby ----
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', "BEGIN READ ONLY;\n$use;\nCOMMIT"), "1\n00:05:00", 'a standby reads the configuration');
$node->safe_psql('postgres', q{SELECT apibase.cache_configure('conf', ttl => '6 min')});
$node->wait_for_catchup($standby);
$standby->safe_psql('postgres', q{SELECT apibase_internal.clock_set('6 s')});
is($standby->safe_psql('postgres', $use), "1\n00:06:00", 'and reads it again after some seconds');
$node->safe_psql('postgres', q{SELECT apibase.cache_configure('conf', ttl => '7 min')});
$node->wait_for_catchup($standby);
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is($standby->safe_psql('postgres', $use), "1\n00:07:00", 'promoted, it knows the last of the replayed');
$standby->safe_psql('postgres', q{SELECT apibase.cache_configure('conf', ttl => '8 min')});
is($standby->safe_psql('postgres', $use), "1\n00:08:00", 'and what is changed there');
$standby->stop;

# ---- more namespaces than numbers ----
# 7 numbers besides nobody's own, two of which are for configured namespaces
$node->append_conf('postgresql.conf', 'apibase.cache_max_namespaces = 8');
$node->restart;
is($node->safe_psql('postgres', q{
    SELECT apibase.cache_unconfigure('conf');
    SELECT bool_and(apibase.cache_set('n' || i || ':1', '1')) FROM generate_series(1, 9) i;
    SELECT string_agg(namespace, ' ' ORDER BY namespace) FROM apibase.cache_stats WHERE level = 'l1';
    SELECT sets FROM apibase.cache_stats WHERE level = 'l1' AND namespace IS NULL;
    SELECT key FROM apibase.cache_entries WHERE namespace IS NULL ORDER BY key}),
    "t\nt\nn1 n2 n3 n4 n5\n4\nn6:1\nn7:1\nn8:1\nn9:1", 'namespaces without a number count together');
$node->safe_psql('postgres', q{SELECT apibase.cache_configure('n' || i, ttl => '9 min') FROM generate_series(5, 7) i});
my ($out, $err);
$node->psql('postgres', q{SELECT count(apibase.cache_set('n' || i || ':2', '1')) FROM generate_series(1, 9) i}, stdout => \$out, stderr => \$err);
is($err, '', 'configured namespaces get the last numbers');
is($node->safe_psql('postgres', q{SELECT string_agg(key, ' ' ORDER BY key) FROM apibase.cache_entries WHERE expires_at - created_at = '9 min'}),
    'n5:2 n6:2 n7:2', 'and their configuration holds');
$node->safe_psql('postgres', q{SELECT apibase.cache_configure('n8')});
$node->psql('postgres', q{SELECT apibase.cache_set('n1:1', '1')}, stdout => \$out, stderr => \$err);
like($err, qr/WARNING:  the configuration of 1 cache namespace has no effect\nDETAIL: .*7.*\nHINT: .*apibase.cache_max_namespaces/,
    'one more has no effect, and it is said');
is($out, 't', 'and nothing fails');
is($node->safe_psql('postgres', q{SELECT namespaces, max_namespaces FROM apibase.cache_memory; SELECT count(*) FROM apibase_internal.cache_verify()}),
    "7|7\n0", 'all numbers are taken');
$node->stop;
done_testing();
