"""
laws.py: how a law is run: number of examples, seed, no deadlines, failures printed so that they can be repeated.
"""
import os
import random

from hypothesis import HealthCheck, seed, settings

EXAMPLES = int(os.environ.get('APIBASE_EXAMPLES', '1000'))
# in the environment also for the processes that pytest-xdist starts
os.environ.setdefault('APIBASE_SEED', str(random.SystemRandom().randrange(2 ** 32)))
SEED = int(os.environ['APIBASE_SEED'])

# examples are large on purpose, and the machine may be slow
UNCHECKED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def law(share=1.0):
    """Decorate a property test.  share: below 1 where one example is slow, or holds many."""
    def decorate(test):
        configured = settings(max_examples=max(1, int(EXAMPLES * share)), deadline=None, database=None, print_blob=True,
                              suppress_health_check=UNCHECKED)
        return seed(SEED)(configured(test))
    return decorate
