"""Suites of tests that authors of parts inherit; memreg's own parts are tested by them too. They need pytest.

Each is a class with tests: inherit it in a test file of yours, and say how your part is made.
"""

from memreg.testing.datasets import DatasetSuite
from memreg.testing.designs import DesignSuite
from memreg.testing.engines import EngineSuite
from memreg.testing.estimators import EstimatorSuite
from memreg.testing.models import ModelSuite
from memreg.testing.proxies import ProxySuite

__all__ = ["DatasetSuite", "DesignSuite", "EngineSuite", "EstimatorSuite", "ModelSuite", "ProxySuite"]
