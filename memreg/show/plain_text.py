"""Output for terminals and files that cannot show every character: ">=" where there is no "≥"."""

import codecs
import sys
import unicodedata
from io import TextIOWrapper

NAME = "memreg.plain"
PLAIN = {
    "≥": ">=",
    "≤": "<=",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "±": "+-",
    "×": "x",
    "→": "->",
    "·": ".",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}


def plain(text: str) -> str:
    """Write a text in ASCII: as plain text where there is one, letters without accents, all else as "?"."""
    replaced = "".join(PLAIN.get(c, c) for c in text)
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode() or "?"


def adapt() -> None:
    """Let standard output and error write what their encoding has, and `plain` for the rest."""
    codecs.register_error(NAME, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=NAME)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(plain(c) for c in error.object[error.start : error.end]), error.end
