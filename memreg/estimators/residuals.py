"""What is left of a variable within groups of cells."""

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Floats


def residuals(v: Floats, groups: NDArray[np.int64]) -> Floats:
    """v less the mean of its group; v: [..., cells], groups: [cells] or the last axes of v's shape."""
    if groups.max() == 0:
        mean: Floats = v.mean(-1, keepdims=True)
        return v - mean
    member = (groups[..., None] == np.arange(groups.max() + 1)).astype(float)
    with np.errstate(invalid="ignore"):
        means = np.einsum("...c,...cg->...g", v, member) / member.sum(-2)
    own: Floats = np.einsum("...g,...cg->...c", np.nan_to_num(means), member)
    return v - own
