"""What to say to a name that is none."""

import difflib
from collections.abc import Iterable

from memreg.errors import MemregError


def unknown(name: str, names: Iterable[str], listing: str) -> MemregError:
    """One line with the names closest to `name`, and with where all of them are."""
    close = difflib.get_close_matches(name, list(names))
    suggestion = f"did you mean {' or '.join(close)}? " if close else ""
    return MemregError(f"no model is named {name!r}: {suggestion}{listing}")
