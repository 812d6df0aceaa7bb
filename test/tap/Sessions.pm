# Sessions.pm - sessions for tests, those of background_psql, whose statements wait for something: one is started, and its
# result is asked for later.
package Sessions;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(start result_of);

# start SESSION, STATEMENT: returns while it runs.
sub start
{
    my ($session, $sql) = @_;
    $session->query_until(qr/started/, "\\echo started\n$sql;\n");
    return;
}

# result_of SESSION: what the statement that was started returns, or the message of its error; waits for it.
sub result_of
{
    my ($session) = @_;
    my $out = $session->query('');
    my ($error) = $session->{stderr} =~ /ERROR:  (.*)/;
    $session->{stderr} = '';
    return $error // $out;
}

1;
