"""What every estimator keeps to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memreg.exchange.incoming import From, bring_in, from_outside
from memreg.exchange.outside import Brought, Outside, outside
from memreg.registry import Registry, StoredCell
from memreg.scoring.by_name import SCORED, scores_by
from memreg.studies.progress import Silent

K, N, TESTS = 40, 30, 10
ORDER = np.random.default_rng(1).permutation(N)
"""Another order of the examples."""


class EstimatorSuite:
    """Set `name`, as `estimator=` has it, or say in `estimate` how it is called."""

    name: str

    def estimate(self, cell: StoredCell) -> pd.DataFrame:
        """A row per training example."""
        return scores_by(self.name, cell)

    @pytest.fixture(scope="class")
    def cells(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredCell]:
        """A cell of 40 members; the same in another order of members, and in another order of examples. No
        member leaves out its example 0."""
        directory = tmp_path_factory.mktemp("estimator")
        rng = np.random.default_rng(0)
        included = rng.random((K, N)) < 0.6
        included[:, 0] = True
        right = rng.random((K, N + TESTS)) < np.linspace(0.2, 0.9, N + TESTS)
        right[:, :N] |= included
        members, columns = rng.permutation(K), np.concatenate([ORDER, N + np.arange(TESTS)])
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)
            return {
                "plain": _stored(directory, "plain", included, right),
                "members": _stored(directory, "members", included[members], right[members]),
                "examples": _stored(directory, "examples", included[:, ORDER], right[:, columns]),
            }

    def test_a_row_per_example_with_an_interval(self, cells: dict[str, StoredCell]) -> None:
        table = self.estimate(cells["plain"])
        assert len(table) == N
        assert set(SCORED) <= set(table)
        known = table.dropna(subset=["score"])
        assert len(known)
        assert known["score"].between(-1, 1).all()
        assert (known["low"] <= known["score"] + 1e-9).all()
        assert (known["score"] <= known["high"] + 1e-9).all()
        assert (known["standard_error"] >= 0).all()

    def test_what_no_member_leaves_out_has_no_score(self, cells: dict[str, StoredCell]) -> None:
        assert np.isnan(self.estimate(cells["plain"])["score"].iloc[0])

    def test_the_order_of_members_does_not_matter(self, cells: dict[str, StoredCell]) -> None:
        a, b = (self.estimate(cells[name])[list(SCORED)] for name in ("plain", "members"))
        assert np.allclose(a, b, equal_nan=True, atol=1e-9)

    def test_the_order_of_examples_is_that_of_the_rows(self, cells: dict[str, StoredCell]) -> None:
        a, b = (self.estimate(cells[name])[list(SCORED)] for name in ("plain", "examples"))
        assert np.allclose(a.iloc[ORDER], b, equal_nan=True, atol=1e-9)


def _stored(directory: Path, name: str, included: np.ndarray, right: np.ndarray) -> StoredCell:
    p = np.where(right, 0.8, 0.1)
    labels = np.arange(N + TESTS) % 3
    found: Outside = outside(directory / name, Brought(included, right, labels, p_label=p, p_max=p))
    uri = f"sqlite:///{directory}/mlflow.db"
    bring_in([from_outside(found, name, {"model": "simulated"})], From(name, "suite", ""), Silent(), uri)
    registry = Registry(uri)
    return registry.cell(registry.cells(name)["cell"].iloc[0])
