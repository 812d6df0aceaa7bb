# Watched tables: what the apply worker of logical replication writes invalidates as well, rows, partitions and TRUNCATE included;
# and dump and restore brings working triggers, event triggers and the configuration of namespaces.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$subscriber->start;

my $tables = q{
    CREATE TABLE items (id int PRIMARY KEY, name text);
    CREATE TABLE whole (id int PRIMARY KEY, name text);
    CREATE TABLE parted (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
};
$publisher->safe_psql('postgres', $tables . q{
    INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 10) i;
    CREATE PUBLICATION pub FOR TABLE items, whole, parted});
$subscriber->safe_psql('postgres', $tables . q{
    CREATE EXTENSION apibase;
    CREATE TABLE tags (tag text PRIMARY KEY);
    INSERT INTO tags SELECT 'public.' || t FROM unnest('{items,items:1,items:2,items:3,whole,whole:1,parted,parted:1,parted_1,parted_1:1,other}'::text[]) t;
    CREATE TABLE local (id int PRIMARY KEY);
    SELECT apibase.cache_watch('local')});
my $watch = q{SELECT apibase.cache_watch('items', rows => true), apibase.cache_watch('whole'), apibase.cache_watch('parted', rows => true)};
$subscriber->safe_psql('postgres', $watch);

# The triggers for each row, which make writes dearer: where they are.
sub row_triggers
{
    return $subscriber->safe_psql('postgres', q{
        SELECT coalesce(string_agg(format('%s %s', tgrelid::regclass, tgenabled), ', ' ORDER BY tgrelid::regclass::text COLLATE "C"), 'none')
        FROM pg_trigger WHERE tgfoid = 'apibase.cache_watch_trigger()'::regprocedure AND tgtype & 1 = 1});
}

# One entry a tag; which of them are gone.
sub fill
{
    is($subscriber->safe_psql('postgres', q{SELECT bool_and(apibase.cache_set('k:' || tag, '1', '1 hour', ARRAY[tag])) FROM tags}), 't', 'entries are set');
    return;
}

sub lost
{
    return $subscriber->safe_psql('postgres', q{
        SELECT coalesce(string_agg(replace(tag, 'public.', ''), ' ' ORDER BY tag COLLATE "C"), 'nothing')
        FROM tags WHERE apibase.cache_get('k:' || tag) IS NULL});
}

is(row_triggers(), 'none', 'no trigger for each row without a subscription');
fill();
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub");
$subscriber->poll_query_until('postgres', q{SELECT count(*) = 3 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel})
  or die 'the first copy did not end';
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM items'), '10', 'the rows have arrived');
is(lost(), 'items items:1 items:2 items:3 whole whole:1', 'the first copy invalidates, row by row or as a whole');
fill();
$subscriber->safe_psql('postgres', "$watch; SELECT apibase.cache_watch('local')");
is(row_triggers(), 'items R, parted R, parted_1 R, whole R', 'watched again, there are triggers where the subscription writes');
is(lost(), 'items items:1 items:2 items:3 parted parted:1 parted_1 parted_1:1 whole whole:1', 'what was computed before they were there is gone');
fill();
$subscriber->safe_psql('postgres', "$watch; SELECT apibase.cache_watch('parted_1', rows => true)");
is(row_triggers(), 'items R, parted R, parted_1 R, whole R', 'once more changes nothing');
is(lost(), 'nothing', 'and invalidates nothing');

for my $case (
    ['an update by row', q{UPDATE items SET name = 'x' WHERE id = 2}, 'items items:2'],
    ['a new key', q{UPDATE items SET id = 30 WHERE id = 3}, 'items items:3'],
    ['a delete', q{DELETE FROM items WHERE id = 1}, 'items items:1'],
    ['an insert', q{INSERT INTO items VALUES (1)}, 'items items:1'],
    ['TRUNCATE', q{TRUNCATE items}, 'items items:1 items:2 items:3'],
    ['a table without tags for rows', q{INSERT INTO whole VALUES (7)}, 'whole whole:1'],
    ['a partition', q{INSERT INTO parted VALUES (1)}, 'parted parted:1 parted_1 parted_1:1'],
    ['a rollback', q{BEGIN; INSERT INTO whole VALUES (8); ROLLBACK}, 'nothing'])
{
    my ($name, $statement, $expected) = @$case;
    fill();
    $publisher->safe_psql('postgres', $statement);
    $publisher->wait_for_catchup('sub');
    is(lost(), $expected, "replicated: $name");
}
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM whole'), '1', 'the apply worker has written');

# more rows in a transaction than are named one by one
$subscriber->safe_psql('postgres', 'ALTER SYSTEM SET apibase.cache_max_row_tags = 5');
$subscriber->reload;
$publisher->safe_psql('postgres', 'INSERT INTO items SELECT generate_series(101, 105)');
$publisher->wait_for_catchup('sub');
fill();
$publisher->safe_psql('postgres', 'INSERT INTO items SELECT generate_series(111, 115)');
$publisher->wait_for_catchup('sub');
is(lost(), 'items', 'as many rows as are named one by one');
fill();
$publisher->safe_psql('postgres', 'INSERT INTO items SELECT generate_series(201, 206)');
$publisher->wait_for_catchup('sub');
is(lost(), 'items items:1 items:2 items:3', 'one row more');

# dump and restore
$subscriber->safe_psql('postgres', q{
    DROP SUBSCRIPTION sub;
    SELECT apibase.cache_configure('k', ttl => '17 minutes', levels => '{1}');
    CREATE DATABASE restored});
my $dump = "$PostgreSQL::Test::Utils::tmp_check/watched.sql";
command_ok(['pg_dump', '-d', $subscriber->connstr('postgres'), '-f', $dump], 'dumped');
command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $subscriber->connstr('restored'), '-f', $dump], 'restored');
for my $query (
    q{SELECT relation, rows FROM apibase.cache_watched ORDER BY relation::text COLLATE "C"},
    q{SELECT tgrelid::regclass, regexp_replace(tgname, '\d+$', ''), tgenabled, tgtype FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text COLLATE "C", 2},
    q{TABLE apibase.cache_namespaces})
{
    my $there = $subscriber->safe_psql('postgres', $query);
    isnt($there, '', 'something to restore');
    is($subscriber->safe_psql('restored', $query), $there, "as before: $query");
}
is($subscriber->safe_psql('restored', q{
    SELECT count(apibase.cache_set('k:' || tag, '1', NULL, ARRAY[tag])) FROM tags;
    UPDATE whole SET name = 'x';
    SELECT string_agg(tag, ' ' ORDER BY tag) FROM tags WHERE apibase.cache_get('k:' || tag) IS NULL;
    SELECT expires_at - created_at FROM apibase.cache_entries WHERE key = 'k:public.other';
    SELECT apibase.cache_watch('items', rows => true), apibase.cache_watch('whole'), apibase.cache_watch('parted', rows => true);
    SELECT relation, rows FROM apibase.cache_watched ORDER BY relation::text COLLATE "C"}),
    "11\npublic.whole public.whole:1\n00:17:00\n||\nitems|t\nlocal|f\nparted|t\nparted_1|t\nwhole|f", 'it works there');

# DDL there; and what was watched does not survive without the extension that watches
is($subscriber->safe_psql('restored', q{
    SELECT count(*) FROM pg_event_trigger WHERE evtname = 'apibase_cache_ddl_end' AND evtenabled = 'A';
    SELECT apibase.cache_set('ddl', '1', NULL, '{public.whole}');
    ALTER TABLE whole ADD n int;
    SELECT apibase.cache_get('ddl');
    SELECT apibase.cache_set('ddl', '1', NULL, '{public.whole}');
    SELECT apibase.cache_get('ddl')}), "1\nt\n\nt\n1", 'ALTER TABLE invalidates');
is($subscriber->safe_psql('restored', q{
    DROP EXTENSION apibase CASCADE;
    UPDATE whole SET name = 'y';
    ALTER TABLE whole DROP n;
    CREATE EXTENSION apibase;
    SELECT apibase.cache_get('ddl')}), '', 'nothing is left after the extension was away');

# without a subscription
$subscriber->safe_psql('postgres', $watch);
is(row_triggers(), 'none', 'watched again without the subscription, there is no trigger for each row any more');

$subscriber->stop;
$publisher->stop;
done_testing();
