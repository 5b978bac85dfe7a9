"""How many networks are pilots, and how many are of the design that these lay out."""

import pytest

from memreg.design import Candidates, Spread, Subsets
from memreg.scoring.designed import BLOCK, FEWEST, PILOT, PILOTS, R, split


@pytest.mark.parametrize(
    ("networks", "parts"),
    [(20, None), (40, None), (50, (30, 20)), (100, (40, 60)), (300, (40, 260)), (1000, (100, 900))],
)
def test_a_tenth_of_the_networks_are_pilots(networks, parts):
    assert split(networks) == parts


def test_both_kinds_are_whole_blocks_or_there_are_none():
    for networks in range(1, 2001):
        parts = split(networks)
        assert (parts is None) == (networks % 10 != 0 or networks < FEWEST + BLOCK)
        if parts is not None:
            pilots, rest = parts
            assert pilots + rest == networks
            assert pilots % PILOTS == rest % BLOCK == 0 < rest
            assert pilots >= FEWEST
            assert PILOT * networks - 0.5 <= pilots < max(FEWEST, PILOT * networks) + PILOTS + BLOCK


def test_blocks_of_the_designs_are_of_networks_that_are_whole_blocks():
    assert PILOTS % Subsets().folds == 0
    assert BLOCK % Spread(r=R["spread"]).folds == 0
    assert BLOCK % Candidates(r=R["candidates"], candidates=(0,)).folds == 0
