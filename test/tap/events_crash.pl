# What the order of events survives: a backend and then the whole server killed in the midst of writing and reading, and the promotion of a
# standby. Nothing is skipped, nothing is read twice, positions go on rising. Also what is refused (reading on a standby,
# PREPARE TRANSACTION), and that a dump takes the outbox, its consumers and its sequences along.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use OutboxClients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $writers = 8;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'apibase'
fsync = off
max_connections = 40
max_prepared_transactions = 5
restart_after_crash = on
END
$primary->start;
outbox_setup($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $position = 'SELECT coalesce(max(position), 0) FROM apibase_internal.outbox_commit';

# Wait until readers have got more than this.
sub wait_for_events
{
    my ($node, $more) = @_;
    my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM stress.got');
    $node->poll_query_until('postgres', "SELECT count(*) > $before + $more FROM stress.got") or die 'the readers get nothing';
    return;
}

# One writer is killed, and the server restarts all processes: shared memory is new.
my $clients = outbox_start($primary, $writers, 60);
wait_for_events($primary, 300);
my $before = $primary->safe_psql('postgres', $position);
my $victim = $primary->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL stress.write(1,%'});
kill 'KILL', $victim;
my $said = outbox_finish($clients->{writers}) . outbox_finish($clients->{readers});
like($said, qr/server closed the connection unexpectedly|terminating connection because of crash/, 'a writer was killed, and everybody has lost the connection');
$primary->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
cmp_ok($primary->safe_psql('postgres', 'SELECT last_value FROM apibase_internal.outbox_position'), '>=', $before, 'positions do not go back');

# The whole server is killed, at once.
$clients = outbox_start($primary, $writers, 60);
wait_for_events($primary, 300);
$before = $primary->safe_psql('postgres', $position);
$primary->stop('immediate');
outbox_finish($clients->{$_}) foreach qw(writers readers);
$primary->start;
cmp_ok($primary->safe_psql('postgres', 'SELECT last_value FROM apibase_internal.outbox_position'), '>=', $before, 'nor do they when the server was stopped');

$clients = outbox_start($primary, $writers, 2);
is(outbox_finish($clients->{writers}), '', 'writers go on');
is(outbox_drain($primary, $clients), '', 'and readers');
outbox_verify($primary, 'after crashes');

# On a standby.
$primary->wait_for_catchup($standby);
foreach my $sql (q{SELECT * FROM apibase.outbox_read('c')}, q{SELECT * FROM apibase.outbox_read('c', 1)})
{
    my ($code, $out, $err) = $standby->psql('postgres', $sql);
    like($err, qr/ERROR:  the outbox cannot be read on a standby.*HINT:  Read it on the primary/s, 'refused on a standby: reading');
}
my ($code, $out, $err) = $standby->psql('postgres', q{SELECT apibase.outbox_ack('c', 0)});
like($err, qr/ERROR:  cannot execute INSERT in a read-only transaction/, 'refused on a standby: acknowledging');
($code, $out, $err) = $standby->psql('postgres', q{SELECT apibase.emit(ROW(1, 1, '', '{}', true)::stress.happened)});
like($err, qr/ERROR:  cannot execute emit\(\) in a read-only transaction/, 'refused on a standby: emitting');
is($standby->safe_psql('postgres', 'SELECT count(*), count(lag) FROM apibase.outbox_consumers'), '3|0', 'a standby knows no lag');

# PREPARE, and what it does not concern.
($code, $out, $err) = $primary->psql('postgres', q{BEGIN; SELECT apibase.emit(ROW(1, 1, '', '{}', true)::stress.happened); PREPARE TRANSACTION 'p'});
like($err, qr/ERROR:  cannot PREPARE a transaction that has emitted events/, 'PREPARE TRANSACTION is refused');
is($primary->safe_psql('postgres', q{
    BEGIN; SAVEPOINT s; SELECT apibase.emit(ROW(1, 1, '', '{}', true)::stress.happened) IS NOT NULL; ROLLBACK TO s; PREPARE TRANSACTION 'p';
    ROLLBACK PREPARED 'p'}), 't', 'unless everything emitted was rolled back');

# A standby takes over in the midst.
$clients = outbox_start($primary, $writers, 60);
wait_for_events($primary, 300);
$primary->stop('immediate');
outbox_finish($clients->{$_}) foreach qw(writers readers);
$standby->promote;
$before = $standby->safe_psql('postgres', $position);
$clients = outbox_start($standby, $writers, 2);
is(outbox_finish($clients->{writers}), '', 'writers go on after a promotion');
is(outbox_drain($standby, $clients), '', 'and readers');
cmp_ok($standby->safe_psql('postgres', $position), '>', $before, 'positions rise after a promotion');
outbox_verify($standby, 'after a promotion');

# Dump and restore: everything is there, readers go on where they were, new events come after the old ones.
my $state = q{SELECT (SELECT count(*) FROM apibase.outbox), (SELECT count(*) FROM apibase_internal.outbox_commit), (SELECT max(position) FROM apibase_internal.outbox_commit),
    (SELECT max(batch) FROM apibase.outbox), (SELECT string_agg(e::text, ', ') FROM apibase.events e),
    (SELECT string_agg(s::text, ', ' ORDER BY s::text) FROM apibase.subscriptions s), (SELECT string_agg(consumer || ' ' || acknowledged || ' ' || lag, ', ' ORDER BY consumer) FROM apibase.outbox_consumers)};
$standby->safe_psql('postgres', q{
    SELECT stress.happen(1, 0, 'late');
    SELECT apibase.register_event('stress.happened', 'writer', 'writer', 'n');
    CREATE FUNCTION stress.on_happened(e stress.happened) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION stress.on_any(e apibase.outbox) RETURNS void LANGUAGE sql AS '';
    SELECT apibase.subscribe('stress.happened', 'stress.on_happened(stress.happened)', 'n > 0'), apibase.subscribe('stress.*', 'stress.on_any(apibase.outbox)', on_failure => 'isolate')});
like($standby->safe_psql('postgres', $state), qr/\(stress\.happened,.*stress\.on_any.*stress\.on_happened.*reader 1/, 'there is something to be kept');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$standby->safe_psql('postgres', 'CREATE DATABASE restored');
foreach my $options ([ '-Fp' ], [ '-Fc' ])
{
    my $what = "restored from $options->[0]";
    $standby->command_ok([ 'pg_dump', @$options, '-f', $dump, $standby->connstr('postgres') ], 'dumped');
    $standby->safe_psql('postgres', 'DROP DATABASE restored');
    $standby->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
    $standby->command_ok($options->[0] eq '-Fp' ? [ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $standby->connstr('restored'), '-f', $dump ]
        : [ 'pg_restore', '-e', '-d', $standby->connstr('restored'), $dump ], 'restored');
    is($standby->safe_psql('restored', $state), $standby->safe_psql('postgres', $state), "$what: the outbox, its consumers, declarations and subscriptions are there");
    is($standby->safe_psql('restored', q{SELECT stress.happen(1, 0, 'new'); SELECT string_agg((event).payload ->> 'step', ', ') FROM apibase.outbox_read('reader 1')}),
        "\nlate, new", "$what: readers go on, and new events come last");
}

$standby->stop;
done_testing();
