"""memreg's own parts, by the suites that authors of others inherit."""

import pytest
from parts import needs

from memreg.design import All, Fixed, LeaveGroupOut, LeaveOneOut, Named, Removal, Spread, Subsets
from memreg.models import names
from memreg.testing import DatasetSuite, DesignSuite, EngineSuite, EstimatorSuite, ModelSuite

DESIGNS = {
    "subsets": Subsets(r=0.7, seed=3),
    "subsets of version 1": Subsets(r=0.7, seed=3, version=1),
    "subsets, half": Subsets(r=0.5),
    "spread": Spread(r=0.9, neighbours=((0, 1), (5, 6, 7))),
    "leave one out": LeaveOneOut(targets=tuple(range(20))),
    "leave groups out": LeaveGroupOut(targets=tuple(range(20)), groups=5),
    "removal": Removal(pools=((1, (0, 1, 2)), (2, (4, 5)))),
    "all": All(),
    "fixed": Fixed(r=0.5),
}
EACH = ("subsets", "subsets of version 1", "subsets, half", "spread")
"""Those that leave out each example."""


@pytest.mark.parametrize("kind", DESIGNS)
class TestDesigns(DesignSuite):
    @pytest.fixture(autouse=True)
    def _made(self, kind):
        self.design, self.leaves_out_each = DESIGNS[kind], kind in EACH


SMALL = [name for name in names() if "-w" in name or "mi" in name]


@pytest.mark.parametrize("model", SMALL)
class TestModels(ModelSuite):
    @pytest.fixture(autouse=True)
    def _named(self, model):
        self.name = model
        self.image_shape = (3, 32, 32) if model.startswith("vgg6") else (1, 8, 8)


@pytest.mark.parametrize("dataset", ["digits", "digits+subset=50+noise=0.2", "digits+planted=1"])
class TestDatasets(DatasetSuite):
    @pytest.fixture(autouse=True)
    def _named(self, dataset):
        self.name = dataset


class TestLocal(EngineSuite):
    name = "local"


class TestRay(EngineSuite):
    name = "ray"

    @pytest.fixture(autouse=True)
    def _ray(self):
        needs("ray")
        yield
        import ray

        ray.shutdown()


@pytest.mark.parametrize("estimator", ["gaussian", "shrunk", "peers"])
class TestEstimators(EstimatorSuite):
    @pytest.fixture(autouse=True)
    def _named(self, estimator):
        self.name = estimator


def test_a_named_design_that_draws_anew_each_time_is_refused(tmp_path, monkeypatch):
    from memreg.errors import MemregError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "drawn_anew.py").write_text(
        "import numpy as np\ndef choose(n, seed, member): return np.random.random(n) < 0.5\n"
    )
    with pytest.raises(MemregError, match="two different masks"):
        Named(function="drawn_anew:choose").check(50)
