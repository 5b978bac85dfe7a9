"""Named data sets as uint8 arrays with a fingerprint."""

from memreg.data.dataset import Dataset
from memreg.data.loading import load, load_stored

__all__ = ["Dataset", "load", "load_stored"]
