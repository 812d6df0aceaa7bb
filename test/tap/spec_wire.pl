# What PostgREST sends, on one pooled connection: each request a READ ONLY transaction with its settings, its main query prepared with
# bound parameters, more often than the five times after which the server may choose generic plans. A filter is a parameter there;
# it must find the right rows always, and through find() by the index always.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('wire');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE SCHEMA api;
    CREATE ROLE authenticator LOGIN NOINHERIT;
    CREATE ROLE web_anon;
    CREATE ROLE web_clerk;
    GRANT web_anon, web_clerk TO authenticator;
    GRANT USAGE ON SCHEMA api TO web_anon, web_clerk;
    CREATE TABLE api.items (id int PRIMARY KEY, name text, price int, owner text);
    INSERT INTO api.items SELECT i, 'name' || i, CASE WHEN i % 10 > 0 THEN i END, CASE WHEN i % 2 = 0 THEN 'web_clerk' ELSE 'nobody' END FROM generate_series(1, 20000) i;
    CREATE INDEX items_price ON api.items (price);
    VACUUM ANALYZE api.items;
    GRANT SELECT ON api.items TO web_anon, web_clerk;
    ALTER TABLE api.items ENABLE ROW LEVEL SECURITY;
    CREATE POLICY anybody ON api.items TO web_anon USING (true);
    CREATE POLICY clerk ON api.items TO web_clerk USING (items OPERATOR(apibase.@@) 'owner = ''web_clerk''');
    CREATE FUNCTION api.search(filter apibase.spec) RETURNS SETOF api.items LANGUAGE sql STABLE AS $$ SELECT * FROM api.items i WHERE i OPERATOR(apibase.@@) filter $$;
    CREATE FUNCTION api.list(filter apibase.spec, sort text DEFAULT NULL, size bigint DEFAULT NULL) RETURNS SETOF api.items LANGUAGE sql STABLE
        AS $$ SELECT * FROM apibase.find(NULL::api.items, filter, sort, size) $$;
    CREATE FUNCTION api.list_json(apibase.spec) RETURNS SETOF api.items LANGUAGE sql STABLE AS $$ SELECT * FROM apibase.find(NULL::api.items, $1) $$;
    CREATE VIEW api.priced WITH (security_invoker) AS SELECT id, price FROM api.items i WHERE i OPERATOR(apibase.@@) 'price is not null';
    GRANT SELECT ON api.priced TO web_anon, web_clerk});

# ---- the connection ----
my $session = $node->background_psql('postgres', extra_params => [ '-U', 'authenticator' ], on_error_stop => 0);
$session->query_safe("SET client_encoding = 'UTF8';SET client_min_messages TO WARNING;");
$session->query_safe(q{PREPARE settings (text, text, text, text, text, text, text) AS
    select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true),
        set_config('request.method', $4, true), set_config('request.path', $5, true), set_config('request.headers', $6, true), set_config('request.cookies', $7, true)});

# The main query around a source, as PostgREST writes it; the body is what we look at.
sub main_query
{
    my ($name, $source) = @_;
    return qq{WITH pgrst_source AS ($source)
        SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t."id"), '[]') AS body,
            nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted
        FROM (SELECT "$name".* FROM "pgrst_source" AS "$name") _postgrest_t};
}
# The parameters are not declared: their types are what the casts say, as for a client's Parse without types.
my %main = (
    search => main_query('search', q{SELECT "search".* FROM "api"."search"("filter" := $1::apibase.spec) "search"}),
    list => main_query('list', q{SELECT "list".* FROM "api"."list"("filter" := $1::apibase.spec, "sort" := $2::text, "size" := $3::bigint) "list"}),
    body => main_query('list', q{SELECT "list".* FROM (SELECT $1::json AS json_data) pgrst_payload,
        LATERAL (SELECT "filter", "sort" FROM json_to_record(pgrst_payload.json_data) AS _("filter" apibase.spec, "sort" text) LIMIT 1) pgrst_body,
        LATERAL "api"."list"("filter" := pgrst_body."filter", "sort" := pgrst_body."sort") "list"}),
    unnamed => main_query('list_json', q{SELECT "list_json".* FROM "api"."list_json"($1::apibase.spec) "list_json"}),
    table => main_query('priced', q{SELECT "api"."priced"."id" FROM "api"."priced" WHERE "api"."priced"."price" >= $1 ORDER BY "api"."priced"."id" LIMIT $2 OFFSET $3}),
);
my %prepared;

# One request: the body of the answer, or the error after which the transaction is aborted.
sub request
{
    my ($role, $method, $main, @values) = @_;
    my $values = join(', ', map { defined $_ ? "'" . ($_ =~ s/'/''/gr) . "'" : 'NULL' } @values);
    $session->query_safe('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY');
    $session->query_safe(qq{EXECUTE settings ('"api", "public"', '$role', '{"role":"$role"}', '$method', '/rpc/$main', '{"accept":"*/*"}', '{}')});
    $session->query_safe("PREPARE main_$main AS $main{$main}") unless $prepared{$main}++;
    my $row = $session->query("EXECUTE main_$main ($values)");
    if ($row eq '')
    {
        my $error = $session->{stderr};
        $session->{stderr} = '';
        $session->query_safe('ABORT');
        return $error;
    }
    $session->query_safe('COMMIT');
    return (split /\|/, $row)[2];
}

# How often the whole table was read; what the session has counted is flushed first.
sub table_scans
{
    $session->query_safe('SELECT pg_stat_force_next_flush()');
    $session->query_safe('SELECT 1');
    return $node->safe_psql('postgres', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'items'});
}

for my $mode ('auto', 'force_generic_plan')
{
    $session->query_safe("SET plan_cache_mode = $mode");
    my $before = table_scans();
    for my $i (1 .. 9)
    {
        my $n = 10 * $i + 1;
        is(request('web_anon', 'GET', 'list', "price between $n and " . ($n + 1), 'id', 5), '[' . $n . ', ' . ($n + 1) . ']', "$mode, list, request $i");
        is(request('web_clerk', 'POST', 'body', qq({"filter": {"field": "price", "op": "in", "value": [$n, @{[$n + 1]}]}, "sort": "id desc"})),
            '[' . ($n + 1) . ']', "$mode, list with a JSON body behind a policy, request $i");
        is(request('web_anon', 'POST', 'unnamed', qq({"field": "price", "op": "eq", "value": $n})), "[$n]", "$mode, the body is the specification, request $i");
    }
    is(table_scans() - $before, 0, "$mode: find never read the whole table");
    $before = table_scans();
    for my $i (1 .. 9)
    {
        my $n = 10 * $i + 1;
        is(request('web_anon', 'GET', 'search', "price = $n or id = $n and not (price > 0)"), "[$n]", "$mode, search, request $i");
        is(request('web_clerk', 'GET', 'search', "id in ($n, @{[$n + 1]})"), '[' . ($n + 1) . ']', "$mode, search behind a policy, request $i");
        is(request('web_anon', 'GET', 'table', $n, 2, 0), '[' . $n . ', ' . ($n + 1) . ']', "$mode, a view with a specification, request $i");
    }
    cmp_ok(table_scans() - $before, '>=', 9, "$mode: a search in a generic plan does") if $mode eq 'force_generic_plan';
}
cmp_ok($session->query_safe(q{SELECT sum(generic_plans) FROM pg_prepared_statements WHERE name LIKE 'main%'}), '>', 0, 'generic plans were in use');

# ---- filters that are wrong: an error with its SQLSTATE, and the connection goes on ----
like(request('web_anon', 'GET', 'list', 'prise > 1', undef, undef), qr/field "prise" of the specification does not exist.*HINT:  Perhaps you meant the field price/s, 'an unknown field');
like(request('web_anon', 'GET', 'search', 'prise > 1'), qr/field "prise" of the specification does not exist/, 'also where the plan is generic');
like(request('web_anon', 'GET', 'list', 'price > ', undef, undef), qr/syntax error in specification/, 'a syntax error');
like(request('web_anon', 'POST', 'body', '{"filter": {"field": "price", "op": "almost", "value": 1}}'), qr/almost/, 'an unknown operator');
is(request('web_anon', 'GET', 'list', undef, 'id', 2), '[1, 2]', 'no filter finds all');
is($session->query_safe(q{SELECT current_user, current_setting('request.method', true) = ''}), 'authenticator|t', 'nothing of a request is left behind');

$session->quit;
$node->stop;
done_testing();
