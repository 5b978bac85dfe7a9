"""Stand-ins for scores by members that leave examples out."""

import numpy as np
import pytest
from parts import needs

from memreg.errors import MemregError
from memreg.exchange.incoming import From, bring_in, from_outside
from memreg.exchange.outside import Brought, outside
from memreg.registry import Registry
from memreg.scoring.proxies import chosen, excluded_accuracy, label_quality
from memreg.studies.progress import Silent

K, N = 30, 40


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Members that are wrong about example 3 unless they saw it, and sure of that."""
    directory = tmp_path_factory.mktemp("members")
    rng = np.random.default_rng(0)
    included = rng.random((K, N)) < 0.6
    right = np.ones((K, N + 10), bool)
    right[:, 3] = included[:, 3]
    p_max = rng.uniform(0.7, 0.99, (K, N + 10))
    p_label = np.where(right, p_max, rng.uniform(0.01, 0.2, (K, N + 10)))
    labels = np.arange(N + 10) % 4
    uri = f"sqlite:///{directory}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        found = outside(directory / "x", Brought(included, right, labels, p_label=p_label, p_max=p_max))
        bring_in([from_outside(found, "x", {"model": "m"})], From("x", "x", ""), Silent(), uri)
        stored = Registry(uri).cell(Registry(uri).cells("x")["cell"].iloc[0])
        return stored, included, p_label


def test_the_c_score_is_of_members_that_left_the_example_out(cell):
    stored, *_ = cell
    wrong = excluded_accuracy(stored)
    assert wrong[3] == 1
    assert (np.delete(wrong, 3) == 0).all()


def test_label_quality_is_the_mean_probability_by_those_members(cell):
    needs("cleanlab")
    stored, included, p_label = cell
    out = ~included
    mean = (np.float16(p_label[:, :N]).astype(float) * out).sum(0) / out.sum(0)
    assert np.allclose(label_quality(stored), 1 - mean, atol=2e-3)


def test_names_that_are_none_are_refused():
    with pytest.raises(MemregError, match=r"unknown proxy 'tracn'.*tracin"):
        chosen("aum,tracn")
    with pytest.raises(MemregError, match="name one or more"):
        chosen(" , ")
