# rediss://: TLS to Redis, where the hiredis of the build has it; otherwise it is refused, with the reason.

use strict;
use warnings;

use lib 'test/tap';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RedisServers qw(start_redis wait_until start_node set_conf redis_state wait_usable);
use Test::More;

my $node = start_node('tls', "apibase.redis_breaker_failures = 1000000\n");
my (undef, undef, $refused) = $node->psql('postgres', "ALTER SYSTEM SET apibase.redis_url = 'rediss://:Pa55word\@127.0.0.1:1'");
if ($refused)
{
    like($refused, qr/DETAIL:  This build has no TLS for Redis/, 'a build without TLS says so');
    unlike($refused, qr/Pa55word/, 'without the password');
    $node->stop;
    done_testing();
    exit 0;
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET apibase.redis_url');

# An authority, a certificate of 127.0.0.1 by it, and one of another host.
my $dir = PostgreSQL::Test::Utils::tempdir();

sub certificate
{
    my ($name, $host, @options) = @_;
    my (undef, $err) = run_command([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', 2, '-subj', "/CN=$name",
            '-keyout', "$dir/$name.key", '-out', "$dir/$name.crt", $host ? ('-addext', "subjectAltName=IP:$host") : (), @options ]);
    -s "$dir/$name.crt" or die "openssl: $err";
    return;
}
certificate('authority', undef);
certificate('right', '127.0.0.1', '-CA', "$dir/authority.crt", '-CAkey', "$dir/authority.key");
certificate('other', '192.0.2.1', '-CA', "$dir/authority.crt", '-CAkey', "$dir/authority.key");

my %servers = map {
    $_ => start_redis(password => 'Pa55word', 'tls-port' => PostgreSQL::Test::Cluster::get_free_port(),
        'tls-cert-file' => "$dir/$_.crt", 'tls-key-file' => "$dir/$_.key", 'tls-ca-cert-file' => "$dir/authority.crt",
        'tls-auth-clients' => 'no')
} qw(right other);
my %url = map { $_ => 'rediss://:Pa55word@127.0.0.1:' . $servers{$_}{options}{'tls-port'} } keys %servers;

set_conf($node, 'apibase.redis_url' => $url{right}, 'apibase.redis_tls_ca_file' => "$dir/authority.crt");
wait_usable($node, 'level 2 with TLS');
is(redis_state($node, 'failures'), 0, 'without a failure');
is($node->safe_psql('postgres', q{SELECT apibase.cache_set('r:big', to_jsonb(repeat('x', 1000000)))}), 't', 'a value of a megabyte');
is($node->safe_psql('postgres', q{SELECT length(apibase.cache_get('r:big') #>> '{}')}), 1000000, 'goes through');

set_conf($node, 'apibase.redis_url' => $url{other});
wait_until('a certificate of another host', sub { redis_state($node, 'last_error') =~ /address mismatch/i });
set_conf($node, 'apibase.redis_url' => $url{right}, 'apibase.redis_tls_ca_file' => '');
wait_until('an authority that nobody knows', sub { redis_state($node, 'last_error') =~ /certificate/i && redis_state($node, 'last_error') !~ /mismatch/ });
set_conf($node, 'apibase.redis_tls_ca_file' => "$dir/none.crt");
wait_until('a file that is not there', sub { redis_state($node, 'last_error') =~ /could not set up TLS/ });
set_conf($node, 'apibase.redis_url' => 'rediss://:Pa55word@' . $servers{right}->host);
set_conf($node, 'apibase.redis_tls_ca_file' => "$dir/authority.crt");
wait_until('a port without TLS', sub { redis_state($node, 'last_error') !~ /could not set up|certificate|mismatch/ });
set_conf($node, 'apibase.redis_url' => $url{right});
wait_usable($node, 'and again');
unlike(slurp_file($node->logfile), qr/Pa55word/, 'the password is not in the log');

$node->stop;
done_testing();
