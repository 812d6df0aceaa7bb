# run_catalogue.pl: what `make run` and `make stop` do, on a small package index: the first run, the second, a port that is
# taken, a stop, a crash, an interrupted load, a changed example; PostgREST (a fake one that records how it is started), and the
# statements that the real one would send, as role web_anon.
#
# The extension must be installed in the server of PG_CONFIG. All that it makes lies in a temporary folder.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(setsid);
use Test::More;
use Time::HiRes qw(sleep time);

my $example = abs_path(dirname(__FILE__) . '/../../examples/catalogue');
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
$pg_config = (grep { -x } map { "$_/$pg_config" } split /:/, $ENV{PATH})[0] if $pg_config !~ m{/};
chomp(my $bindir = `$pg_config --bindir`);
my ($major) = `$pg_config --version` =~ /^PostgreSQL (\d+)/ or die "no version from $pg_config";

my $dir = tempdir('apibase-catalogue-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;    # as root, the cluster is one of the account postgres
my $state = "$dir/state";
my @states = ($state);

# ---- helpers ---------------------------------------------------------------------------------------------------------

# Exit status and all output of a command.
sub output_of
{
    my (@command) = @_;
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    if (!$pid)
    {
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(126);
        exec(@command) or POSIX::_exit(127);
    }
    my $output = do { local $/ = undef; <$pipe> };
    close $pipe;
    return ($? >> 8, $output // '');
}

sub run_example
{
    my ($where, @options) = @_;
    return output_of("$example/run", '--no-install', '--pg-config', $pg_config, '--state', $where, @options);
}

# No tour: it is about the machine's own packages.
sub run_quietly { return run_example($state, '--no-tour', @_) }

sub free_port
{
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no port: $@";
    return $socket->sockport;
}

sub listen_on
{
    my ($taken) = @_;
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $taken, Listen => 1, ReuseAddr => 1)
      // die "cannot listen on $taken: $@";
}

sub write_file
{
    my ($path, $text) = @_;
    open(my $file, '>:raw', $path) or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";
    return $path;
}

sub read_file
{
    my ($path) = @_;
    open(my $file, '<:raw', $path) or die "$path: $!";
    local $/ = undef;
    return scalar <$file>;
}

# What goes before a command that runs as the account that owns the cluster.
sub as_owner
{
    my ($home) = @_;
    my ($uid, $gid) = (stat $home)[4, 5];
    return $> == $uid ? () : ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');
}

# psql over the socket of the cluster in $where, as the account that owns it.
sub sql_at
{
    my ($where, $role, $database, $sql) = @_;
    my $home = abs_path("$where/pg$major");
    my ($socket_dir) = read_file("$home/data/catalogue.conf") =~ /^unix_socket_directories = '(.*)'$/m;
    my ($port) = read_file("$home/data/catalogue.conf") =~ /^port = (\d+)$/m;
    my $file = write_file("$dir/statements.sql", $sql);
    my ($status, $output) = output_of(as_owner($home), "$bindir/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1',
        '-v', 'VERBOSITY=verbose',
        '-h', $socket_dir, '-p', $port, '-U', $role, '-d', $database, '-f', $file);
    $output =~ s/\n\z//;
    return wantarray ? ($status, $output) : $output;
}

sub sql { return sql_at($state, 'catalogue', 'catalogue', @_) }

sub postmaster
{
    my ($pid) = read_file("$state/pg$major/data/postmaster.pid") =~ /^(\d+)/;
    return $pid;
}

sub wait_until
{
    my ($what, $condition) = @_;
    my $end = time + 60;
    while (!$condition->())
    {
        if (time > $end) { fail("waited for: $what"); return 0; }
        sleep 0.05;
    }
    return 1;
}

# ---- a package index with everything that is difficult -----------------------------------------------------------------

(my $special = <<'INDEX') =~ s/<TAB>/\t/g;
Package: plain
Version: 1.0-1
Installed-Size: 10
Maintainer: Jane Doe <jane@example.org>
Architecture: all
Depends: libc6 (>= 2.34), editor:any | vim, libc6 (<= 9), python3
Pre-Depends: dpkg (>= 1.15)
Description: a plain package
 The long description
 .
 has two paragraphs.
Homepage: https://example.org/?a=b&c
Tag: role::program, interface::commandline,
 implemented-in::c,
 use::editing
Section: games
Priority: optional
Multi-Arch: foreign
Size: 5000000000

Package: plain
Version: 1:2.0~rc1+b2
Installed-Size: 11
Maintainer: Team "X" \ Co <team@example.org>, Other <other@example.org>
Architecture: amd64
Section: games
Priority: optional
Size: 1
Description: the same<TAB>package, "quoted" \ back\slashed

Package: plain
Version: 1.0-1
Architecture: all
Section: again
Description: the second stanza of one name, version and architecture

Package: nobody
Version: 0
Architecture: all
Maintainer: nobody in particular
Priority: source
Installed-Size: many

Package: noversion
Architecture: all

package: LOWER
VERSION: 7
architecture: all
section: debug
priority: REQUIRED
Essential: yes
X-Comment: {"json": "not parsed", "tab":<TAB>"}
INDEX
my $index = $special . "\nPackage: latin\nVersion: 1\nArchitecture: all\nSection: libs\nPriority: standard\n"
  . "Maintainer: Ren\xe9 <rene\@example.org>\nDescription: Ren\xc3\xa9 in UTF-8\r\nSource: same-source\r\n\r\n";
for my $n (1 .. 300)
{
    my $section = (qw(games libs net oldlibs))[ $n % 4 ];
    $index .= sprintf "Package: pack-%03d\nVersion: 1.%d\nArchitecture: %s\nSection: %s\nPriority: %s\nInstalled-Size: %d\n"
      . "Size: %d\nMaintainer: Team %d <team%d\@example.org>\nDescription: package number %d\nTag: number::%s\n"
      . "Depends: libc6, pack-%03d\nSource: source-%d\n\n",
      $n, $n, $n % 2 ? 'amd64' : 'all', $section, $n % 50 ? 'optional' : 'important', $n, 1000 + $n, $n % 7, $n % 7, $n,
      $n % 3 ? 'other' : 'third', $n - 1, $n % 10;
}
# The last stanza ends with the file.
$index .= "Package: last\nVersion: 1\nArchitecture: all\nSection: net\nPriority: extra\nDescription: no newline at the end";
my $source = write_file("$dir/Packages", $index);
my $packages = 300 + 6;

# ---- the first run -----------------------------------------------------------------------------------------------------

my $port = free_port();
$ENV{PATH} = join ':', grep { !-x "$_/postgrest" } split /:/, $ENV{PATH};
my @options = ('--source', $source);

my ($status, $output) = run_quietly(@options, '--port', $port);
is($status, 0, 'the first run succeeds') or do { diag($output); done_testing(); exit 1 };
like($output, qr/^== made a private cluster in \S+$/m, '... it makes a cluster');
like($output, qr/^== started PostgreSQL $major on port $port, apibase preloaded$/m, '... starts it on the port asked for');
like($output, qr/^== loaded $packages packages in \d+ seconds$/m, '... loads the packages');
like($output, qr/^== no postgrest on PATH: .*$/m, '... says in one line that there is no PostgREST');
like($output, qr/^  psql "host=\S+ port=$port dbname=catalogue user=catalogue"$/m, '... and how to connect');
like($output, qr/^  make stop$/m, '... and how to stop');
unlike($output, qr/curl/, '... but no curl line without PostgREST');

is(sql_at($state, 'postgres', 'catalogue', 'SHOW shared_preload_libraries'), 'apibase', 'apibase is preloaded');
is(sql('SELECT apibase.preloaded()'), 't', '... and knows it');
is(sql('SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), 'f', 'role catalogue is no superuser');
my ($tcp_status, $tcp) = do
{
    chomp(local $ENV{PGPASSWORD} = read_file("$state/password"));
    output_of("$bindir/psql", '-XAtqc', 'SELECT current_user', "postgresql://catalogue\@127.0.0.1:$port/catalogue");
};
is($tcp, "catalogue\n", 'over TCP, the password lets role catalogue in');
is((stat "$state/password")[2] & 07777, 0600, '... and only its owner reads it');
($tcp_status, $tcp) = do
{
    local $ENV{PGPASSWORD} = 'wrong';
    output_of("$bindir/psql", '-XAtqc', 'SELECT 1', "postgresql://catalogue\@127.0.0.1:$port/catalogue");
};
isnt($tcp_status, 0, '... a wrong password does not');
($tcp_status, $tcp) = output_of("$bindir/psql", '-XAtqwc', 'SELECT 1', "postgresql://postgres\@127.0.0.1:$port/postgres");
isnt($tcp_status, 0, '... and the superuser does not come in over TCP');

# ---- the rows ----------------------------------------------------------------------------------------------------------

my $row = 'SELECT row_to_json(p) FROM packages p WHERE';
is(sql("$row name = 'plain' AND version = '1.0-1'"),
    '{"name":"plain","version":"1.0-1","architecture":"all","section":"games","priority":"optional","installed_size":10240,'
      . '"download_size":5000000000,"maintainer":{"name":"Jane Doe","email":"jane@example.org"},'
      . '"homepage":"https://example.org/?a=b&c","description":"a plain package",'
      . '"tags":["role::program","interface::commandline","implemented-in::c","use::editing"],'
      . '"depends":["dpkg","libc6","editor","vim","python3"],'
      . '"attrs":{"multi_arch": "foreign", "long_description": "The long description\n\nhas two paragraphs."}}',
    'a row: sizes in bytes, list over several lines, names of dependencies once, the rest in attrs');
is(sql("$row version = '1:2.0~rc1+b2'"),
    '{"name":"plain","version":"1:2.0~rc1+b2","architecture":"amd64","section":"games","priority":"optional",'
      . '"installed_size":11264,"download_size":1,"maintainer":{"name":"Team \"X\" \\\\ Co","email":"team@example.org"},'
      . '"homepage":null,"description":"the same\tpackage, \"quoted\" \\\\ back\\\\slashed","tags":[],"depends":[],"attrs":{}}',
    'a second version of it: quotes, backslashes and tabs, the first of two maintainers');
is(sql("SELECT count(*) FROM packages WHERE name = 'plain'"), 2, 'a repeated stanza is left out');
is(sql("SELECT count(*) FROM packages WHERE name = 'noversion'"), 0, 'so is one without a version');
is(sql("$row name = 'nobody'"),
    '{"name":"nobody","version":"0","architecture":"all","section":null,"priority":null,"installed_size":null,'
      . '"download_size":null,"maintainer":{"name":"nobody in particular","email":null},"homepage":null,"description":null,'
      . '"tags":[],"depends":[],"attrs":{"priority": "source"}}',
    'unknown priority and size are NULL, the former is kept in attrs');
is(sql("SELECT section, priority, attrs FROM packages WHERE name = 'LOWER'"),
    'debug|required|{"essential": "yes", "x_comment": "{\\"json\\": \\"not parsed\\", \\"tab\\":\\t\\"}"}',
    'field names in any case; what looks like JSON is a string');
is(sql("SELECT (maintainer).name, description, attrs FROM packages WHERE name = 'latin'"),
    "Ren\xc3\xa9|Ren\xc3\xa9 in UTF-8|{\"source\": \"same-source\"}", 'Latin-1 is converted, UTF-8 kept, CR dropped');
is(sql("SELECT description FROM packages WHERE name = 'last'"), 'no newline at the end', 'the end of the file ends a stanza');
is( sql(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_index, pg_class
          WHERE pg_class.oid = indexrelid AND indrelid = 'packages'::regclass}),
    join(' ', map { "packages_$_" }
          qw(depends installed_size large_download maintainer name_pattern pkey priority section source tags)),
    'the indexes are there');
like(sql(q{SET enable_seqscan = off; EXPLAIN SELECT name FROM packages WHERE packages @@ 'download_size > 4e9'}),
    qr/packages_large_download/, 'the partial index serves a condition that implies its own');
is( sql(q{SELECT count(*) FROM pg_attribute
          WHERE attrelid = 'packages'::regclass AND attnum > 0 AND col_description(attrelid, attnum) IS NULL}),
    0, 'every column has a comment');
my $refused = sql(q{INSERT INTO packages VALUES ('x', '1', 'all', NULL, NULL, -1, NULL, NULL, NULL, NULL, '{}', '{}', '{}')});
like($refused, qr/23514.*sizes_are_positive/, 'the check constraint that is a specification holds');

# ---- again, stop, start ------------------------------------------------------------------------------------------------

my $identity = q{SELECT pg_postmaster_start_time(), oid, (SELECT loaded_at FROM loads)
                 FROM pg_database WHERE datname = 'catalogue'};

sub file_times
{
    my @files = grep { -f } glob("$state/pg$major/* $state/pg$major/data/*.conf $state/password");
    return join ' ', map { "$_ " . (stat)[9] } @files;
}
my $before = sql($identity);
my $files = file_times();
my $started = time;
($status, $output) = run_quietly(@options);
is($status, 0, 'a second run succeeds');
cmp_ok(time - $started, '<', 15, '... quickly');
like($output, qr/^== the server runs already, on port $port$/m, '... finds the server');
like($output, qr/^== database catalogue is there: $packages packages$/m, '... and the data');
is(sql($identity), $before, '... and leaves server, database and load as they were');
is(file_times(), $files, '... and the files');

my $other = free_port();
($status, $output) = run_quietly(@options, '--port', $other);
is($status, 1, 'another port while the server runs is refused');
like($output, qr/runs on port $port; `make stop` first, then `make run PORT=$other`/, '... with the way to get it');

my ($stop_status, $stop) = output_of("$example/stop", '--state', $state);
is($stop_status, 0, 'stop succeeds');
like($stop, qr/^stopped PostgreSQL on port $port; its data stays in \S+$/m, '... and says what it stopped');
ok(!-e "$state/pg$major/data/postmaster.pid", '... cleanly');
($stop_status, $stop) = output_of("$example/stop", '--state', $state);
is("$stop_status $stop", "0 nothing runs, nothing to stop\n", 'stop is content where nothing runs');
($stop_status, $stop) = output_of("$example/stop", '--state', "$dir/never");
is("$stop_status $stop", "0 nothing runs, nothing to stop\n", '... or nothing was ever run');

{
    my $taken = listen_on($port);
    ($status, $output) = run_quietly(@options);
    is($status, 1, 'a port that is taken is refused');
    like($output, qr/port $port is in use: give another one, as in `make run PORT=\d+`/, '... with a way out');
}
for my $bad ('80', '65536', 'abc', '-1')
{
    ($status, $output) = run_quietly(@options, '--port', $bad);
    is($status, 1, "port $bad is refused");
    like($output, qr/PORT=$bad is no port/, '... by name');
}
($status, $output) = run_quietly(@options, '--colour');
is($status, 1, 'an unknown option is refused');

($status, $output) = run_quietly(@options);
is($status, 0, 'after a stop, run starts again');
like($output, qr/^== started PostgreSQL $major on port $port,/m, '... on the port of the last time');
like($output, qr/^== database catalogue is there: $packages packages$/m, '... with the data that was there');

# ---- after a crash -------------------------------------------------------------------------------------------------------

my $killed = postmaster();
kill 'KILL', $killed;
wait_until('the postmaster is gone', sub { !kill(0, $killed) || read_file("/proc/$killed/stat") =~ /\) Z / });
# By the next boot the number of the process may be another's: this test's.
my $pid_file = read_file("$state/pg$major/data/postmaster.pid");
$pid_file =~ s/^\d+/$$/;
write_file("$state/pg$major/data/postmaster.pid", $pid_file);
my ($lock) = glob "$state/pg$major/run/.s.PGSQL.$port.lock";
ok($lock && write_file($lock, read_file($lock) =~ s/^\d+/$$/r), 'the socket has a lock file, too');
($stop_status, $stop) = output_of("$example/stop", '--state', $state);
is("$stop_status $stop", "0 nothing runs, nothing to stop\n",
    'after a crash nothing runs, whoever has the number in postmaster.pid');
($status, $output) = run_quietly(@options);
is($status, 0, 'run recovers from a crash') or diag($output);
like($output, qr/did not stop cleanly: PostgreSQL recovers/, '... and says so');
is(sql('SELECT count(*) FROM packages'), $packages, '... with the data');

# ---- an example that has changed ----------------------------------------------------------------------------------------

sql(q{CREATE TABLE my_own AS SELECT 1 AS one; UPDATE loads SET fingerprint = 'of another state'});
($status, $output) = run_quietly(@options);
is($status, 0, 'run loads again when extension or example have changed') or diag($output);
like($output, qr/^== loaded $packages packages/m, '... all of it');
is(sql(q{SELECT to_regclass('my_own') IS NULL}), 't', '... into a new database');
is(sql_at($state, 'catalogue', 'catalogue_previous', 'SELECT one FROM my_own'), 1,
    '... and keeps the one before as catalogue_previous');
sql_at($state, 'postgres', 'postgres', 'ALTER DATABASE catalogue RENAME TO gone');
($status, $output) = run_quietly(@options);
like($output, qr/^== loaded $packages packages/m, 'a database that is gone is made again');
sql_at($state, 'postgres', 'postgres', 'DROP DATABASE gone');

# ---- a first load that is interrupted ----------------------------------------------------------------------------------

my $second = "$dir/second";
push @states, $second;
my $second_port = free_port();
POSIX::mkfifo("$dir/fifo", 0644) or die "mkfifo: $!";
my $run = fork // die "fork: $!";
if (!$run)
{
    setsid();
    open(STDOUT, '>', "$dir/interrupted.log") or POSIX::_exit(126);
    open(STDERR, '>&', \*STDOUT) or POSIX::_exit(126);
    # A test runner may ignore the signal of ^C, and what it starts would inherit that.
    local $SIG{INT} = 'DEFAULT';
    exec("$example/run", '--no-install', '--no-tour', '--pg-config', $pg_config, '--state', $second, '--source', "$dir/fifo",
        '--port', $second_port) or POSIX::_exit(127);
}
open(my $fifo, '>', "$dir/fifo") or die "fifo: $!";
$fifo->autoflush(1);
print $fifo $index;
my $loading = sub {
    return sql_at($second, 'postgres', 'postgres',
        q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'catalogue_loading' AND query LIKE 'COPY%'});
};
wait_until('COPY runs', sub { $loading->() eq '1' });
my ($busy_status, $busy) = run_example($second, '--no-tour', '--source', $source);
is($busy_status, 1, 'a second run beside one that loads is refused');
like($busy, qr/another `make run` or `make stop` is at work/, '... with the reason');
kill 'INT', -$run;
waitpid $run, 0;
isnt($?, 0, 'a run that is interrupted fails');
close $fifo;
is(sql_at($second, 'postgres', 'postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'catalogue'}), 0,
    '... and leaves no database catalogue');
($status, $output) = run_example($second, '--no-tour', '--source', $source);
is($status, 0, 'the next run succeeds') or diag($output);
like($output, qr/^== loaded $packages packages/m, '... and loads from the start');
is(sql_at($second, 'postgres', 'postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'catalogue_loading'}), 0,
    '... of the interrupted load nothing is left');
is(sql_at($second, 'catalogue', 'catalogue', 'SELECT count(*) FROM packages'), $packages, '... and all rows are there');
# An initdb that was cut short.
output_of("$example/stop", '--state', $second);
rename "$second/pg$major/data", "$second/pg$major/data.new" or die "rename: $!";
unlink "$second/pg$major/data.new/postgresql.conf";
($status, $output) = run_example($second, '--no-tour', '--source', $source, '--port', $second_port);
is($status, 0, 'what an interrupted initdb left is made again') or diag($output);
output_of("$example/stop", '--state', $second);

my $nothing = write_file("$dir/empty", "\n\n");
($status, $output) = run_example($second, '--no-tour', '--source', $nothing, '--port', $second_port);
is($status, 0, 'a source is not read again when there is data');
sql_at($second, 'postgres', 'postgres', 'DROP DATABASE catalogue');
($status, $output) = run_example($second, '--no-tour', '--source', $nothing);
is($status, 1, 'a source without packages is an error');
like($output, qr/names no packages/, '... that says so');
output_of("$example/stop", '--state', $second);

# ---- PostgREST ---------------------------------------------------------------------------------------------------------

# A fake that notes how it was started and listens as it was told to.
mkdir "$dir/bin";
write_file("$dir/bin/postgrest", <<'FAKE');
#!/usr/bin/perl
use strict;
use warnings;
use IO::Socket::INET;
my ($file) = @ARGV;
open(my $config, '<', $file) or die "$file: $!\n";
my %setting = map { /^([a-z-]+) = "?([^"\n]*)"?$/ ? ($1, $2) : () } <$config>;
print "started with @ARGV\n";
my $server = IO::Socket::INET->new(LocalAddr => $setting{'server-host'}, LocalPort => $setting{'server-port'}, Listen => 5,
    ReuseAddr => 1) or die "cannot listen: $@\n";
$| = 1;
print "listening on $setting{'server-port'}\n";
while (my $client = $server->accept) { close $client }
FAKE
chmod 0755, "$dir/bin/postgrest";
my $http_port = free_port();
{
    local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
    ($status, $output) = run_quietly(@options, '--http-port', $http_port);
    is($status, 0, 'run with a postgrest on PATH succeeds') or diag($output);
    like($output, qr/^== started PostgREST on port $http_port$/m, '... starts it on the port asked for');
    like($output, qr{^  curl '?(?:-G )?http://127\.0\.0\.1:$http_port/packages\?}m, '... and prints lines for curl');
    my $home = abs_path("$state/pg$major");
    my $config = read_file("$home/postgrest.conf");
    like($config, qr/^db-schemas = "api"$/m, 'its configuration: schema api');
    like($config, qr/^db-anon-role = "web_anon"$/m, '... anonymous role web_anon');
    like($config, qr/^server-host = "127\.0\.0\.1"$/m, '... from this machine only');
    my ($uri) = $config =~ /^db-uri = "(.*)"$/m;
    is((output_of(as_owner($home), "$bindir/psql", '-XAtqwc', 'SELECT current_user, current_database()', $uri))[1],
        "authenticator|catalogue\n", '... and an address under which authenticator comes in');
    my $pid = read_file("$home/postgrest.pid") + 0;
    ok(kill(0, $pid), 'it runs');
    like(read_file("$home/postgrest.log"), qr{^started with \Q$home\E/postgrest\.conf$}m, '... with that file');
    ($status, $output) = run_quietly(@options);
    like($output, qr/^== PostgREST runs already, on port $http_port$/m, 'a second run finds it');
    like($output, qr{http://127\.0\.0\.1:$http_port/}, '... and prints its port');
    is(read_file("$home/postgrest.pid") + 0, $pid, '... and it is the same process');

    ($stop_status, $stop) = output_of("$example/stop", '--state', $state);
    like($stop, qr/\Astopped PostgREST\nstopped PostgreSQL on port $port;/, 'stop stops it before the server');
    ok(!kill(0, $pid), '... for good');

    my $taken = listen_on($http_port);
    ($status, $output) = run_quietly(@options, '--http-port', $http_port);
    is($status, 1, 'a port for PostgREST that is taken is refused');
    like($output, qr/port $http_port is in use: give PostgREST another one, as in `make run HTTP_PORT=\d+`/,
        '... with a way out');
    close $taken;
    write_file("$dir/bin/postgrest", "#!/bin/sh\necho 'no such schema' >&2\nexit 1\n");
    ($status, $output) = run_quietly(@options, '--http-port', $http_port);
    is($status, 1, 'a PostgREST that does not start is an error');
    like($output, qr/no such schema\n.*PostgREST does not start/s, '... shown with its log');
}

# ---- what PostgREST sends ------------------------------------------------------------------------------------------------

# One request, as PostgREST does it: a READ ONLY transaction on a connection of authenticator, the settings, then a prepared
# statement. Seven requests on one connection: from the sixth on the server may plan for unknown parameters, in the seventh it
# must. Returns their answer, which is one line and must be the same each time, without the columns that are empty.
my $settings = join ', ', map { "set_config('$_->[0]', \$$_->[1], true)" } ['search_path', 1], ['role', 2],
  ['request.jwt.claims', 3], ['request.method', 4], ['request.path', 5], ['request.headers', 6], ['request.cookies', 7];

sub requests
{
    my ($path, $main, $types, @values) = @_;
    my $execute = @values ? '(' . join(', ', map { "'" . s/'/''/gr . "'" } @values) . ')' : '';
    my $begin = '\o /dev/null' . "\nBEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;\n"
      . q{EXECUTE settings('"api", "public"', 'web_anon', '{"role":"web_anon"}', 'GET', }
      . qq{'$path', '{"accept":"*/*"}', '{}');\n};
    my $sql = "SET client_encoding = 'UTF8'; SET client_min_messages TO WARNING;\n"
      . "PREPARE settings(text, text, text, text, text, text, text) AS SELECT $settings;\n"
      . $begin . 'PREPARE main' . ($types ? "($types)" : '') . " AS $main;\nCOMMIT;\n";
    for my $n (1 .. 7)
    {
        $sql .= $begin . ($n == 7 ? "SET LOCAL plan_cache_mode = force_generic_plan;\n" : '')
          . '\o' . "\nEXECUTE main$execute;\nCOMMIT;\n";
    }
    my ($code, $answers) = sql_at($state, 'authenticator', 'catalogue', $sql);
    return $answers if $code;
    $answers =~ s/, \n /, /g;    # as json_agg writes
    my @lines = split /\n/, $answers;
    my %distinct = map { $_ => 1 } @lines;
    return "not seven equal answers: $answers" if @lines != 7 || keys %distinct != 1;
    return $lines[0] =~ s/^\|(.*)\|\|\|$/$1/r;
}

# The columns of the main query: total_result_set and the last three are empty here.
sub answer
{
    my ($count, $body, $from) = @_;
    return "SELECT null::bigint AS total_result_set, $count AS page_total, $body AS body, "
      . "nullif(current_setting('response.headers', true), '') AS response_headers, "
      . "nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted "
      . "FROM ($from) _postgrest_t";
}

# A call of a function that returns rows; $from calls it, $columns are those of the request's select.
sub rows_of
{
    my ($function, $from, $columns) = @_;
    return "WITH pgrst_source AS (SELECT pgrst_call.* FROM $from pgrst_call) "
      . answer('pg_catalog.count(_postgrest_t)', "coalesce(json_agg(_postgrest_t), '[]')",
        "SELECT $columns FROM \"pgrst_source\" AS \"$function\"");
}

# A call of a function that returns one value.
sub scalar_of
{
    my ($function, $arguments) = @_;
    return "WITH pgrst_source AS (SELECT pgrst_call.pgrst_scalar FROM (SELECT \"api\".\"$function\"($arguments) pgrst_scalar) pgrst_call) "
      . answer('1', "coalesce(json_agg(_postgrest_t.pgrst_scalar)->0, 'null')", "SELECT \"$function\".* FROM \"pgrst_source\" AS \"$function\"");
}

($status, $output) = run_quietly(@options);
is($status, 0, 'without a postgrest run serves SQL alone');

# GET /rpc/search?filter=&order_by=&page_size=&select=name
sub search
{
    my @values = @_;
    my $from = '"api"."search"("filter" := $1::apibase.spec, "order_by" := $2::text, "page_size" := $3::integer)';
    return requests('/rpc/search', rows_of('search', $from, '"search"."name"'), 'text, text, text', @values);
}
is(search(q{section = 'games' and installed_size <= 20480 and name starts_with 'pack-'}, 'installed_size desc, name', '3'),
    '3|[{"name":"pack-020"}, {"name":"pack-016"}, {"name":"pack-012"}]',
    'GET /rpc/search with the specification as text');
my $json = '{"and": [{"field": "section", "op": "eq", "value": "games"}, {"field": "name", "op": "like", "value": "pack-00%"}]}';
is(search($json, 'name', '2'), '2|[{"name":"pack-004"}, {"name":"pack-008"}]', '... and as JSON');
my $deep = q{maintainer.email = 'team3@example.org' and attrs.source = 'source-7' and tags contains array['number::other']};
is(search($deep, 'name', '2'), '2|[{"name":"pack-017"}, {"name":"pack-157"}]', '... with composite field, jsonb path, array');
is(search('', 'name', '3'), '3|[{"name":"last"}, {"name":"latin"}, {"name":"nobody"}]', '... an empty one finds all');
like(search('true', 'name', '100000'), qr/^100\|/, '... a hundred at a time');

# POST /rpc/search with a JSON body
sub post_search
{
    my ($after) = @_;
    my $from = '(SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT "filter", "order_by", "page_size", "after" '
      . 'FROM json_to_record(pgrst_payload.json_data) '
      . 'AS _("filter" apibase.spec, "order_by" text, "page_size" integer, "after" jsonb) LIMIT 1) pgrst_body, '
      . 'LATERAL "api"."search"("filter" := pgrst_body."filter", "order_by" := pgrst_body."order_by", '
      . '"page_size" := pgrst_body."page_size", "after" := pgrst_body."after")';
    my $body = '{"filter": {"field": "name", "op": "starts_with", "value": "pack-29"}, "order_by": "name", '
      . qq("page_size": 2, "after": $after});
    return requests('/rpc/search', rows_of('search', $from, '"search"."name", "search"."version"'), 'json', $body);
}
is(post_search('null'), '2|[{"name":"pack-290","version":"1.290"}, {"name":"pack-292","version":"1.292"}]',
    'POST /rpc/search: the first page, without what the row policy hides');
is(post_search('{"name": "pack-292", "architecture": "all", "version": "1.292"}'),
    '2|[{"name":"pack-293","version":"1.293"}, {"name":"pack-294","version":"1.294"}]', '... and the one after it');

# GET /rpc/count?filter=
sub count_of
{
    my ($filter) = @_;
    return requests('/rpc/count', scalar_of('count', '"filter" := $1::apibase.spec'), 'text', $filter);
}
my $visible = sql(q{SELECT count(*) FROM packages WHERE section IS NULL OR section NOT IN ('oldlibs', 'debug')});
cmp_ok($visible, '<', $packages, 'the row policy hides something');
is(count_of(''), "1|$visible", 'GET /rpc/count: web_anon sees what its row policy, a specification, lets through');
is(count_of(q{section = 'oldlibs'}), '1|0', '... and no specification shows more');
is(count_of(q{section = 'oldlibs' or true}), "1|$visible", '... whatever it says');

# GET /packages?section=eq.&select=name,maintainer&order=name.desc&limit=&offset=
sub packages_of
{
    my @values = @_;
    my $main = 'WITH pgrst_source AS (SELECT "api"."packages"."name", "api"."packages"."maintainer" FROM "api"."packages" '
      . 'WHERE "api"."packages"."section" = $1 ORDER BY "api"."packages"."name" DESC LIMIT $2 OFFSET $3) '
      . answer('pg_catalog.count(_postgrest_t)', "coalesce(json_agg(_postgrest_t), '[]')", 'SELECT * FROM pgrst_source');
    return requests('/packages', $main, 'text, bigint, bigint', @values);
}
is(packages_of('libs', 1, 1), '1|[{"name":"pack-293","maintainer":{"name":"Team 6","email":"team6@example.org"}}]',
    'GET /packages, the view');
is(packages_of('oldlibs', 10, 0), '0|[]', '... under the row policy');

# GET /rpc/explain?package=&filter= and GET /rpc/check?filter=
my $explain = rows_of('explain', '"api"."explain"("package" := $1::text, "filter" := $2::apibase.spec)',
    '"explain"."clause", "explain"."actual"');
is(requests('/rpc/explain', $explain, 'text, text', 'pack-004', q{section = 'net' and installed_size >= 4096}),
    q{1|[{"clause":"section = 'net'","actual":"games"}]}, 'GET /rpc/explain tells why not');
my $check = rows_of('check', '"api"."check"("filter" := $1::apibase.spec)', '"check"."sqlstate", "check"."field"');
is(requests('/rpc/check', $check, 'text', q{section = 'net'}), '0|[]', 'GET /rpc/check has nothing to say of what fits');
is(requests('/rpc/check', $check, 'text', 'instaled_size > 1 and section = 4'),
    '2|[{"sqlstate":"42703","field":"instaled_size"}, {"sqlstate":"42804","field":"section"}]', '... and lists what does not');

# GET /rpc/sections and GET /rpc/details?package=, which are cached
my $sections = rows_of('sections', '"api"."sections"()', '"sections"."section", "sections"."packages"');
my $grouped = q{SELECT count(*) || '|' || json_agg(json_build_object('section', section, 'packages', packages))
    FROM (SELECT section, count(*) AS packages FROM packages WHERE section IS NULL OR section NOT IN ('oldlibs', 'debug')
          GROUP BY section ORDER BY section) s};
(my $computed = sql($grouped)) =~ s/ : /:/g;
$computed =~ s/, "/,"/g;
is(requests('/rpc/sections', $sections, ''), $computed, 'GET /rpc/sections: seven times what web_anon may see');
my $kept = q{SELECT count(*), sum(hits) FROM apibase.cache_entries WHERE key LIKE 'fn:api.sections(%' AND valid};
is(sql($kept), '1|6', '... of which one was computed');
cmp_ok(sql('SELECT sum(packages) FROM api.sections()'), '==', $packages, '... the owner sees all packages');
is(sql($kept), '2|6', '... from a result of its own');
sql(q{UPDATE packages SET section = 'moved' WHERE name = 'pack-001'});
like(requests('/rpc/sections', $sections, ''), qr/{"section":"moved","packages":1}/, '... and a write shows at once');
sql(q{BEGIN; UPDATE packages SET section = 'lost' WHERE name = 'pack-002'; ROLLBACK});
unlike(requests('/rpc/sections', $sections, ''), qr/lost/, '... one that is rolled back never');
sql(q{UPDATE packages SET section = 'libs' WHERE name = 'pack-001'});
is(requests('/rpc/sections', $sections, ''), $computed, '... and all is as before');

sub details_of
{
    my ($package) = @_;
    return requests('/rpc/details', scalar_of('details', '"package" := $1::text'), 'text', $package);
}
like(details_of('pack-005'), qr/^1\|\{"name": "pack-005", "versions": \[\{.*"version": "1\.5".*\}\], "needed_by": 1\}$/,
    'GET /rpc/details');
is(details_of('pack-003'), '1|null', '... of what the row policy hides');
is(sql(q{SELECT decorator, options ->> 'ttl' FROM apibase.decorators WHERE function = 'api.details(text)'::regprocedure}),
    'cached|01:00:00', '... is cached');

like(search('instaled_size > 1', 'name', '3'), qr/ERROR:  42703: .*instaled_size.*\n(?:.*\n)*HINT:  .*installed_size/,
    'an unknown field is an error with the closest name');
like(search('section = ', 'name', '3'), qr/ERROR:  PB010: /, 'so is a syntax error');
like(search('section = $1', 'name', '3'), qr/ERROR:  PB013: /, '... a parameter without a value');
like(search('true', 'nam', '3'), qr/ERROR:  42703: .*nam/, '... an unknown column to order by');
like(requests('/x', 'SELECT * FROM public.loads', ''), qr/42501: permission denied for table loads/,
    'web_anon reads no other table');
like(requests('/x', 'DELETE FROM public.packages', ''), qr/(42501|25006): /, '... and writes nothing');

# ---- the tour ----------------------------------------------------------------------------------------------------------

# it has commands about this package
sql(q{UPDATE packages SET name = 'make' WHERE name = 'last'});
($status, $output) = run_example($state, @options);
is($status, 0, 'a run with the tour succeeds');
cmp_ok(($output =~ tr/\n//), '<=', 230, '... in at most 230 lines');
my ($hits) = $output =~ /^ fn +\| +(\d+) \|/m;
cmp_ok($hits // 0, '>', 0, '... with hits in the cache');
like($output, qr/^ api\.sections\(\) +\| +1 \| cached +\| 1 day$/m, '... and the decorators');
like($output, qr/^ \/watcher +\| 23514 \| /m, '... what is wrong with a payload, with pointers');
like($output, qr/^ t  \| t +\| \{"package": "make", "version": "99\.1"/m, '... a replay');
like($output, qr/"99\.1"\}\n app\.release_published \| \{"package": "make", "version": "99\.2"\}/, '... and the events in order');
my %unexpected = map { $_ => 1 } $output =~ /^(?:psql\S* )?ERROR: +(.*)$/mg;
is(join("\n", grep { !/instaled_size/ } sort keys %unexpected), '', '... and no error but the one that it shows on purpose');

# ---- the tutorial --------------------------------------------------------------------------------------------------------

# Its statements run here too: no error but those that it announces, and columns as it shows them. (What it shows of rows and
# plans is of a whole package index.)
my $tutorial = read_file("$example/../../docs/tutorial.md");
my $blocks = 0;
while ($tutorial =~ /^```sql\n(.*?)^```\n\n?((?:    [^\n]*\n|\n)*)/mgs)
{
    my ($sql, $shown) = ($1, $2);
    my ($first) = $sql =~ /^(.*)/;
    my $home = abs_path("$state/pg$major");
    my $file = write_file("$dir/statements.sql", $sql);
    my ($code, $said) = output_of(as_owner($home), "$bindir/psql", '-Xq', '-P', 'pager=off', '-h', "$home/run", '-p', $port,
        '-U', 'catalogue', '-d', 'catalogue', '-f', $file);
    my @announced = $sql =~ /^-- ((?:ERROR|HINT): .*)$/mg;
    my @messages = map { s/^psql:\S+ //r } $said =~ /^((?:psql:\S+ )?(?:ERROR|HINT): .*)$/mg;
    is(join("\n", @messages), join("\n", @announced), "the tutorial's block '$first' raises what it announces");
    if (!@announced)
    {
        my ($wanted) = $shown =~ /^ *(\S.*?) *$/m;
        my $header = $said =~ /^ *(\S.*?) *$/m ? $1 : '';
        s/-\[ RECORD 1 \].*/record/, s/\s+/ /g for $wanted, $header;
        is($header, $wanted, '... and has the columns that it shows');
    }
    $blocks++;
}
cmp_ok($blocks, '>', 20, 'the tutorial has statements');

END
{
    my $exit = $?;
    for my $where (@states)
    {
        next if !-d $where;
        my ($code, $said) = output_of("$example/stop", '--state', $where);
        diag("stop failed: $said") if $code;
    }
    $? = $exit;
}

done_testing();
