# Counters of the bus where there are more messages than counters; which of them are free again; a crash; no preloaded library.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\napibase.bus_max_messages = 3\nfsync = off\nrestart_after_crash = on");
$node->start;

my $setup = q{
    CREATE EXTENSION apibase;
    CREATE FUNCTION make(n int) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('CREATE TYPE m%s AS (a int)', n);
        EXECUTE format('CREATE FUNCTION handle(m%s) RETURNS int LANGUAGE sql AS ''SELECT 1''', n);
        EXECUTE format('SELECT apibase.register_command(''m%s'', ''handle(m%s)'')', n, n);
    END $$;
    CREATE FUNCTION ask(n int) RETURNS boolean LANGUAGE sql AS $$ SELECT (apibase.command('public.m' || n, '{}')).ok $$;
    SELECT make(n) FROM generate_series(1, 5) n};
my $stats = q{SELECT string_agg(coalesce(name, 'others') || ' ' || dispatches, ', ' ORDER BY name) FROM apibase.bus_stats};

for my $database ('one', 'two')
{
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, $setup);
}
$node->safe_psql('one', 'SELECT ask(1), ask(2)');
$node->safe_psql('two', 'SELECT ask(1), ask(2), ask(3)');
$node->safe_psql('one', 'SELECT ask(3), ask(1)');
is($node->safe_psql('one', $stats), 'public.m1 2, public.m2 1, others 3', 'two messages and all others, of all databases');
is($node->safe_psql('two', $stats), 'public.m1 1, others 3', 'one message and all others, of all databases');

# What has gone leaves room, when it is needed.
$node->safe_psql('one', 'DROP TYPE m1 CASCADE; SELECT ask(4); SELECT ask(5)');
is($node->safe_psql('one', $stats), 'public.m2 1, public.m4 1, others 4', 'of a type that was dropped');
$node->safe_psql('postgres', 'DROP DATABASE two');
$node->safe_psql('one', 'SELECT ask(5)');
is($node->safe_psql('one', $stats), 'public.m2 1, public.m4 1, public.m5 1, others 4', 'of a database that was dropped');
$node->safe_psql('one', 'DROP TYPE m2 CASCADE; SELECT apibase.bus_reset_stats()');
is($node->safe_psql('one', $stats), 'public.m4 0, public.m5 0', 'a reset');
$node->safe_psql('one', 'SELECT ask(3)');
is($node->safe_psql('one', $stats), 'public.m3 1, public.m4 0, public.m5 0', 'and after it there is room as well');

# Sessions that have found their counters before count on where these are.
$node->safe_psql('one', 'SELECT ask(3), apibase.bus_reset_stats(), ask(3)');
is($node->safe_psql('one', $stats), 'public.m3 1, public.m4 0, public.m5 0', 'a session goes on counting after a reset');

# All at once: nothing is lost.
$node->safe_psql('one', 'SELECT apibase.bus_reset_stats()');
my @sessions = map { my ($in, $out) = ("DO 'BEGIN FOR n IN 1 .. 500 LOOP PERFORM ask(3), ask(4), ask(4); END LOOP; END';\n", '');
    IPC::Run::start([ 'psql', '-qX', '-d', $node->connstr('one') ], '<', \$in, '>&', \$out) } 1 .. 4;
$_->finish for @sessions;
is($node->safe_psql('one', $stats), 'public.m3 2000, public.m4 4000, public.m5 0', 'four sessions at once');

# A crash forgets them.
kill 'KILL', $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
ok($node->poll_query_until('one', q{SELECT count(*) = 0 FROM apibase.bus_stats}), 'after a crash nothing is counted');
$node->safe_psql('one', 'SELECT ask(3)');
is($node->safe_psql('one', $stats), 'public.m3 1', 'but what comes then');

# Without preloading there are handlers and no counters.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
is($node->safe_psql('one', 'SELECT ask(3)'), 't', 'not preloaded: a command is handled');
is($node->safe_psql('one', 'SELECT count(*) FROM apibase.bus_stats'), '0', 'not preloaded: there are no counters');
my (undef, undef, $error) = $node->psql('one', 'SELECT apibase.bus_reset_stats()');
like($error, qr/apibase is not preloaded/, 'not preloaded: nor a reset');
$node->stop;

done_testing();
