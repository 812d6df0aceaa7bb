# Specifications on a hot standby, in READ ONLY transactions: inlined, opaque, in parallel workers, over documents, as SQL text; and
# what the primary changes is noticed by plans that the standby has cached.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# The primary preloads apibase, the standby does not, until the last part.
$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$primary->start;
$primary->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE TABLE items (id int PRIMARY KEY, name text COLLATE "C", price int, qty int NOT NULL, attrs jsonb);
    INSERT INTO items SELECT i, 'name' || i, CASE WHEN i % 10 > 0 THEN i END, i % 7, jsonb_build_object('n', i) FROM generate_series(1, 10000) i;
    CREATE INDEX items_price ON items (price);
    CREATE INDEX items_cheap ON items (name) WHERE items OPERATOR(apibase.@@) 'price < 100';
    CREATE TABLE rules (no int, s apibase.spec);
    INSERT INTO rules VALUES (1, 'price between 10 and 12'), (2, 'not (price > 5) and id < 21'), (3, '{"field": "name", "op": "like", "value": "name9999"}');
    CREATE VIEW dear AS SELECT * FROM items WHERE items OPERATOR(apibase.@@) 'price > 9990';
    CREATE ROLE reader;
    GRANT SELECT ON items TO reader;
    ALTER TABLE items ENABLE ROW LEVEL SECURITY;
    CREATE POLICY few ON items FOR SELECT TO reader USING (items OPERATOR(apibase.@@) 'id <= 50');
    ANALYZE});
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery(), apibase.preloaded()'), 't|f', 'a standby, not preloaded');

my $path = 'SET search_path = public, apibase;';
my %statements = (
    'inlined' => q{SELECT array_agg(id) FROM items WHERE items @@ 'price >= 9997 or name = ''name10'''},
    'negated' => q{SELECT count(*) FROM items WHERE items @@ 'not (price < 9990)'},
    'as a value' => q{SELECT id, items @@ 'price > 5' FROM items WHERE id IN (5, 6, 10) ORDER BY id},
    'opaque' => q{SELECT no, array_agg(id ORDER BY id) FROM items, rules WHERE items @@ s GROUP BY no ORDER BY no},
    'documents' => q{SELECT count(*) FROM items WHERE attrs @@ spec 'n between 5 and 7 or missing = 1'},
    'paths' => q{SELECT id FROM items WHERE items @@ 'attrs.n = 77'},
    'a view' => q{SELECT count(*) FROM dear WHERE dear @@ 'qty <> 0'},
    'a partial index' => q{EXPLAIN (COSTS OFF) SELECT id FROM items WHERE items @@ 'name = ''name7'' and price < 100'},
    'an index' => q{EXPLAIN (COSTS OFF) SELECT id FROM items WHERE items @@ 'price >= 9990'},
    'SQL text' => q{SELECT to_sql_condition('price >= 10 and not (qty = 3)', 'items')},
    'building' => q{SELECT build(and_where("where"('price', 'ge', 10), 'name', 'like', 'x%'), 'items')},
    'row security' => q{SET ROLE reader; SELECT count(*) FROM items WHERE items @@ 'price > 5'},
    'a generic plan' => q{SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT count(*) FROM items WHERE items @@ $1; EXECUTE p ('price > 9000'); EXECUTE p ('not (qty > 0)')},
    'parallel workers' => q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET plan_cache_mode = force_generic_plan;
        PREPARE p (spec) AS SELECT count(*) FROM items WHERE items @@ $1; EXPLAIN (COSTS OFF) EXECUTE p ('name like ''%7'''); EXECUTE p ('name like ''%7''')},
);
my %standby_answers;
for my $what (sort keys %statements)
{
    my $sql = "SET default_transaction_read_only = on; $path $statements{$what}";
    my $here = $primary->safe_psql('postgres', $sql);
    $standby_answers{$what} = $standby->safe_psql('postgres', $sql);
    isnt($here, '', "$what: the primary answers");
    is($standby_answers{$what}, $here, "$what: the standby answers as the primary");
}
is($standby_answers{'inlined'}, '{10,9997,9998,9999}', 'the right rows');
is($standby_answers{'opaque'}, "1|{11,12}\n2|{1,2,3,4,5,10,20}\n3|{9999}", 'the right rows for stored specifications');
is($standby_answers{'row security'}, '40', 'the right number behind the policy');
like($standby_answers{'an index'}, qr/items_price/, 'the index is used');
like($standby_answers{'a partial index'}, qr/items_cheap/, 'the partial index is used');
like($standby_answers{'parallel workers'}, qr/Gather.*Filter: \(items\.\* @@ \$1\)\n1000$/s, 'workers evaluate what is opaque');

# ---- errors are errors there as well ----
for my $case (['items @@ \'prise > 1\'', '42703', qr/Perhaps you meant the field price/], ['items @@ \'price = \'\'x\'\'\'', '22P02', qr/price/], ['items @@ \'price > $1\'', 'PB013', qr/Bind it/])
{
    my ($status, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$path SELECT 1 FROM items WHERE $case->[0]", on_error_stop => 1);
    like($err, qr/ERROR:  $case->[1]: /, "$case->[0] raises $case->[1]");
    like($err, $case->[2], 'and helps');
}

# ---- a session of the standby that has cached its plans, while the primary changes what they stand on ----
my $session = $standby->background_psql('postgres');
$session->query_safe("$path PREPARE cached AS SELECT array_agg(id ORDER BY id) FROM items WHERE items @@ 'price in (7, 8)'");
my $in_memory = 'SELECT array_agg(id ORDER BY id) FROM items, rules WHERE no = 4 AND items @@ s';
is($session->query_safe('EXECUTE cached') . $session->query_safe('EXECUTE cached'), '{7,8}{7,8}', 'a cached plan');
$primary->safe_psql('postgres', q{DROP VIEW dear; ALTER TABLE items ALTER price TYPE numeric USING price + 1; INSERT INTO rules VALUES (4, 'price = 7')});
$primary->wait_for_catchup($standby);
is($session->query_safe('EXECUTE cached'), '{6,7}', 'it follows a new type and new values');
is($session->query_safe($in_memory), '{6}', 'so does evaluation in memory');
$primary->safe_psql('postgres', q{ALTER TABLE items DROP COLUMN qty; UPDATE rules SET s = 'price = 9' WHERE no = 4; UPDATE items SET price = NULL WHERE id = 6});
$primary->wait_for_catchup($standby);
is($session->query_safe('EXECUTE cached'), '{7}', 'and a dropped column');
is($session->query_safe($in_memory), '{8}', 'and another specification');
$session->quit;

# ---- preloaded: the standby has counters of its own ----
$standby->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$standby->restart;
is($standby->safe_psql('postgres', "$path SELECT count(*) FROM items WHERE items @@ 'price = 9'"), '1', 'preloaded: the same answer');
is($standby->safe_psql('postgres', 'SELECT inlined > 0, opaque FROM apibase.spec_stats'), 't|0', 'counted as inlined');
$standby->safe_psql('postgres', "$path SELECT count(*) FROM items, rules WHERE items @@ s");
is($standby->safe_psql('postgres', 'SELECT opaque > 0 FROM apibase.spec_stats'), 't', 'counted as opaque');

$standby->stop;
$primary->stop;
done_testing();
