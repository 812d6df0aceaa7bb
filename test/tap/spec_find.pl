# find() where a regression test cannot go: without shared_preload_libraries, on a hot standby, over thousands of calls that
# fail; and the counters of spec_stats, which sessions share and servers do not.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('find');
$node->init(allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE TABLE items (id int PRIMARY KEY, price int NOT NULL);
    INSERT INTO items SELECT i, i % 10 FROM generate_series(1, 1000) i;
    CREATE VIEW broken AS SELECT id, 1 / (id - 500) AS x FROM items;
    ANALYZE});

my $list = q{SELECT array_agg(id) FROM apibase.find(NULL::items, 'price = 3', 'id', 3)};
my $next = q{SELECT array_agg(id) FROM apibase.find(NULL::items, 'price = 3', 'id', 3, after => '{"id": 23}')};

# ---- not preloaded: lists work, counters say why not ----
is($node->safe_psql('postgres', "$list; $next; $list"), "{3,13,23}\n{33,43,53}\n{3,13,23}", 'lists need no shared memory');
for my $sql ('SELECT * FROM apibase.spec_stats', 'SELECT apibase.spec_stats_reset()')
{
    my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
    like($err, qr/ERROR:  PB001: apibase is not preloaded: the counters of specifications cannot be (read|reset)/, "$sql raises PB001");
    like($err, qr/HINT:  Add apibase to shared_preload_libraries and restart the server\./, 'with a hint');
}

# ---- preloaded ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$node->restart;
my $calls = 'SELECT find_calls, find_cache_hits FROM apibase.spec_stats';
is($node->safe_psql('postgres', $calls), '0|0', 'the counters start at zero');
is($node->safe_psql('postgres', "$list; $next; $list; $next"), "{3,13,23}\n{33,43,53}\n{3,13,23}\n{33,43,53}", 'the same lists');
is($node->safe_psql('postgres', $calls), '4|2', 'a session sees what another has counted');
$node->psql('postgres', "BEGIN; $list; ROLLBACK");
is($node->safe_psql('postgres', $calls), '5|2', 'a rollback takes no count back');
$node->safe_psql('postgres', 'SELECT apibase.spec_stats_reset()');
is($node->safe_psql('postgres', $calls), '0|0', 'they are reset');
$node->safe_psql('postgres', $list);
$node->restart;
is($node->safe_psql('postgres', $calls), '0|0', 'and a restart does so too');

# ---- no leak, over errors at every stage: in the specification, in the cursor, in the plan, while it runs ----
my $fail = q{
    CREATE OR REPLACE PROCEDURE pg_temp.fail(first int, last int) LANGUAGE plpgsql AS $$
    DECLARE
        statement text;
    BEGIN
        FOR i IN first .. last LOOP
            FOREACH statement IN ARRAY ARRAY['NULL::items, ''nope = %s''', 'NULL::items, ''id = ''''x%s''''''', 'NULL::items, NULL, ''price'', after => ''{"price": %s}''',
                    'NULL::items, NULL, ''id'', after => ''{"id": "x%s"}''', 'NULL::broken, ''x < %s''', 'NULL::broken, ''x < %s'', ''id''', 'NULL::items, ''id = %s'''] LOOP
                BEGIN
                    EXECUTE 'SELECT count(*) FROM apibase.find(' || format(statement, i) || ')';
                EXCEPTION WHEN OTHERS THEN
                    NULL;
                END;
            END LOOP;
        END LOOP;
    END $$;
    CREATE OR REPLACE FUNCTION pg_temp.used() RETURNS bigint LANGUAGE sql AS
        $$ SELECT sum(used_bytes) FROM pg_backend_memory_contexts
           WHERE name IN ('TopMemoryContext', 'CacheMemoryContext', 'CachedPlan', 'CachedPlanSource', 'CachedPlanQuery', 'SPI Plan') OR name LIKE 'apibase%' $$;
    SET apibase.find_cache_size = 8;
    CALL pg_temp.fail(1, 50);
    CREATE TEMP TABLE before AS SELECT pg_temp.used() AS used;
    CALL pg_temp.fail(51, 1050);
    SELECT pg_temp.used() - used < 200000 AS no_growth FROM before;
    SELECT count(*) <= 8 FROM pg_backend_memory_contexts WHERE name = 'apibase find plan';
    SELECT array_agg(id) FROM apibase.find(NULL::items, 'price = 3', 'id', 3);};
is($node->safe_psql('postgres', $fail), "t\nt\n{3,13,23}", 'thousands of calls that fail leave no memory and no plans behind');

# ---- a cancelled list ends at once, and the session goes on ----
my ($status, $out, $err) = $node->psql('postgres', q{
    CREATE VIEW endless AS SELECT a.id FROM items a, items b, items c;
    SET statement_timeout = '200ms';
    SELECT count(*) FROM apibase.find(NULL::endless, 'id > 0');}, on_error_stop => 1);
like($err, qr/canceling statement due to statement timeout/, 'a list can be cancelled');

# ---- a hot standby ----
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', "$list; $next; SELECT apibase.find_count(NULL::items, 'price > 3')"), "{3,13,23}\n{33,43,53}\n600", 'a hot standby lists');
is($standby->safe_psql('postgres', $calls), '3|0', 'and counts by itself');
is($standby->safe_psql('postgres', q{SELECT sqlstate, pointer FROM apibase.spec_check('items', 'id = 1 and nope = 1')}), '42703|/and/1', 'spec_check works there');
is($standby->safe_psql('postgres', q{SELECT clause, actual FROM items i, apibase.spec_explain(i, 'price > 1') WHERE id = 1}), 'price > 1|1', 'spec_explain too');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM apibase.spec_uses()'), '0', 'and spec_uses');
# a change that arrives while a session there has the plan
my $session = $standby->background_psql('postgres');
is($session->query_safe($list), '{3,13,23}', 'a session of the standby keeps a plan');
$node->safe_psql('postgres', 'ALTER TABLE items ADD COLUMN note text; UPDATE items SET price = 3 WHERE id = 1');
$node->wait_for_catchup($standby);
is($session->query_safe($list), '{1,3,13}', 'and makes it anew after a change on the primary');
$session->quit;
$standby->stop;
$node->stop;

done_testing();
