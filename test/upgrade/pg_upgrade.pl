# pg_upgrade.pl: a cluster with stored specifications, of the older PostgreSQL that APIBASE_OLDER_SERVER names, is moved to
# this PostgreSQL with pg_upgrade. Without an older one on the machine this is skipped; the environment of PostgreSQL 18
# has one.
use strict;
use warnings;

use Cwd qw(getcwd);

use lib 'test/upgrade';
use Stored qw(start_node fill answers);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $older = $ENV{APIBASE_OLDER_SERVER} or plan skip_all => 'one PostgreSQL only';

my $old = start_node('old', install_path => $older);
my ($old_major) = $old->safe_psql('postgres', 'SHOW server_version') =~ /^(\d+)/;
fill($old, 'shop');
my $answers = answers($old, 'shop');
$old->stop;

# pg_upgrade wants the same in both; 18 has checksums unless told otherwise.
my ($new_version) = run_command([ 'pg_config', '--version' ]);
my ($new_major) = $new_version =~ /(\d+)/;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(
    extra => [ '--locale=C', '--encoding=UTF8', $old_major < 18 && $new_major >= 18 ? '--no-data-checksums' : () ]);
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\nfsync = off");

my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
# It leaves files in the folder where it is called.
my $here = getcwd();
chdir ${PostgreSQL::Test::Utils::tmp_check} or die "chdir: $!";
command_ok(
    [
        'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', "$older/bin", '-B', $bindir,
        '-s', $new->host, '-p', $old->port, '-P', $new->port
    ],
    "pg_upgrade from $old_major");
chdir $here or die "chdir: $!";

$new->start;
isnt($new->safe_psql('postgres', 'SHOW server_version'), '', 'the new server has started');
$new->safe_psql('shop', 'ANALYZE');
is(answers($new, 'shop'), $answers, 'the same answers');
$new->stop;
done_testing();
