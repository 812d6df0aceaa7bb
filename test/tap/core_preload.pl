# With and without shared_preload_libraries: the extension installs and works without; what needs shared memory then says
# so, and a setting that would size it does not end the session.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('preload');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "apibase.request_id_header = 'x-correlation-id'\napibase_test.slots = 7");

# The error of a statement, SQLSTATE first.
sub error_of
{
    my ($sql) = @_;
    my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
    isnt($status, 0, "fails: $sql");
    return $err;
}

# ---- not preloaded ----
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION apibase; CREATE EXTENSION apibase_test');
is($node->safe_psql('postgres', 'SELECT apibase.preloaded()'), 'f', 'not preloaded: it says so');
like($node->safe_psql('postgres', 'SELECT apibase.version()'), qr/^\d+\.\d+\.\d+$/, 'functions work');
is($node->safe_psql('postgres', q{SET request.headers = '{"x-correlation-id":"abc"}'; SELECT apibase.request_id()}),
    'abc', 'a setting is read from the configuration file though the library came later');
is($node->safe_psql('postgres', 'SELECT apibase_internal.clock_now() - clock_timestamp() < interval \'1 s\''),
    't', 'the clock is the system\'s');

my $error = error_of("SELECT apibase_internal.clock_set('1 hour');");
like($error, qr/ERROR:  PB001: apibase is not preloaded: the clock cannot be set/, 'PB001 is raised');
like($error, qr/HINT:  Add apibase to shared_preload_libraries and restart the server\./, 'with a hint');
is($node->safe_psql('postgres', q{
        DO $$ BEGIN PERFORM apibase_internal.clock_set('1 hour'); EXCEPTION WHEN SQLSTATE 'PB001' THEN NULL; END $$;
        SELECT apibase.preloaded()}),
    'f', 'which the session survives');

# apibase_test has a setting that sizes shared memory
is($node->safe_psql('postgres', 'SELECT apibase_test.preloaded(); SHOW apibase_test.slots'),
    "f\n7", 'a library with a setting for shared memory can be loaded late');
like(error_of("SELECT apibase_test.preloaded();\nSET apibase_test.slots = 8;"),
    qr/ERROR:  55P02: parameter "apibase_test.slots" cannot be changed now/, 'and the setting is not the session\'s');
like(error_of("SELECT * FROM apibase_test.worker_status('steady');"), qr/PB001/, 'its workers do not run');
unlike(slurp_file($node->logfile), qr/FATAL|PANIC/, 'nothing of it was fatal');

# ---- preloaded ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase,apibase_test'");
$node->restart;
is($node->safe_psql('postgres', 'SELECT apibase.preloaded(), apibase_test.preloaded()'), 't|t', 'preloaded: it says so');
is($node->safe_psql('postgres', 'SHOW apibase_test.slots'), '7', 'the setting for shared memory');
like(error_of('SET apibase_test.slots = 8;'),
    qr/ERROR:  55P02: parameter "apibase_test.slots" cannot be changed without restarting the server/,
    'now needs a restart');
is($node->safe_psql('postgres', "SELECT name FROM pg_shmem_allocations WHERE name LIKE 'apibase%' ORDER BY 1"),
    "apibase bus\napibase cache\napibase core\napibase decorate\napibase events\napibase spec\napibase test", 'each module with shared memory has an allocation of its own');

# the clock: one for all sessions, until the server starts anew
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('1 hour')");
my $ahead = "SELECT date_trunc('minute', apibase_internal.clock_now() - clock_timestamp() + interval '10 s')";
is($node->safe_psql('postgres', $ahead), '01:00:00', 'the clock is set, for another session too');
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('0')");
is($node->safe_psql('postgres', $ahead), '00:00:00', 'and set back');
$node->safe_psql('postgres', "SELECT apibase_internal.clock_set('1 hour')");
$node->restart;
is($node->safe_psql('postgres', $ahead), '00:00:00', 'a restart sets it back');

# an unknown setting of our prefix is a mistake
like(error_of("SET apibase.no_such_setting = '1';"), qr/invalid configuration parameter name "apibase.no_such_setting"/,
    'unknown settings are refused');

# ---- a hot standby ----
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', q{SET request.method = 'GET'; SELECT apibase.request_method(), pg_is_in_recovery()}),
    'GET|t', 'a hot standby serves requests');
is($standby->safe_psql('postgres', 'SELECT apibase.request_id() = apibase.request_id()'), 't', 'and gives them an id');
$standby->safe_psql('postgres', "SELECT apibase_internal.clock_set('1 hour')");
is($standby->safe_psql('postgres', $ahead), '01:00:00', 'shared memory works there,');
is($node->safe_psql('postgres', $ahead), '00:00:00', 'and is its own');
$standby->stop;
$node->stop;

done_testing();
