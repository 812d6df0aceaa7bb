# Dump.pm - pg_dump and its way back, for tests.
package Dump;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(dump_of restore);

# dump_of NODE, DATABASE: the text of pg_dump, without its random key and without comments (versions are in them).
sub dump_of
{
    my ($node, $database) = @_;
    my ($out, $err) = run_command([ 'pg_dump', '-d', $node->connstr($database) ]);
    is($err, '', "pg_dump of $database");
    return join("\n", grep { !/^\\(?:un)?restrict |^--|^$/ } split(/\n/, $out));
}

# restore NODE, DATABASE, FORMAT: a copy of the database by way of pg_dump, as text (plain) or in the format custom. Its
# name is that of the format.
sub restore
{
    my ($node, $database, $format) = @_;
    my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
    command_ok([ 'pg_dump', "--format=$format", "--file=$file", '-d', $node->connstr($database) ], "pg_dump, $format");
    $node->safe_psql('postgres', "CREATE DATABASE $format");
    command_ok(
        $format eq 'plain'
        ? [ 'psql', '-qXo', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr($format) ]
        : [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($format), $file ],
        "restored, $format");
    return;
}

1;
