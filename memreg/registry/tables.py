"""Tables that runs keep as Parquet artifacts."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa

from memreg.errors import MemregError

MEMBERS = "memreg.members"
"""Attribute of a table of scores: members, by hash, of each cell that it was computed from."""

PRIVACY, PRIVACY_QUERIES = "privacy", "privacy_queries"
"""What `scores-privacy.parquet` and `scores-privacy_queries.parquet` are called where estimators are named.
"""


def read_table(path: Path) -> pd.DataFrame:
    """Raises `MemregError` where the file is damaged, or no table."""
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise MemregError(
            f"{path}: damaged, or no Parquet file: put it back, or run the study again"
        ) from error


def scores_name(estimator: str | None) -> str:
    """The artifact that an estimator's scores are kept in; without one, Feldman & Zhang's.

    Of an estimator of the user's, `package.module:function`, it has `_` for what is no letter or digit.
    """
    return f"scores-{re.sub('[^A-Za-z0-9_]', '_', estimator)}.parquet" if estimator else "scores.parquet"
