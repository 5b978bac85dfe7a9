"""Margins: a label's log odds from logits, as stored, and what a stored probability tells of them.

`p_label` in float16 is 1 from log odds of about 8.3: the tails, in which easy examples differ, are lost. A
margin keeps them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAREST = 2.0**-12
"""To 0 and 1 that a stored probability is taken to be: half of what float16 resolves below 1."""
MOST = 65_000.0
"""Margins are held within it, in either direction: float16 has nothing above 65,504."""
BITS = 2
"""Of float16's ten binary digits behind the point, those that are rounded off. What is left errs by 1 part in
512, far less than members differ by, and takes an eighth less room."""


def stored(margin: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Margins as shards have them: float16, held within MOST and rounded by BITS; NaN stays."""
    held = np.clip(margin, -MOST, MOST).astype(np.float32)
    bits = held.view(np.uint32)
    dropped = 13 + BITS  # of float32's digits: at once, since to round twice errs by more
    rounded = (bits + np.uint32(1 << (dropped - 1))) & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    kept: NDArray[np.float16] = np.where(np.isnan(held), held, rounded.view(np.float32)).astype(np.float16)
    return kept


def probability(margin: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """The probability of the label, 1 / (1 + exp(-margin)), as `p_label` has it."""
    exact = np.asarray(margin, np.float32)
    with np.errstate(invalid="ignore"):  # of members that diverged
        return np.exp(-np.logaddexp(np.float32(0), -exact)).astype(np.float16)


def clipped(p_label: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Margins as far as stored probabilities tell: log(p / (1 - p)), p held NEAREST away from 0 and 1."""
    from scipy.special import logit

    margin: NDArray[np.float64] = logit(np.clip(p_label.astype(np.float64), NEAREST, 1 - NEAREST))
    return margin
