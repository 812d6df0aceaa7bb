# Redis must never hurt: the second level of the cache on a server that is absent, refuses, hangs, is slow, answers nonsense, is
# out of memory, is a replica, wants another password, restarts.  Callers get right results, the breaker keeps them from
# waiting, one warning is logged, and nobody sees the password.

use strict;
use warnings;

use lib 'test/tap';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServers qw(start_redis start_proxy wait_until start_node set_conf redis_state is_usable wait_usable shift_clock stop_worker
    go_on);
use Test::More;
use Time::HiRes qw(sleep);

my $password = 'Pa55word';
my $redis = start_redis(password => $password);
my $proxy = start_proxy($redis);
my $hour = 3600;

# An hour until the breaker lets a call probe, most of a day until there is another warning: by the clock that the test sets.
my $node = start_node('redis', <<"END");
apibase.redis_breaker_recovery = 1h
apibase.redis_warning_interval = 1d
apibase.redis_connect_timeout = 5s
apibase.redis_command_timeout = 5s
apibase.cache_size = 4MB
END
my $url = "redis://:$password\@" . $proxy->host;
my $everything = '';    # that any session was told

# Run SQL; returns its output, and notes all that was said.
sub sql
{
    my ($sql, %options) = @_;
    my ($out, $err) = ('', '');
    my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 1, %options);
    $everything .= "$out$err";
    return wantarray ? ($status, $out, $err) : $out;
}

# Of the log: how many lines match.
sub logged
{
    my ($pattern) = @_;
    return scalar(() = slurp_file($node->logfile) =~ /$pattern/g);
}

my $warnings = qr/WARNING:  the cache does without Redis/;

# ---- URLs ----

my %good = (
    "redis://localhost" => 'redis://localhost',
    "redis://:$password\@[::1]:1/2" => 'redis://:***@[::1]:1/2',
    "rEdis://me:$password\@h1:1,h2,[::1]/0" => 'rEdis://me:***@h1:1,h2,[::1]/0',
    "redis://:$password%40%2f\@h" => 'redis://:***@h',
    "unix:///tmp/a" => 'unix:///tmp/a',
    "unix://:$password\@/tmp/a%20b?db=3" => 'unix://:***@/tmp/a%20b?db=3',
    "redis+cluster://u:$password\@h1,h2/0" => 'redis+cluster://u:***@h1,h2/0',
    "redis+sentinel://:$password\@h1,h2:3/master/4" => 'redis+sentinel://:***@h1,h2:3/master/4',
    '' => '',
);
my $worker_off = stop_worker($node);
for my $try (sort keys %good)
{
    set_conf($node, 'apibase.redis_url' => $try);
    is(sql('SHOW apibase.redis_url'), $good{$try}, "a URL shown without its password: $good{$try}");
}

my %bad = (
    "http://:$password\@h" => 'It must begin with redis://',
    "redis://$password\@h" => 'must be "user:password"',
    "redis://u:\@h" => 'A user name needs a password',
    "redis://:$password%\@h" => 'The password is too long or not properly percent-encoded',
    "redis://:$password%00\@h" => 'The password is too long or not properly percent-encoded',
    "redis://u:$password/x\@h" => 'must be percent-encoded',
    "redis://:$password\@" => 'A host name is missing',
    "redis://:$password\@h:0" => 'A port must be a number from 1 to 65535',
    "redis://:$password\@h:65536" => 'A port must be a number from 1 to 65535',
    "redis://:$password\@h,,i" => 'A host name is missing',
    "redis://:$password\@[::1" => 'An IPv6 address must stand in brackets',
    "redis://:$password\@h/one" => 'The database must be a number',
    "redis://:$password\@h/1?x=1" => 'allowed with unix:// only',
    "redis://:$password\@h/$password é" => 'must be percent-encoded',
    "redis+cluster://:$password\@h/1" => 'A cluster has database 0 only',
    "redis+sentinel://:$password\@h" => 'The name of the master must follow',
    "unix://:$password\@h/tmp/a" => 'must be followed by the absolute path',
    "unix://:$password\@/tmp/a?password=$password" => 'only "?db=" and a number',
    'unix:///' . 'x' x 200 => 'at most 107 bytes',
    'redis://' . join(',', map { "h$_" } 1 .. 17) => 'At most 16 hosts',
);
for my $try (sort keys %bad)
{
    my ($status, undef, $err) = sql("ALTER SYSTEM SET apibase.redis_url = '$try'");
    isnt($status, 0, "refused: $bad{$try}");
    like($err, qr/ERROR:  invalid value for parameter "apibase.redis_url"\nDETAIL:  .*\Q$bad{$try}\E/, 'with the reason');
}
set_conf($node, 'apibase.redis_url' => "redis://:$password\@h:x");
ok(logged(qr/invalid value for parameter "apibase.redis_url"/) > 0, 'a malformed URL in the file is logged');
set_conf($node, 'apibase.redis_url' => '');
go_on($worker_off);

# ---- it works ----

set_conf($node, 'apibase.redis_url' => $url);
wait_usable($node, 'level 2 by way of a host and port');
is(redis_state($node, 'url, breaker, failures'), 'redis://:***@' . $proxy->host . '|closed|0', 'the view says so');

set_conf($node, 'apibase.redis_url' => "unix://:$password\@" . $redis->socket . '?db=3');
wait_usable($node, 'by way of a socket, in database 3');
like($redis->cli('-n', 3, 'KEYS', '*'), qr/r:probe/, 'which has the keys');

$redis->cli('ACL', 'SETUSER', 'app', 'on', ">$password@ :/", '~apibase:*', '&*', '+@all', '-@dangerous', '+info');
set_conf($node, 'apibase.redis_url' => "redis://app:$password%40%20%3a%2F\@" . $redis->host . '/4');
wait_usable($node, 'as a user with few rights, the password percent-encoded');
like($redis->cli('CLIENT', 'LIST'), qr/name=apibase .*user=app/, 'who is logged in under a name');

my $absent = PostgreSQL::Test::Cluster::get_free_port();
my $failures = redis_state($node, 'failures');
set_conf($node, 'apibase.redis_url' => "redis://:$password\@127.0.0.1:$absent," . $redis->host);
wait_usable($node, 'by way of the second of two hosts, the first of which is absent');
is(redis_state($node, 'failures'), $failures, 'which is no failure');

my $file = $node->data_dir . '/redis_password';
append_to_file($file, "$password\nsecond line");
set_conf($node, 'apibase.redis_url' => 'redis://:wrong@' . $redis->host, 'apibase.redis_password_file' => $file);
wait_usable($node, 'with the password from a file');
set_conf($node, 'apibase.redis_url' => $url, 'apibase.redis_password_file' => '');

# ---- who sees what ----

sql('CREATE ROLE anybody LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor; GRANT USAGE ON SCHEMA apibase TO anybody, monitor');
my $shown = 'redis://:***@' . $proxy->host;
my ($status, $out, $err) = sql('SET ROLE anybody; SHOW apibase.redis_url');
isnt($status, 0, 'SHOW is not for anybody');
is(sql("SET ROLE anybody; SELECT count(*) FROM pg_settings WHERE name LIKE 'apibase.redis_url'"), 0, 'nor is pg_settings');
($status, $out, $err) = sql('SET ROLE anybody; SELECT url FROM apibase.cache_redis');
like($err, qr/permission denied/, 'nor is the view');
is(sql('SET ROLE monitor; SHOW apibase.redis_url'), $shown, 'who monitors sees the URL without its password');
is(sql('SET ROLE monitor; SELECT url FROM apibase.cache_redis'), $shown, 'in the view too');
unlike(sql('SELECT s FROM pg_settings s'), qr/$password/, 'no column of pg_settings has the password, not even for a superuser');
is(sql(q{SELECT set_config(CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'force_parallel_mode'
            ELSE 'debug_parallel_query' END, 'on', false) = 'on', current_setting('apibase.redis_url')}), "t|$shown", 'a session');
is(sql(q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
        CREATE TABLE p AS SELECT generate_series(1, 100) i; ANALYZE p;
        SELECT string_agg(DISTINCT current_setting('apibase.redis_url') || (pg_backend_pid() = } . '0' . q{)::text, '') FROM p}),
    "${shown}false", 'a parallel worker has the same URL');

# ---- the breaker, against a model ----
# The worker is stopped, so that every call is the test's.  A call to a proxy that answers nonsense fails at once.

wait_usable($node, 'level 2 before the model');
my $worker = stop_worker($node);
my $session = $node->background_psql('postgres', on_error_stop => 0);
set_conf($node, 'apibase.redis_breaker_failures' => 3);
my %model;
@model{qw(breaker failures in_a_row)} = split /\|/, redis_state($node, 'breaker, failures, failures_in_a_row');
my ($due, $next_warning, $wrong) = (0, 0, '');
my %met;
my $logged = logged($warnings);
is($logged, 0, 'no warning yet');
srand($ENV{APIBASE_SEED} // 4711);
for my $step (1 .. 150)
{
    my $fails = rand() < 0.6;
    $proxy->mode($fails ? 'garbage' : 'pass');
    if (rand() < 0.3)
    {
        my $seconds = rand() < 0.5 ? $hour - 600 : $hour + 600;
        shift_clock($node, $seconds);
        $due -= $seconds;
        $next_warning -= $seconds;
    }

    my $tried = $model{breaker} eq 'closed' || $due <= 0;
    my $before = $model{breaker};
    if ($tried && $fails)
    {
        $model{failures}++;
        $model{in_a_row}++;
        if ($next_warning <= 0)
        {
            $logged++;
            $next_warning = 24 * $hour;
        }
        if ($before eq 'open' || $model{in_a_row} >= 3)
        {
            $model{breaker} = 'open';
            $due = $hour;
        }
    }
    elsif ($tried)
    {
        @model{qw(breaker in_a_row)} = ('closed', 0);
    }
    $met{"$before, " . ($tried ? $fails ? 'fails' : 'succeeds' : 'skipped') . ", $model{breaker}"}++;

    my ($commands, $skipped) = split /\|/, redis_state($node, 'commands, skipped');
    my $value = $session->query("SELECT apibase.cache_get('r:none$step')");
    my $now = redis_state($node, "breaker, failures, failures_in_a_row, commands > $commands, skipped > $skipped");
    my $expected = join('|', @model{qw(breaker failures in_a_row)}, $tried ? 't|f' : 'f|t');
    $wrong .= "step $step: $now instead of $expected\n" if $now ne $expected || $value ne '';
}
is($wrong, '', 'the breaker does what the model does');
is(logged($warnings), $logged, "and warns once a day of its clock: $logged times");
cmp_ok($logged, '>', 1, 'which was more than one');
is(join("\n", sort keys %met), join("\n", sort 'closed, fails, closed', 'closed, fails, open', 'closed, succeeds, closed',
        'open, skipped, open', 'open, fails, open', 'open, succeeds, closed'), 'which takes every way');

# One probes, and nobody else; one that dies is replaced.
shift_clock($node, $hour);
$proxy->mode('pass');
$session->query("SELECT apibase.cache_get('r:none')");
is(redis_state($node, 'breaker'), 'closed', 'closed');
$proxy->mode('garbage');
$session->query("SELECT apibase.cache_get('r:none')") for 1 .. 3;
is(redis_state($node, 'breaker'), 'open', 'open');
$proxy->mode('hang');
set_conf($node, 'apibase.redis_connect_timeout' => '1min', 'apibase.redis_command_timeout' => '1min');
shift_clock($node, $hour);
my $probe = IPC::Run::start([ 'psql', '-XAtqd', $node->connstr('postgres'), '-c', "SELECT apibase.cache_get('r:none')" ],
    '>', \my $probe_out, '2>', \my $probe_err);
wait_until('a call probes', sub { redis_state($node, 'breaker') eq 'half_open' });
my $tried = redis_state($node, 'commands');
is($session->query("SELECT apibase.cache_get('r:none')"), '', 'while a call probes');
is(redis_state($node, "commands - $tried, breaker"), '0|half_open', 'others are not tried');
my $event = sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%r:none%' AND pid <> pg_backend_pid()
    AND wait_event_type = 'Extension'");
is($event, 1, 'the wait for Redis is shown');
is(sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE query LIKE '%r:none%' AND wait_event_type = 'Extension'"),
    't', 'the session that probes is ended');
$probe->finish;
is($session->query("SELECT apibase.cache_get('r:none')"), '', 'after which');
is(redis_state($node, "commands - $tried, breaker"), '0|half_open', 'others are still not tried');
$proxy->mode('pass');
shift_clock($node, $hour);
$session->query("SELECT apibase.cache_get('r:none')");
is(redis_state($node, 'breaker'), 'closed', 'until the recovery time has passed again');

# Interrupts.
my $values = sql(q{SELECT apibase.cache_set('r:i' || i, to_jsonb(i)) FROM generate_series(1, 3) i});
is($values, "t\nt\nt", 'values in level 2');
my $get = q{SELECT string_agg(apibase.cache_get('r:i' || i)::text, ',' ORDER BY i) FROM generate_series(1, 3) i};
is($session->query($get), '1,2,3', 'which a session gets');
$redis->pause;
$failures = redis_state($node, 'failures');
$session->query(q{SET statement_timeout = '200ms'});
is($session->query($get), '', 'a hanging server and a statement_timeout');
like($session->{stderr}, qr/canceling statement due to statement timeout/, 'that ends the statement');
$session->{stderr} = '';
$redis->resume;
$session->query(q{RESET statement_timeout});
is($session->query($get =~ s/ORDER BY i\)/ORDER BY i DESC)/r =~ s/generate_series\(1, 3\)/generate_series(3, 1, -1)/r), '3,2,1',
    'the answers, late, are not taken for those of other questions');
is(redis_state($node, 'failures'), $failures, 'an interrupt is no failure');

# A connection that the server has closed while nothing was under way.
my ($newest) = sort { $b <=> $a } $redis->cli('CLIENT', 'LIST') =~ /^id=(\d+) .*name=apibase /mg;
my $connections = redis_state($node, 'connections');
is($redis->cli('CLIENT', 'KILL', 'ID', $newest), 1, 'the server closes a connection');
is($session->query($get), '1,2,3', 'the next call does not suffer');
is(redis_state($node, "failures - $failures, connections - $connections"), '0|1', 'and is no failure, on a connection of its own');

set_conf($node, 'apibase.redis_breaker_failures' => 1000000);

# Nonsense without end does not fill the memory, failures leave nothing open.
sub status_of
{
    my ($pid, $name) = @_;
    return slurp_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m ? $1 : die "no $name";
}

# What a server says that cannot serve is a failure as well; what anybody says who cannot ask is not.
for my $code (qw(LOADING MASTERDOWN NOAUTH WRONGPASS DENIED NOPERM CLUSTERDOWN OOM MISCONF NOREPLICAS TRYAGAIN BUSY))
{
    for my $connected ('connected', 'not connected')
    {
        $proxy->mode('pass');
        $session->query("SELECT apibase.cache_get('r:none')");
        if ($connected ne 'connected')
        {
            $proxy->mode('cut');
            $session->query("SELECT apibase.cache_get('r:none')");
        }
        $proxy->mode("-$code for a reason");
        $failures = redis_state($node, 'failures');
        is($session->query($get), '', "$code, $connected");
        # in three calls
        like(redis_state($node, "failures - $failures, last_error"), qr/^3\|127.0.0.1:\d+: $code for a reason$/, 'is a failure');
    }
}
$proxy->mode('pass');
$session->query("SELECT apibase.cache_get('r:none')");
$proxy->mode('-ERR unknown command');
$failures = redis_state($node, 'failures');
is($session->query($get), '', 'another error');
is(redis_state($node, "failures - $failures"), 0, 'is none');
$proxy->mode('cut');
$session->query("SELECT apibase.cache_get('r:none')");
$proxy->mode('-ERR max number of clients reached');
$session->query("SELECT apibase.cache_get('r:none')");
like(redis_state($node, "failures - $failures, last_error"), qr/^2\|127.0.0.1:\d+: ERR max number of clients reached$/,
    'except when it meets who logs in');
$proxy->mode('pass');

# What every failure leaves behind, of files and of memory.  A sanitizer keeps memory that was freed.
my $sanitizer = `pg_config --configure --cflags` =~ /fsanitize/;

sub cmp_memory
{
    my ($taken, $most, $what) = @_;
  SKIP:
    {
        skip "$what: a sanitizer keeps it", 1 if $sanitizer;
        cmp_ok($taken, '<', $most, $what);
    }
    return;
}

my $pid = $session->query('SELECT pg_backend_pid()');
for my $mode (qw(huge wide))
{
    my $peak = status_of($pid, 'VmHWM');
    $proxy->mode($mode);
    is($session->query($get), '', "an answer that is $mode is a failure");
    cmp_memory(status_of($pid, 'VmHWM') - $peak, 40 * 1024, 'and takes no more memory than it is worth');
    $proxy->mode('pass');
}
my $loop = q{DO $$ BEGIN FOR i IN 1..300 LOOP PERFORM apibase.cache_get('r:none'); END LOOP; END $$};
for my $mode (qw(garbage cut echo close))
{
    $proxy->mode($mode);
    $session->query($loop);
    my @files = glob "/proc/$pid/fd/*";
    my $size = status_of($pid, 'VmRSS');
    $failures = redis_state($node, 'failures');
    $session->query($loop) for 1 .. 3;
    cmp_ok(redis_state($node, "failures - $failures"), '>=', 900, "$mode: hundreds of failures");
    my $error = redis_state($node, 'last_error');
    like($error, qr/AUTH \$\d+ \*\*\* |no answer in time/, 'a server that says the password is not quoted') if $mode eq 'echo';
    $everything .= $error;
    my @files_now = glob "/proc/$pid/fd/*";
    cmp_ok(scalar(@files_now), '<=', @files + 1, 'leave no file open');
    cmp_memory(status_of($pid, 'VmRSS') - $size, 1024, 'and no memory taken');
}
$proxy->mode('pass');
$session->query("SELECT apibase.cache_get('r:none')");
is(redis_state($node, 'breaker, failures_in_a_row'), 'closed|0', 'still closed, as configured');
$everything .= $session->{stderr};
$session->quit;
set_conf($node, 'apibase.redis_breaker_failures' => 5,
    'apibase.redis_connect_timeout' => '500ms', 'apibase.redis_command_timeout' => '300ms');
go_on($worker);

cmp_ok(logged($warnings), '<=', $logged + 1, 'of thousands of failures on one day, one at most was logged');

# ---- the faults, with the worker ----

# 30 pairs of calls in one session while Redis has a fault: no error, and what is got is right or nothing.
my $number = 0;

sub suffer
{
    my ($what) = @_;
    my $wrong = '';
    for (1 .. 3)
    {
        $number++;
        my ($status, $out, $err) = sql("SELECT apibase.cache_set('r:s', '$number'); SELECT apibase.cache_get('r:s');
            SELECT apibase.cache_get('r:old' || i) FROM generate_series(1, 10) i");
        $wrong .= "$err" if $status != 0;
        my (undef, $value, @old) = split /\n/, $out, -1;
        $wrong .= "got $value for $number\n" if $value ne '' && $value ne $number;
        $wrong .= "got $_ for old\n" for grep { $_ ne '' && $_ ne '"old"' } @old;
    }
    is($wrong, '', "$what: callers get what is right, or nothing");
    return;
}

# A fault from its begin to its end.
sub fault
{
    my ($what, $error, $begin, $end) = @_;
    wait_usable($node, "before: $what");
    sql(q{SELECT apibase.cache_set('r:old' || i, '"old"') FROM generate_series(1, 10) i});
    my $failures = redis_state($node, 'failures');
    $begin->();
    suffer($what);
    wait_until("$what: the breaker opens", sub {
        sql("SELECT apibase.cache_get('r:none')");
        redis_state($node, 'breaker') eq 'open'
    });
    cmp_ok(redis_state($node, 'failures'), '>=', $failures + 5, "$what: the breaker opens after as many failures as configured");
    like(redis_state($node, 'last_error'), $error, "$what: the view tells what is wrong");

    my ($commands, $skipped) = split /\|/, redis_state($node, 'commands, skipped');
    suffer("$what, open");
    my ($now, $skips) = split /\|/, redis_state($node, 'commands, skipped');
    is($now, $commands, "$what: no call is tried any more");
    cmp_ok($skips, '>', $skipped, "$what: calls are skipped");

    $end->();
    shift_clock($node, $hour + 1);
    wait_until("$what: the breaker closes", sub { is_usable($node) && redis_state($node, 'breaker') eq 'closed' });
    suffer("$what, after");
    return;
}

my $pass = sub { $proxy->mode('pass') };
fault('absent', qr/Connection refused/, sub { $proxy->stop }, sub { $proxy->start });
my %modes = (
    hang => qr/no answer in time/,
    drip => qr/no answer in time/,
    close => qr/closed the connection|reset by peer/,
    garbage => qr/Protocol error/,
    '-LOADING Redis is loading the dataset in memory' => qr/: LOADING Redis/,
    '-MISCONF Redis is configured to save' => qr/: MISCONF Redis/,
);
for my $mode (sort keys %modes)
{
    fault($mode, $modes{$mode}, sub { $proxy->mode($mode) }, $pass);
}
fault('stopped', qr/no answer in time/, sub { $redis->pause }, sub { $redis->resume });
fault('killed', qr/closed the connection|reset by peer|refused/, sub { $redis->stop('KILL') }, sub { $redis->start });
fault('another password', qr/WRONGPASS/,
    sub { $redis->cli('CONFIG', 'SET', 'requirepass', 'another'); $redis->{password} = 'another'; $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal') },
    sub { $redis->cli('CONFIG', 'SET', 'requirepass', $password); $redis->{password} = $password });
my $other = start_redis(password => $password);
fault('a replica', qr/the server is a replica|READONLY|closed the connection/,
    sub { $redis->cli('REPLICAOF', '127.0.0.1', $other->port); $redis->cli('CLIENT', 'KILL', 'TYPE', 'normal') },
    sub { $redis->cli('REPLICAOF', 'NO', 'ONE') });
# Out of memory is not absent: what is there is served.
wait_usable($node, 'before: out of memory');
sql(q{SELECT apibase.cache_set('r:old' || i, '"old"') FROM generate_series(1, 10) i});
$failures = redis_state($node, 'failures');
$redis->cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
$redis->cli('CONFIG', 'SET', 'maxmemory', 1);
wait_until('out of memory is a failure, which the view tells', sub {
    sql("SELECT apibase.cache_set('r:s', '0')");
    redis_state($node, "failures > $failures AND last_error ~ 'OOM'") eq 't'
});
suffer('out of memory');
$redis->cli('CONFIG', 'SET', 'maxmemory', 0);
shift_clock($node, $hour + 1);
wait_usable($node, 'after: out of memory');

# A master that becomes a replica without closing connections.
$failures = redis_state($node, 'failures');
$redis->cli('REPLICAOF', '127.0.0.1', $other->port);
wait_until('a replica that keeps connections is noticed', sub {
    sql("SELECT apibase.cache_set('r:s', '0')");
    redis_state($node, "failures > $failures AND last_error ~ 'READONLY|the server is a replica'") eq 't'
});
suffer('a replica that keeps connections');
$redis->cli('REPLICAOF', 'NO', 'ONE');
shift_clock($node, $hour + 1);
wait_usable($node, 'after: a replica that keeps connections');

# Restarts under load: each session has keys of its own, and gets from level 2 what it has put there last, or nothing.
set_conf($node, 'apibase.redis_breaker_recovery' => '100ms');
my $load = q{DO $$
    DECLARE hits int := 0; got jsonb; i int := 0; until timestamptz := clock_timestamp() + interval '6 s';
    BEGIN
        WHILE clock_timestamp() < until LOOP
            i := i + 1;
            PERFORM apibase.cache_set('r:load' || pg_backend_pid() || i % 10, to_jsonb(i));
            got := apibase.cache_get('r:load' || pg_backend_pid() || i % 10);
            IF got <> to_jsonb(i) THEN RAISE EXCEPTION 'got % for %', got, i; END IF;
            hits := hits + (got IS NOT NULL)::int;
        END LOOP;
        RAISE NOTICE 'hits: %', hits > 0;
    END $$};
my @load;
for my $i (0 .. 2)
{
    $load[$i]{err} = '';
    $load[$i]{psql} = IPC::Run::start([ 'psql', '-XAtqd', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-c', $load ],
        '>', \$load[$i]{out}, '2>', \$load[$i]{err});
}
for my $signal (qw(KILL TERM KILL))
{
    sleep 1;
    $redis->stop($signal);
    sleep 0.3;
    $redis->start;
}
for my $session (@load)
{
    ok($session->{psql}->finish, 'restarts under load: a session goes on') or diag($session->{err});
    like($session->{err}, qr/hits: t/, 'with right values');
    $everything .= $session->{err};
}
wait_usable($node, 'after restarts under load');

# ---- warnings, and the password ----

is(redis_state($node, "last_error !~ '$password'"), 't', 'the password is not in the view');
unlike($everything, qr/$password/, 'nor in anything that was told to a session');
unlike(slurp_file($node->logfile), qr/$password/, 'nor in the log');
unlike(sql('SELECT * FROM apibase.cache_redis') . sql('SHOW ALL'), qr/$password/, 'nor in what a superuser is shown');

$node->stop;
done_testing();
