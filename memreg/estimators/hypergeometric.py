"""What chance alone gives when members are shuffled: the hypergeometric distribution's upper tail."""

import numpy as np
from scipy.special import gammaln

from memreg.estimators.counts import Floats, Numbers


def tail(both: Numbers, members: int, a: Numbers, b: Numbers) -> Floats:
    """Pr[X >= both], where X of all members have two properties that a and b of them have independently.

    Fisher's exact one-sided p-value, any shape, elementwise, for `both` above its mean a b / members: the
    probability of `both` itself, times 1 and the ratios of the probabilities beyond (scipy's takes
    10 us each at 4,000 members).
    """
    both, a, b = (np.asarray(x, np.float64) for x in np.broadcast_arrays(both, a, b))
    possible = both <= np.minimum(a, b)
    x = np.where(possible, both, np.minimum(a, b))
    term, total = np.ones(x.shape), np.ones(x.shape)
    first = np.exp(_log_choose(a, x) + _log_choose(members - a, b - x) - _log_choose(np.asarray(members), b))
    while term.max(initial=0) > 1e-15:
        term *= (a - x) * (b - x) / ((x + 1) * (members - a - b + x + 1))
        total += term
        x += 1
    found: Floats = np.where(possible, np.minimum(first * total, 1), 0)
    return found


def _log_choose(n: Numbers, k: Floats) -> Floats:
    found: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
