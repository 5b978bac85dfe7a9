"""How much of a correlation is arithmetic, over simulated grids."""

import numpy as np
import pytest

from memreg.estimators.identity import identity


def test_identity_of_a_score_that_is_nothing_else():
    rng = np.random.default_rng(4)
    test = np.linspace(0.6, 0.95, 19)
    included = 0.98 + 0.02 * rng.random(19)
    excluded = test + 0.01 * rng.normal(size=19)
    what = identity(test, included - excluded, included, exact=True)
    assert what.arithmetic.r < -0.98
    assert what.explained > 0.98
    assert what.remainder.r == pytest.approx(np.corrcoef(test, test - excluded)[0, 1])
    assert what.arithmetic_slope
    unrelated = identity(test, rng.random(19), included)
    assert unrelated.explained < 0.3


def test_a_line_of_another_slope_is_not_arithmetic():
    rng = np.random.default_rng(4)
    test, included = np.linspace(0.6, 0.95, 19), 0.98 + 0.02 * rng.random(19)
    arithmetic = included - test
    for slope, threshold, possible in (
        (-4.9, 0.25, False),
        (2.6, 0.25, True),
        (2.6, 1, False),
        (0.1, 1, False),
    ):
        what = identity(test, slope * arithmetic + 0.002 * rng.normal(size=19), included, threshold=threshold)
        assert what.explained > 0.9
        assert what.slope == pytest.approx(slope, abs=0.05)
        assert what.arithmetic_slope == possible, slope
