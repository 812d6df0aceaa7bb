# update.pl: from every version that can be installed there is a path to this one; what an application has made with the
# older version goes on working, and the extension then has the objects of a fresh install.
use strict;
use warnings;

use lib 'test/upgrade';
use Stored qw(start_node);

use Test::More;

my $node = start_node('update');
my $current = $node->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'apibase'");

my $objects = q{
    SELECT identity FROM pg_depend, LATERAL pg_identify_object(classid, objid, objsubid)
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'apibase')
    ORDER BY type COLLATE "C", identity COLLATE "C"};
$node->safe_psql('postgres', 'CREATE EXTENSION apibase');
my $fresh = $node->safe_psql('postgres', $objects);
like($fresh, qr/^apibase\.version\(\)$/m, 'a fresh install has objects');

my @versions = split /\n/, $node->safe_psql('postgres',
    "SELECT version FROM pg_available_extension_versions WHERE name = 'apibase' AND version <> '$current' ORDER BY 1");
ok(@versions > 0, 'there are older versions');
for my $version (@versions)
{
    (my $database = "from_$version") =~ tr/./_/;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, "CREATE EXTENSION apibase VERSION '$version'");
    $node->safe_psql($database, q{
        CREATE TABLE log (id int, request text DEFAULT apibase.request_id());
        CREATE VIEW now AS SELECT apibase.request_method() AS method, apibase.request_header('accept') AS accept});
    my $use = q{
        SET request.method = 'GET'; SET request.headers = '{"accept": "text/csv", "x-request-id": "r1"}';
        INSERT INTO log (id) VALUES (1); SELECT method, accept, request FROM now, log; TRUNCATE log};
    is($node->safe_psql($database, $use), 'GET|text/csv|r1', "$version serves");

    $node->safe_psql($database, 'ALTER EXTENSION apibase UPDATE');
    is($node->safe_psql($database, "SELECT extversion FROM pg_extension WHERE extname = 'apibase'"),
        $current, "$version becomes $current");
    is($node->safe_psql($database, 'SELECT apibase.version()'), $current, 'and says so');
    is($node->safe_psql($database, $use), 'GET|text/csv|r1', 'and serves as before');
    is($node->safe_psql($database, $objects), $fresh, 'and has the objects of a fresh install');
}

$node->stop;
done_testing();
