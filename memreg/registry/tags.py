"""The tag `memreg.cells`: of which cells an analysis is."""

from collections.abc import Iterable, Mapping

KEY = "memreg.cells"
MOST = 75
"""Hashes that one tag names: MLflow keeps 5,000 characters of a tag."""


def cells_tags(hashes: Iterable[str]) -> dict[str, str]:
    """The cells' hashes as tags: `memreg.cells`, and for more than 75 cells also `memreg.cells.1`, ..."""
    once = list(dict.fromkeys(hashes))
    parts = [once[i : i + MOST] for i in range(0, len(once), MOST)] or [[]]
    return {KEY if not i else f"{KEY}.{i}": ",".join(part) for i, part in enumerate(parts)}


def tagged_cells(tags: Mapping[str, str]) -> set[str]:
    """The hashes that a run's tags name."""
    texts = [text for key, text in tags.items() if key == KEY or key.startswith(f"{KEY}.")]
    return {hash_ for text in texts for hash_ in text.split(",") if hash_}
