# Decorated functions through pg_dump and restore, as text and in the custom format, through pg_upgrade, and on a standby: they are
# decorated as before, and what holds them together in the catalog holds again.

use strict;
use warnings;

use lib 'test/tap';

use Cwd qw(getcwd);
use Dump qw(dump_of restore);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1, extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\nfsync = off\ntrack_functions = 'none'");
$node->start;

# The schemas are such that pg_dump meets some functions before their bodies and some after them, and the fallback after all.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
    CREATE EXTENSION apibase;
    CREATE ROLE clerk;
    CREATE SCHEMA app; CREATE SCHEMA zoo;
    CREATE TABLE app.items (id int PRIMARY KEY, price numeric);
    INSERT INTO app.items VALUES (1, 10), (2, 20);
    CREATE SEQUENCE app.runs;
    CREATE FUNCTION app.quote(item int, qty int DEFAULT 2, OUT total numeric, OUT ran bigint) LANGUAGE plpgsql STABLE STRICT
        SECURITY DEFINER SET work_mem = '4MB' AS $$
    BEGIN
        ran := nextval('app.runs');
        SELECT i.price * quote.qty INTO total FROM app.items i WHERE i.id = quote.item;
    END $$;
    COMMENT ON FUNCTION app.quote IS 'What it costs';
    REVOKE ALL ON FUNCTION app.quote FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION app.quote TO clerk;
    CREATE VIEW app.quotes AS SELECT i.id, q.total FROM app.items i, app.quote(i.id) q;
    CREATE FUNCTION zoo.quote(item int, qty int) RETURNS SETOF app.items STABLE ROWS 5
        BEGIN ATOMIC SELECT * FROM app.items WHERE id = item; END;
    CREATE FUNCTION zoo.price(int) RETURNS numeric LANGUAGE sql AS 'SELECT 1 / 0 * $1';
    CREATE FUNCTION zoo.price_unknown(int) RETURNS numeric LANGUAGE sql AS 'SELECT -1.0';
    ALTER FUNCTION app.quote OWNER TO clerk;
    GRANT USAGE ON SCHEMA app TO clerk; GRANT ALL ON ALL TABLES IN SCHEMA app TO clerk; GRANT ALL ON SEQUENCE app.runs TO clerk;
    CREATE TABLE app.originals AS SELECT p.oid::regprocedure::text AS f, pg_get_functiondef(p.oid) AS definition
        FROM pg_proc p WHERE pronamespace IN ('app'::regnamespace, 'zoo'::regnamespace);
    SELECT apibase.cached('app.quote(int,int)', ttl => '1 hour');
    SELECT apibase.cached('zoo.quote(int,int)');
    SELECT apibase.circuit_breaker('zoo.price(int)', failure_threshold => 1, fallback => 'zoo.price_unknown(int)')});

my $decorators = q{SELECT function, position, decorator, options, body_schema FROM apibase.decorators ORDER BY function::text COLLATE "C", 2};
my %stays = (
    'decorators' => $decorators,
    'privileges' => q{SELECT p.oid::regprocedure, proowner::regrole, proacl, proconfig, prosecdef, proisstrict, provolatile, prorows,
        obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE pronamespace IN ('app'::regnamespace, 'zoo'::regnamespace) ORDER BY p.oid::regprocedure::text COLLATE "C"},
    'bodies' => q{SELECT p.oid::regprocedure, proowner::regrole, proacl, proconfig, prosecdef, lanname FROM pg_proc p JOIN pg_language l ON l.oid = prolang
        WHERE pronamespace::regnamespace::text LIKE 'apibase_decorated%' ORDER BY p.oid::regprocedure::text COLLATE "C"},
    'results' => q{SELECT * FROM app.quotes; SELECT * FROM zoo.quote(1, 1)},
    'cached' => q{SELECT a.ran = b.ran FROM app.quote(1, 5) a, app.quote(1, 5) b},
);
my %stay = map { $_ => $node->safe_psql('shop', $stays{$_}) } keys %stays;
like($stay{decorators}, qr/app\.quote.*cached.*zoo\.price.*circuit_breaker.*zoo\.quote.*apibase_decorated_2/s, 'functions are decorated');
is($stay{cached}, 't', 'and cached');

sub refused
{
    my ($server, $database, $statement, $like, $name) = @_;
    my (undef, undef, $err) = $server->psql($database, $statement);
    like($err, $like, $name);
    return;
}

# What is in no dump: dependencies of the catalog. It changes the database, and is the last to be done with it.
sub holds_together
{
    my ($server, $database, $name) = @_;
    is($server->safe_psql($database, $stays{$_}), $stay{$_}, "$name: $_") for sort keys %stays;
    refused($server, $database, 'DROP FUNCTION zoo.price_unknown', qr/function zoo\.price\(integer\) depends on function/, "$name: a fallback");
    refused($server, $database, 'ALTER FUNCTION zoo.price_unknown RENAME TO other', qr/price_unknown/, "$name: its name");
    refused($server, $database, 'DROP EXTENSION apibase', qr/depends on language apibase_decorated/, "$name: the extension");
    refused($server, $database, 'DROP TABLE app.items', qr/function zoo\.quote\(integer,integer\) depends on (?:table|type) app\.items/, "$name: a table of a body");
    is($server->safe_psql($database, q{
        ALTER FUNCTION app.quote(int, int) RENAME TO ask;
        CREATE OR REPLACE FUNCTION app.ask(item int, qty int DEFAULT 2, OUT total numeric, OUT ran bigint) LANGUAGE plpgsql STABLE STRICT
            SECURITY DEFINER AS $$ BEGIN total := ask.qty; ran := nextval('app.runs'); END $$;
        SELECT a.ran = b.ran, a.total FROM app.ask(1, 5) a, app.ask(1, 5) b}), 't|5', "$name: renamed and replaced");
    $server->safe_psql($database, 'DROP FUNCTION zoo.price');
    is($server->safe_psql($database, q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'apibase_decorated'::regnamespace}), 1, "$name: DROP takes the body");
    $server->safe_psql($database, q{SELECT apibase.undecorate('zoo.quote(int,int)')});
    is($server->safe_psql($database, q{SELECT definition = pg_get_functiondef(f::regprocedure) FROM app.originals WHERE f = 'zoo.quote(integer,integer)'}),
        't', "$name: undecorated, it is what it was");
    is($server->safe_psql($database, q{SELECT apibase.undecorate('app.ask(int,int)'); DROP EXTENSION apibase;
        SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'apibase_decorated'}), "t\n0", "$name: then the extension goes, and all that is its own");
    return;
}

my $dump = dump_of($node, 'shop');
for my $format (qw(plain custom))
{
    restore($node, 'shop', $format);
    is(dump_of($node, $format), $dump, "the same dump, $format");
    holds_together($node, $format, $format);
}

# A dump that replaces what is there.
my $clean = "$PostgreSQL::Test::Utils::tmp_check/clean.dump";
command_ok([ 'pg_dump', '--clean', '--if-exists', "--file=$clean", '-d', $node->connstr('shop') ], 'pg_dump --clean');
$node->safe_psql('postgres', 'CREATE DATABASE clean');
command_ok([ 'psql', '-qXo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $clean, '-d', $node->connstr('clean') ], 'restored into nothing');
command_ok([ 'psql', '-qXo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $clean, '-d', $node->connstr('clean') ], 'and over itself');
is(dump_of($node, 'clean'), $dump, 'the same dump, clean');

# A hot standby: it has a cache of its own, and the functions of the primary.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('shop', $decorators), $stay{decorators}, 'a standby has the decorators');
is($standby->safe_psql('shop', 'SELECT * FROM zoo.quote(2, 1)'), '2|20', 'and calls the functions');
refused($standby, 'shop', q{SELECT apibase.cached('zoo.price(int)')}, qr/cannot execute|during recovery/, 'and decorates none');
$node->safe_psql('shop', q{SELECT apibase.undecorate('zoo.quote(int,int)')});
$node->wait_for_catchup($standby);
is($standby->safe_psql('shop', 'SELECT * FROM zoo.quote(2, 1)'), '2|20', 'what the primary undecorates is undecorated');
$node->safe_psql('shop', q{SELECT apibase.cached('zoo.quote(int,int)')});
$standby->stop;

# pg_upgrade, from this version to itself: there are no event triggers while it restores.
$node->stop;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\nfsync = off");
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my $here = getcwd();
chdir ${PostgreSQL::Test::Utils::tmp_check} or die "chdir: $!";
command_ok([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
        '-s', $new->host, '-p', $node->port, '-P', $new->port ], 'pg_upgrade');
chdir $here or die "chdir: $!";
$new->start;
# what nothing depends on yet is dumped in another order
is(join("\n", sort split /\n/, dump_of($new, 'shop')), join("\n", sort split /\n/, $dump), 'the same dump, pg_upgrade');
holds_together($new, 'shop', 'pg_upgrade');
$new->stop;

done_testing();
