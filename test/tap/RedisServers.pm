# RedisServers.pm - Redis for tests: servers, clusters and Sentinels on free ports of 127.0.0.1, a proxy that misbehaves, and
# a PostgreSQL whose cache has its second level there.  Whatever was started is ended with the test.
package RedisServers;

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(
    start_redis start_cluster start_sentinel start_proxy wait_until
    start_node set_conf redis_state is_usable wait_usable shift_clock stop_worker go_on);

my %running;    # process id => 1

END
{
    my $status = $?;
    for my $pid (keys %running)
    {
        kill 'CONT', $pid;
        kill 'KILL', $pid;
        waitpid($pid, 0);
    }
    $? = $status;
}

# wait_until WHAT, CODE: until the code returns true, for at most three minutes.
sub wait_until
{
    my ($what, $code) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        my $result = $code->();
        return $result if $result;
        sleep 0.05;
    }
    die "timed out: $what";
}

# ---- servers ----

# start_redis NAME => VALUE...: a server; the options are directives of redis.conf.  The directive "password" is requirepass.
sub start_redis
{
    my (%options) = @_;
    my $self = bless {
        port => PostgreSQL::Test::Cluster::get_free_port(),
        dir => PostgreSQL::Test::Utils::tempdir_short(),
        password => delete $options{password},
        options => \%options,
    };
    $self->{socket} = "$self->{dir}/redis.sock";
    return $self->start;
}

sub port { my ($self) = @_; return $self->{port} }
sub socket { my ($self) = @_; return $self->{socket} }
sub host { my ($self) = @_; return "127.0.0.1:$self->{port}" }

# Start it, again if it has been stopped, and wait until it answers.
sub start
{
    my ($self) = @_;
    my %options = (
        bind => '127.0.0.1', port => $self->{port}, unixsocket => $self->{socket}, dir => $self->{dir}, save => '',
        logfile => "$self->{dir}/log", daemonize => 'no', %{ $self->{options} });
    $options{requirepass} = $options{masterauth} = $self->{password} if defined $self->{password};

    # a file, for a Sentinel writes it
    my $conf = "$self->{dir}/redis.conf";
    if (!-e $conf)
    {
        my $text = join('', map { sprintf "%s %s\n", $_, $options{$_} eq '' ? '""' : $options{$_} } sort keys %options);
        append_to_file($conf, $text . ($self->{conf} // ''));
    }
    $self->{pid} = _spawn('redis-server', $conf, $self->{sentinel} ? '--sentinel' : ());
    wait_until("redis-server on port $self->{port} answers", sub { $self->cli('PING') =~ /PONG|LOADING|MASTERDOWN/ });
    return $self;
}

sub _spawn
{
    my (@command) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', '/dev/null');
        # no END blocks in here
        exec(@command) or POSIX::_exit(127);
    }
    $running{$pid} = 1;
    return $pid;
}

# End it: cleanly, or with the signal given.
sub stop
{
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return $self;
    kill 'CONT', $pid;
    kill $signal // 'TERM', $pid;
    waitpid($pid, 0);
    delete $running{$pid};
    return $self;
}

# Have it hang, and go on.
sub pause { my ($self) = @_; kill 'STOP', $self->{pid}; return }
sub resume { my ($self) = @_; kill 'CONT', $self->{pid}; return }

# cli WORD...: what redis-cli prints for a command.
sub cli
{
    my ($self, @words) = @_;
    # an empty password would be one, to redis-cli 8
    delete local $ENV{REDISCLI_AUTH};
    $ENV{REDISCLI_AUTH} = $self->{password} if defined $self->{password};
    my ($out, $err) = run_command([ 'redis-cli', '-h', '127.0.0.1', '-p', $self->{port}, @words ]);
    return $out . $err;
}

# One line of INFO.
sub info
{
    my ($self, $name) = @_;
    return $self->cli('INFO', 'everything') =~ /^\Q$name\E:(.*?)\r?$/m ? $1 : undef;
}

# ---- several ----

# start_cluster N, OPTION => VALUE...: a cluster of N masters, the slots divided evenly.
sub start_cluster
{
    my ($n, %options) = @_;
    my @nodes = map {
        start_redis('cluster-enabled' => 'yes', 'cluster-port' => PostgreSQL::Test::Cluster::get_free_port(),
            'cluster-node-timeout' => 2000, 'cluster-require-full-coverage' => 'no', %options)
    } 1 .. $n;
    for my $i (0 .. $n - 1)
    {
        my ($first, $last) = (int(16384 * $i / $n), int(16384 * ($i + 1) / $n) - 1);
        $nodes[$i]->cli('CLUSTER', 'ADDSLOTSRANGE', $first, $last) =~ /OK/ or die 'cannot assign slots';
        $nodes[$i]->cli('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
        $nodes[$i]->cli('CLUSTER', 'MEET', '127.0.0.1', $nodes[0]->port, $nodes[0]->{options}{'cluster-port'}) if $i > 0;
    }
    for my $node (@nodes)
    {
        wait_until('the cluster is formed', sub {
            my $info = $node->cli('CLUSTER', 'INFO');
            $info =~ /cluster_state:ok/ && $info =~ /cluster_slots_ok:16384/ && $info =~ /cluster_known_nodes:$n\b/
        });
    }
    return @nodes;
}

# start_sentinel NAME, MASTER: a Sentinel that watches a server and decides alone.
sub start_sentinel
{
    my ($name, $master) = @_;
    my $self = bless {
        port => PostgreSQL::Test::Cluster::get_free_port(),
        dir => PostgreSQL::Test::Utils::tempdir_short(),
        options => {},
        sentinel => 1,
    };
    $self->{socket} = "$self->{dir}/redis.sock";
    $self->{conf} = "sentinel monitor $name 127.0.0.1 $master->{port} 1\nsentinel down-after-milliseconds $name 500\n"
        . "sentinel failover-timeout $name 10000\n";
    $self->{conf} .= "sentinel auth-pass $name $master->{password}\n" if defined $master->{password};
    return $self->start;
}

# ---- PostgreSQL ----

# start_node NAME, CONF: a server with the extension, and a namespace "r" that is in level 2 only.
sub start_node
{
    my ($name, $conf) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init;
    # a statement that sets a password has it in its text
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'apibase'\nlog_min_error_statement = panic\nlog_statement = none\n$conf");
    $node->start;
    $node->safe_psql('postgres', q{
        CREATE EXTENSION apibase;
        INSERT INTO apibase.cache_namespaces (namespace, levels) VALUES ('r', '{2}')});
    return $node;
}

# set_conf NODE, NAME => VALUE...: as an operator does it, in the file; returns when new sessions see it.
my $reloads = 0;

sub set_conf
{
    my ($node, %settings) = @_;
    for my $name (keys %settings)
    {
        $node->adjust_conf('postgresql.conf', $name, undef);
        $node->append_conf('postgresql.conf', "$name = '$settings{$name}'");
    }
    # the last line of the file, so that all before it have been read
    $reloads++;
    $node->adjust_conf('postgresql.conf', 'redis_servers.reloads', undef);
    $node->append_conf('postgresql.conf', "redis_servers.reloads = $reloads");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT current_setting('redis_servers.reloads', true)", $reloads) or die 'no reload';
    return;
}

# One column of the view, or several.
sub redis_state
{
    my ($node, $columns) = @_;
    return $node->safe_psql('postgres', "SELECT $columns FROM apibase.cache_redis");
}

# Whether what is put into level 2 now comes out of it.
my $probes = 0;

sub is_usable
{
    my ($node) = @_;
    $probes++;
    $node->psql('postgres', "SELECT apibase.cache_set('r:probe', '$probes')");
    my ($status, $out) = $node->psql('postgres', "SELECT apibase.cache_get('r:probe')");
    return $status == 0 && $out eq $probes;
}

sub wait_usable
{
    my ($node, $what) = @_;
    wait_until($what, sub { is_usable($node) });
    pass($what);
    return;
}

# Let so much time pass, in addition to what has.
my $offset = 0;

sub shift_clock
{
    my ($node, $seconds) = @_;
    $offset += $seconds;
    $node->safe_psql('postgres', "SELECT apibase_internal.clock_set(make_interval(secs => $offset))");
    return;
}

# Stop the worker, so that only sessions talk to Redis; returns its process id, for go_on.
sub stop_worker
{
    my ($node) = @_;
    my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
    for my $dir (glob '/proc/[0-9]*')
    {
        my $stat = eval { slurp_file("$dir/stat") } // next;
        next unless $stat =~ /\) \S $postmaster /;
        my $args = eval { slurp_file("$dir/cmdline") } // next;
        next unless $args =~ /apibase cache/;
        my ($pid) = $dir =~ /(\d+)/;
        kill 'STOP', $pid;
        return $pid;
    }
    die 'there is no worker';
}

sub go_on { my ($pid) = @_; kill 'CONT', $pid; return }

# ---- the proxy ----

# start_proxy SERVER: between its clients and the server.  What it does to them:
#
#   pass       what a proxy does
#   hang       takes what clients send, and is silent
#   drip       a byte of an answer every 20 ms
#   cut        two bytes of an answer, then the end
#   close      the end of every connection as soon as it can, and of new ones
#   garbage    an answer that is none
#   echo       what the client has sent, as an error
#   huge       an answer that never ends, of a length that it says before
#   wide       an array of two milliards of elements
#   -...       this answer to everything
sub start_proxy
{
    my ($server) = @_;
    my $self = bless {
        port => PostgreSQL::Test::Cluster::get_free_port(),
        dir => PostgreSQL::Test::Utils::tempdir_short(),
        server => $server,
    }, 'RedisServers::Proxy';
    return $self->start;
}

package RedisServers::Proxy;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

sub port { my ($self) = @_; return $self->{port} }
sub host { my ($self) = @_; return "127.0.0.1:$self->{port}" }

sub start
{
    my ($self) = @_;
    $self->mode('pass');
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 64, ReuseAddr => 1) or die "proxy: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        eval { _serve($listener, $self->{server}->port, "$self->{dir}/mode") };
        print STDERR "proxy: $@" if $@;
        POSIX::_exit(1);
    }
    close $listener;
    $running{$pid} = 1;
    $self->{pid} = $pid;
    return $self;
}

# End it: connections are refused.
sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return $self;
    kill 'KILL', $pid;
    waitpid($pid, 0);
    delete $running{$pid};
    return $self;
}

# What to do from now on.
sub mode
{
    my ($self, $mode) = @_;
    my $file = "$self->{dir}/mode";
    open(my $fh, '>', "$file.new") or die "$file: $!";
    print $fh $mode;
    close $fh;
    rename("$file.new", $file) or die "$file: $!";
    return;
}

my (%other, %is_client, %queue);    # of the process of the proxy, by socket

sub _close_pair
{
    my ($select, $socket) = @_;
    my @ends = grep { defined } ($socket, $other{$socket});
    for my $end (@ends)
    {
        $select->remove($end);
        delete $_->{$end} for \%other, \%is_client, \%queue;
        close $end;
    }
    return;
}

# What a client has sent.
sub _from_client
{
    my ($select, $client, $data, $mode) = @_;
    my %answer = (
        garbage => "\x01\xff<html>no Redis</html>\r\n\r\n",
        echo => '-ERR ' . $data =~ s/[\r\n]+/ /gr . "\r\n",
        wide => "*2000000000\r\n",
    );
    if ($mode =~ /^(?:pass|drip|cut)$/) { syswrite($other{$client}, $data) }
    elsif (exists $answer{$mode}) { syswrite($client, $answer{$mode}) }
    elsif ($mode =~ /^-/)
    {
        # one to each command of a pipeline
        syswrite($client, "$mode\r\n" x (() = $data =~ /^\*\d/mg));
    }
    elsif ($mode eq 'huge')
    {
        my $chunk = 'x' x 65536;
        syswrite($client, "\$536870912\r\n");
        # until the client has had enough
        1 while syswrite($client, $chunk);
        _close_pair($select, $client);
    }
    return;
}

# What the server has sent.
sub _from_server
{
    my ($select, $server, $data, $mode) = @_;
    my $client = $other{$server};
    if ($mode eq 'drip') { $queue{$client} .= $data }
    elsif ($mode eq 'cut')
    {
        syswrite($client, substr($data, 0, 2));
        _close_pair($select, $client);
    }
    elsif ($mode eq 'pass') { syswrite($client, $data) }
    return;
}

sub _serve
{
    my ($listener, $port, $file) = @_;
    my $select = IO::Select->new($listener);
    local $SIG{PIPE} = 'IGNORE';
    while (1)
    {
        my @ready = $select->can_read(0.02);
        open(my $fh, '<', $file) or die "$file: $!";
        my $mode = <$fh>;
        close $fh;
        for my $socket (grep { defined fileno($_) } @ready)
        {
            if ($socket == $listener)
            {
                my $client = $listener->accept or next;
                my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
                if (!$server) { close $client; next }
                @other{ $client, $server } = ($server, $client);
                $is_client{$client} = 1;
                $select->add($client, $server);
                next;
            }
            if (!sysread($socket, my $data, 65536)) { _close_pair($select, $socket) }
            elsif ($is_client{$socket}) { _from_client($select, $socket, $data, $mode) }
            else { _from_server($select, $socket, $data, $mode) }
        }
        for my $client (grep { defined $other{$_} && $is_client{$_} } $select->handles)
        {
            if ($mode eq 'close') { _close_pair($select, $client) }
            elsif (length($queue{$client} // '')) { syswrite($client, substr($queue{$client}, 0, 1, '')) }
        }
    }
    return;
}

1;
