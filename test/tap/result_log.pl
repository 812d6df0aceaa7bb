# Internal errors: clients are told nothing, and the server's log has them, once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('result_log');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION apibase;
    CREATE FUNCTION problem_of(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
    DECLARE code text; message text; detail text; hint text;
    BEGIN
        EXECUTE query;
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        RETURN apibase.problem_from_error(code, message, detail, hint);
    END $$;
    CREATE FUNCTION failing() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'disk %', 7 USING ERRCODE = '58030', DETAIL = 'of the array', HINT = 'buy another'; END $$});

# What a statement answers and shows to a client that asks for all, and what it adds to the log.
sub run
{
    my ($sql) = @_;
    my $before = -s $node->logfile;
    my ($status, $out, $err) = $node->psql('postgres', "SET client_min_messages = log; $sql");
    is($status, 0, "succeeds: $sql");
    return ($out, $err, substr(slurp_file($node->logfile), $before));
}

sub times_in
{
    my ($text, $what) = @_;
    my @found = $text =~ /$what/g;
    return scalar @found;
}

my ($out, $err, $log) = run(q{SELECT problem_of('SELECT failing()') ->> 'detail'});
is($out, 'An internal error occurred.', 'the client is told nothing');
unlike($err, qr/disk|array|another|internal error/, 'in no message either');
is(times_in($log, qr/LOG:  internal error: disk 7\n/), 1, 'the log has the message once');
like($log, qr/DETAIL:  of the array\n/, 'with its detail');
like($log, qr/HINT:  buy another\n/, 'and its hint');

($out, $err, $log) = run(q{SELECT problem_of(format('SELECT apibase.raise_problem(%L)', problem_of('SELECT failing()'))) ->> 'code'});
is($out, '58030', 'raised and caught again it keeps its code');
is(times_in($log, qr/LOG:  internal error/), 1, 'and the log has it once');

($out, $err, $log) = run(q{SELECT problem_of('SELECT missing') ->> 'code', problem_of('SELECT apibase.raise_conflict(''taken'')') ->> 'code'});
is($out, '42703|PT409', 'an internal error and one for clients');
is(times_in($log, qr/LOG:  internal error/), 1, 'of which one is logged');
like($log, qr/LOG:  internal error: column "missing" does not exist\n/, 'the internal one');

done_testing();
