# dump.pl: a database with specifications in every place that keeps one is dumped and restored, as text and in the custom
# format. The second database says and does what the first one does, and its dump is the same.
use strict;
use warnings;

use lib 'test/tap', 'test/upgrade';
use Dump qw(dump_of restore);
use Stored qw(start_node fill answers);

use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('dump');
fill($node, 'first');
my $answers = answers($node, 'first');
my $dump = dump_of($node, 'first');

# Guards of this test: what it compares has in it what it is about.
like($answers, qr/^2\|.*price between 20 and 30\.5/m, 'the answers show specifications');
like($answers, qr/ERROR:.*price_is_sane/, 'and errors');
like($answers, qr/ERROR:.*too dear/, 'of the trigger as well');
like($answers, qr/ERROR:.*shallow_check/, 'and of the domain');
like($answers, qr/Index Cond|Bitmap/, 'and plans');

for my $format (qw(plain custom))
{
    restore($node, 'first', $format);
    $node->safe_psql($format, 'ANALYZE');
    is(answers($node, $format), $answers, "the same answers, $format");
    is(dump_of($node, $format), $dump, "the same dump, $format");
}

$node->stop;
done_testing();
