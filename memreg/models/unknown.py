"""What to say to a name that is none."""

from collections.abc import Iterable

from memreg.errors import MemregError
from memreg.parameters import did_you_mean


def unknown(name: str, names: Iterable[str], listing: str) -> MemregError:
    """One line with the name closest to `name`, and with where all of them are."""
    hint = f"{did_you_mean(name, names, '')} {listing}".strip()
    return MemregError(f"no model is named {name!r}: {hint}")
