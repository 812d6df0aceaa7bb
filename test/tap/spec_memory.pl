# The memory of a backend does not grow: 10,000 times reading, evaluating, listing and failing at each of them leave the
# permanent memory contexts as they were after the first few hundred times.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE TABLE items (id integer PRIMARY KEY, price integer, name text, attrs jsonb);
    INSERT INTO items SELECT i, i % 100, 'item ' || i, jsonb_build_object('n', i) FROM generate_series(1, 300) i;
    CREATE INDEX ON items (price);
    ANALYZE items;
});

# What is done 10,000 times; i is the number of the turn. An expression for a new specification each time, and one for
# the same; whatever fails is caught, as in a function that goes on.
my %what = (
    'reading' => q{PERFORM ('price >= ' || i || ' and name like ''a%'' or not (id in (1, 2, 3) and price < 5)')::apibase.spec},
    'reading JSON' => q{PERFORM ('{"or": [{"field": "price", "op": "ge", "value": ' || i || '}, {"not": false}]}')::apibase.spec},
    'reading what is no specification' => q{PERFORM ('price >= ' || i || ' and (')::apibase.spec},
    'reading what is too deep' => q{PERFORM (repeat('not (', 200) || i)::apibase.spec},
    'building' => q{PERFORM apibase.build(apibase.and_where(apibase.where('price', 'ge', i), 'name', 'like', 'a%'), 'items')},
    'building for unknown fields' => q{PERFORM apibase.build(apibase.where('nope', 'ge', i), 'items')},
    'evaluating rows' => q{PERFORM apibase.is_satisfied_by(r, ('price >= ' || i || ' and name ~ ''x''')::apibase.spec)},
    'evaluating rows of another type each time' =>
        q{PERFORM apibase.is_satisfied_by(CASE WHEN i % 2 = 0 THEN to_jsonb(r) ELSE jsonb '{"price": 1}' END, s)},
    'evaluating unknown fields' => q{PERFORM apibase.is_satisfied_by(r, ('nope = ' || i)::apibase.spec)},
    'evaluating values that do not fit' => q{PERFORM apibase.is_satisfied_by(r, ('price = ''x' || i || '''')::apibase.spec)},
    'evaluating parameters' => q{PERFORM apibase.is_satisfied_by(r, 'price = $1'::apibase.spec)},
    'planning' => q{EXECUTE 'SELECT 1 FROM items WHERE items OPERATOR(apibase.@@) ''id = ' || i || ''''},
    'planning what fails' => q{EXECUTE 'SELECT 1 FROM items WHERE items OPERATOR(apibase.@@) ''nope = ' || i || ''''},
    'find' => q{PERFORM apibase.find(NULL::items, s, 'price', 3, i % 5)},
    'find with other specifications than the cache holds' =>
        q{PERFORM apibase.find(NULL::items, apibase.spec('price >= $1', i), 'price', 3)},
    'find that fails' => q{PERFORM apibase.find(NULL::items, s, 'nope' || i)},
    'find that fails in execution' =>
        q{PERFORM apibase.find(NULL::items, apibase.spec('id = $1', i % 300 + 1), 'price', 3, -1)},
    'SQL text' => q{PERFORM apibase.to_sql_params(apibase.spec('price >= $1', i), 'items')},
    # the control: this does keep memory, and is seen to
    'keeping prepared statements' => q{EXECUTE 'PREPARE kept' || i || ' AS SELECT 1'},
    'checking and explaining' => q{PERFORM apibase.spec_check('items', 'nope = 1 or price = ''x'''), apibase.spec_explain(r, s)},
    'JSON and back' => q{PERFORM apibase.spec_and((apibase.spec('price >= $1', i)::jsonb)::apibase.spec, s)},
);

my $declarations = q{DECLARE
    s apibase.spec := 'price >= 10 and name like ''item%''';
    r items;
    failed integer := 0;
};

# Bytes in all memory contexts of the session but those of the statement that measures.
my $measure = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts
    WHERE name NOT IN ('MessageContext', 'PortalContext', 'PortalHoldContext', 'ExecutorState', 'ExprContext', 'printtup')};

# One session a case. The loop is a procedure that commits each turn, so that nothing may hide in a transaction's memory.
foreach my $name (sort keys %what)
{
    my $body = $what{$name};
    my $fails = $name =~ /fail|no spec|too deep|unknown|do not fit|parameters/ ? 't' : 'f';
    my $out = $node->safe_psql('postgres', qq{
        CREATE OR REPLACE PROCEDURE turns(first integer, last integer) LANGUAGE plpgsql AS \$turns\$
        $declarations
        BEGIN
            SELECT * INTO r FROM items WHERE id = 17;
            FOR i IN first .. last LOOP
                BEGIN
                    $body;
                EXCEPTION WHEN OTHERS THEN
                    IF sqlstate LIKE 'XX%' THEN RAISE; END IF;
                    failed := failed + 1;
                END;
                COMMIT;
            END LOOP;
            IF failed NOT IN (0, last - first + 1) THEN RAISE EXCEPTION '% turns failed', failed; END IF;
            PERFORM set_config('memory.failed', (failed > 0)::text, false);
        END \$turns\$;
        CALL turns(1, 500);
        $measure \\gset warm_
        CALL turns(501, 10500);
        $measure \\gset end_
        SELECT current_setting('memory.failed')::boolean, :end_sum - :warm_sum;
    });
    my ($failed, $growth) = split /\|/, $out;
    is($failed, $fails, "$name: " . ($fails eq 't' ? 'fails' : 'succeeds'));
    my $keeps = $name =~ /^keeping/;
    cmp_ok($growth, $keeps ? '>' : '<=', 16 * 1024,
        "$name: 10,000 turns take " . ($keeps ? 'more' : 'no more') . " memory ($growth bytes)");
}

$node->stop;
done_testing();
