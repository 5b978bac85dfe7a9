"""Files below the folders of classes: each directory once, without what systems and editors leave behind."""

import os
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from memreg.wording import counted

SYSTEM = frozenset(
    {
        "__macosx",
        "__pycache__",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "icon\r",
        "memreg-cache",
        "mlruns",
    }
)
"""Names, in lower case, beside those that begin with a dot; the last two are what memreg itself leaves."""

Class = tuple[str, str]
"""Part (`train`, `test`, `val`, or "" where there are no parts) and folder in it."""


class Tree:
    """Below `root`, the files that end in one of `extensions`, in lower or upper case, by class."""

    def __init__(self, root: Path, extensions: tuple[str, ...]) -> None:
        self.root = root
        self.files: dict[Class, list[str]] = {}
        """Paths relative to root."""
        self.skipped: Counter[str] = Counter()
        """Of other files, how many have each extension."""
        self._extensions = extensions
        self._owner: dict[tuple[int, int], Class] = {}
        self._links: deque[tuple[Class, str]] = deque()

    def folders(self, part: str) -> list[str]:
        """Sub-folders of a part, links included, sorted."""
        with os.scandir(self.root / part) as entries:
            return sorted(e.name for e in entries if not is_system(e.name) and e.is_dir())

    def walk(self, classes: Sequence[Class]) -> None:
        """Fill `files` and `skipped`.

        A directory to which several classes lead belongs to the one that holds it rather than links to it,
        else to the first.
        """
        for part in dict.fromkeys(part for part, _ in classes):
            self._claim(str(self.root / part), (part, ""))  # a link back to it leads to nothing new
        linked = [kind for kind in classes if (self.root / kind[0] / kind[1]).is_symlink()]
        for kind in [*(kind for kind in classes if kind not in linked), *linked]:
            self._visit(kind, "/".join(filter(None, kind)))
        while self._links:
            kind, path = self._links.popleft()
            self._visit(kind, path)

    def other(self, part: str, kind: str) -> str:
        """Name the class that has this one's directory; "" where it has its own."""
        status = Path(self.root, part, kind).stat()
        owner = self._owner.get((status.st_dev, status.st_ino))
        if owner in (None, (part, kind)):
            return ""
        assert owner is not None
        return f": it is {'/'.join(owner).strip('/')} by a link, and a directory counts once"

    def _visit(self, kind: Class, path: str) -> None:
        """A directory and what it holds, links to directories last of all."""
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if not self._claim(f"{self.root}/{current}", kind):
                continue
            with os.scandir(f"{self.root}/{current}") as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    if is_system(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{current}/{entry.name}")
                    elif entry.is_symlink() and entry.is_dir():
                        self._links.append((kind, f"{current}/{entry.name}"))
                    elif entry.name.lower().endswith(self._extensions):
                        self.files.setdefault(kind, []).append(f"{current}/{entry.name}")
                    else:
                        self.skipped[Path(entry.name).suffix.lower() or "no extension"] += 1

    def _claim(self, path: str, kind: Class) -> bool:
        """Whether nobody has been in this directory."""
        status = Path(path).stat()
        key = (status.st_dev, status.st_ino)
        if key in self._owner:
            return False
        self._owner[key] = kind
        return True


def is_system(name: str) -> bool:
    """Whether an entry is hidden, or one that a system leaves behind."""
    return name.startswith(".") or name.lower() in SYSTEM


def in_words(skipped: Counter[str]) -> str:
    """`12 files (7 .txt, 5 .gif)`."""
    listed = ", ".join(f"{count} {extension}" for extension, count in skipped.most_common(5))
    more = f", {len(skipped) - 5} more kinds" if len(skipped) > 5 else ""
    total = skipped.total()
    return f"{counted(total, 'file')} ({listed}{more})"
