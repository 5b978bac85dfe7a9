"""Random streams that depend on their keys alone: not on the machine, the order of calls or NumPy's version.

Only `BitGenerator.random_raw` and `SeedSequence` are used, whose streams NumPy guarantees.
"""

import numpy as np
from numpy.typing import NDArray


def order(n: int, *keys: int) -> NDArray[np.int64]:
    """A uniformly random permutation of 0..n-1, shape [n], fixed by `keys`."""
    raw = np.random.Philox(np.random.SeedSequence(keys)).random_raw(n)
    return np.argsort(raw, kind="stable").astype(np.int64)


def seed(*keys: int) -> int:
    """A 63-bit seed fixed by `keys`."""
    return int(np.random.SeedSequence(keys).generate_state(1, np.uint64)[0] >> np.uint64(1))
