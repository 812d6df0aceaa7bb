# Stored.pm - what the tests of this folder share: the database of stored.sql, and its answers.
package Stored;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Exporter 'import';

our @EXPORT_OK = qw(start_node fill answers);

# start_node NAME, OPTION => VALUE...: a running server with apibase preloaded; options are those of Cluster->new.
sub start_node
{
    my ($name, %options) = @_;
    my $init = delete $options{init} // [];
    my $node = PostgreSQL::Test::Cluster->new($name, %options);
    $node->init(extra => [ '--locale=C', '--encoding=UTF8', @$init ]);
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\nfsync = off");
    $node->start;
    return $node;
}

sub _run_file
{
    my ($node, $database, $file, $stop) = @_;
    my ($out, $err) = ('', '');
    my $status = $node->psql($database, slurp_file("test/upgrade/$file"),
        stdout => \$out, stderr => \$err, on_error_stop => $stop, on_error_die => 0);
    return ($status, $out, $err);
}

# fill NODE, DATABASE: makes the database of stored.sql.
sub fill
{
    my ($node, $database) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    my ($status, undef, $err) = _run_file($node, $database, 'stored.sql', 1);
    is($status, 0, "specifications are stored in $database") or diag($err);
    return;
}

# answers NODE, DATABASE: what answers.sql says, its errors included.
sub answers
{
    my ($node, $database) = @_;
    my ($status, $out, $err) = _run_file($node, $database, 'answers.sql', 0);
    is($status, 0, "$database answers") or diag($err);
    my @errors = $err =~ /(?:ERROR|DETAIL|HINT): .*/g;
    return join("\n", $out, @errors, '');
}

1;
