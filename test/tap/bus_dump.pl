# Registrations through pg_dump and restore (text, custom format, several jobs; into another database and another server, into one that
# does not preload the library, into one where the extension is already), through pg_upgrade, and on a standby.

use strict;
use warnings;

use Cwd qw(getcwd);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $preload = "shared_preload_libraries = 'apibase'\nfsync = off\n";
my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1, extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', $preload);
$node->start;

# Types whose names come before and after those of the extension, and a handler that needs its type qualified.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
    CREATE EXTENSION apibase;
    CREATE ROLE clerk;
    CREATE SCHEMA aa; CREATE SCHEMA "Zoo shop";
    CREATE TYPE aa.place AS (item text, quantity int);
    CREATE TYPE "Zoo shop".look AS (item text, lang text);
    CREATE TYPE aa.placed AS (item text);
    ALTER TYPE aa.placed OWNER TO clerk;
    CREATE FUNCTION "Zoo shop".handle(aa.place) RETURNS text LANGUAGE sql AS $$ SELECT ($1).item || ' placed' $$;
    CREATE FUNCTION aa.handle("Zoo shop".look) RETURNS text STABLE LANGUAGE sql AS $$ SELECT ($1).item || ' seen' $$;
    CREATE FUNCTION aa.seal(apibase.dispatch, jsonb, apibase.result, jsonb) RETURNS apibase.result LANGUAGE sql AS
        $$ SELECT apibase.ok(($3).value || ($4 -> 'mark')) $$;
    SELECT apibase.register_command('aa.place', '"Zoo shop".handle(aa.place)', 'off', timeout => '30 s'),
        apibase.register_query('"Zoo shop".look', 'aa.handle("Zoo shop".look)', '1 hour', '{item}', '{"item {item}"}'),
        apibase.use_middleware('aa.seal(apibase.dispatch,jsonb,apibase.result,jsonb)', 'after', 'aa.*', '{command}', 5, '{"mark": "sealed"}'),
        apibase.use_middleware('aa.seal(apibase.dispatch,jsonb,apibase.result,jsonb)', 'after', 'aa.*', '{command}', 4, '{"mark": "twice"}', 'again'),
        -- a function of the extension
        apibase.use_middleware('apibase.middleware_validation(apibase.dispatch,jsonb,jsonb)', 'before', 'aa.place',
            config => '{"specification": "quantity > 0"}'),
        apibase.register_event('aa.placed', aggregate_type => 'order')});

my $labels = 'SELECT objtype, objname, label FROM pg_seclabels ORDER BY objname COLLATE "C"';
my %stays = (
    'registrations' => q{SELECT * FROM apibase.commands; SELECT * FROM apibase.queries},
    'middleware' => q{SELECT * FROM apibase.middleware},
    'labels' => $labels,
    'a command' => q{SELECT (apibase.command(ROW('tea', 2)::aa.place)).value},
    'a query' => q{SELECT apibase.query('"Zoo shop".look', '{"item": "tea"}')},
    'a command that is not valid' => q{SELECT (apibase.command(ROW('tea', 0)::aa.place)).error->>'status'},
);
my %stay = map { $_ => $node->safe_psql('shop', $stays{$_}) } keys %stays;
is($stay{'a command'}, '["tea placed", "sealed", "twice"]', 'a command is handled');
is($stay{'a query'}, '"tea seen"', 'a query is handled');
is($stay{'a command that is not valid'}, '422', 'middleware sees to it');
like($stay{labels}, qr/aa\.placed.*order/, 'an event is registered');

sub stays
{
    my ($server, $database, $name) = @_;
    is($server->safe_psql($database, $stays{$_}), $stay{$_}, "$name: $_") for sort keys %stays;
    return;
}

sub dump_to
{
    my ($name, @options) = @_;
    my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.dump";
    command_ok([ 'pg_dump', "--file=$file", @options, '-d', $node->connstr('shop') ], "pg_dump, $name");
    return $file;
}

sub restore
{
    my ($server, $database, $file, @options) = @_;
    command_ok(
        $file =~ /plain|clean|without/
        ? [ 'psql', '-qXo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $server->connstr($database) ]
        : [ 'pg_restore', @options, '-d', $server->connstr($database), $file ],
        "restored into $database");
    return;
}

my $plain = dump_to('plain');
my $custom = dump_to('custom', '--format=custom');
my $directory = dump_to('directory', '--format=directory', '--jobs=2');

# Another database.
for my $case ([ $plain, 'plain' ], [ $custom, 'custom', '--exit-on-error' ], [ $directory, 'jobs', '--exit-on-error', '--jobs=2' ])
{
    my ($file, $database, @options) = @$case;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    restore($node, $database, $file, @options);
    stays($node, $database, $database);
}

# A dump that replaces what is there.
my $clean = dump_to('clean', '--clean', '--if-exists');
$node->safe_psql('postgres', 'CREATE DATABASE clean');
restore($node, 'clean', $clean);
restore($node, 'clean', $clean);
stays($node, 'clean', 'over itself');

# Without labels everything but the registrations is there, and can be registered again. (What is used of the extension's own functions
# is in a table.)
my $without = dump_to('without', '--no-security-labels');
$node->safe_psql('postgres', 'CREATE DATABASE without');
restore($node, 'without', $without);
is($node->safe_psql('without', $stays{registrations}), '', 'without labels there are no registrations');
is($node->safe_psql('without', 'SELECT name FROM apibase.middleware'), 'middleware_validation on aa.place', 'nor middleware of others');
my (undef, undef, $error) = $node->psql('without', $stays{'a command'});
like($error, qr/no handler is registered for the command "aa\.place"/, 'nor handlers');
$node->safe_psql('without', q{SELECT apibase.register_command('aa.place', '"Zoo shop".handle(aa.place)')});
is($node->safe_psql('without', $stays{'a command'}), '"tea placed"', 'until they are registered again');

# Another server, which does not preload the library: whoever restores has not loaded it.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$other->append_conf('postgresql.conf', 'fsync = off');
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE clerk');
for my $case ([ $plain, 'plain' ], [ $directory, 'jobs', '--exit-on-error', '--jobs=2' ])
{
    my ($file, $database, @options) = @$case;
    $other->safe_psql('postgres', "CREATE DATABASE $database");
    restore($other, $database, $file, @options);
    stays($other, $database, "not preloaded, $database");
}

# The extension is there already, so that creating it does not load the library, and nothing that loads it comes before the first label.
my $owner = dump_to('owner', '--no-owner', '--no-privileges');
$other->safe_psql('postgres', 'CREATE DATABASE owner');
$other->safe_psql('owner', 'CREATE EXTENSION apibase');
my (undef, $errors) = run_command([ 'psql', '-qXo', '/dev/null', '-f', $owner, '-d', $other->connstr('owner') ]);
is(join('', map { "$_\n" } $errors =~ /ERROR: +(.*)/g), qq{schema "apibase" already exists\n}, 'restored into owner');
stays($other, 'owner', 'the extension was there');
$other->stop;

# A standby has what the primary has, at once.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('shop', $stays{$_}), $stay{$_}, "standby: $_") for 'registrations', 'middleware', 'a query';
my $before = $standby->safe_psql('shop', 'SELECT count(*) FROM apibase.commands');
$node->safe_psql('shop', q{SELECT apibase.unregister_command('aa.place')});
$node->wait_for_catchup($standby);
is($before . $standby->safe_psql('shop', 'SELECT count(*) FROM apibase.commands'), '10', 'what the primary unregisters is unregistered');
(undef, undef, $error) = $standby->psql('shop', q{SELECT apibase.register_command('aa.place', '"Zoo shop".handle(aa.place)')});
like($error, qr/cannot execute register_command\(\) in a read-only transaction/, 'and registers nothing');
$node->safe_psql('shop', q{SELECT apibase.register_command('aa.place', '"Zoo shop".handle(aa.place)', 'off', timeout => '30 s')});
$standby->stop;

# pg_upgrade, from this version to itself.
$node->stop;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$new->append_conf('postgresql.conf', $preload);
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my $here = getcwd();
chdir ${PostgreSQL::Test::Utils::tmp_check} or die "chdir: $!";
command_ok([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
        '-s', $new->host, '-p', $node->port, '-P', $new->port ], 'pg_upgrade');
chdir $here or die "chdir: $!";
$new->start;
stays($new, 'shop', 'pg_upgrade');
$new->stop;

done_testing();
