"""The one rule for a score at or above a threshold."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from parts import ROOT

from memreg.estimators.threshold import THRESHOLDS, reaches

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, COUNTS)
def test_counts_reach_the_thresholds_that_their_exact_score_reaches(one, zero):
    """In float64; scores of float32, which replicates have, are told apart down to a millionth."""
    exact = Fraction(*one) - Fraction(*zero)
    score = np.array([one[0] / one[1] - zero[0] / zero[1]])
    for threshold in THRESHOLDS:
        right = exact >= Fraction(round(100 * threshold), 100)
        assert reaches(score, threshold)[0] == right
        if abs(float(exact) - threshold) > 1e-6 or exact == Fraction(round(100 * threshold), 100):
            assert reaches(score.astype(np.float32), threshold)[0] == right


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_score_that_is_exactly_the_threshold_reaches_it(k, n):
    """As 17/20 - 2/20 for 0.75, which floats put below it or not."""
    for threshold in THRESHOLDS:
        steps = round(20 * threshold)
        for low in range(21 - steps):
            score = np.array([(low + steps) * k / (20 * k) - low * n / (20 * n)])
            assert reaches(score, threshold)[0]
            assert not reaches(score - 1e-9, threshold)[0]


def test_no_score_reaches_anything_where_there_is_none():
    assert not reaches(np.array([np.nan]), -1.0)[0]


def test_nothing_else_compares_scores_with_a_threshold():
    """A comparison that forgives a little is written in one place."""
    forgiving = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "memreg").rglob("*.py")
        for line in Path(path).read_text().splitlines()
        if ">= t" in line and ("1e-" in line or "eps" in line)
    ]
    assert [text.partition(":")[0] for text in forgiving] == ["threshold.py"]
