"""The source files of a user's code: the one that is named, and those of theirs that it imports."""

import ast
import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

NOT_THEIRS = ("site-packages", "dist-packages")
"""Folders of libraries."""


def sources(module: str, path: Path) -> list[Path]:
    """The file of a module and, sorted, those below the same directory that it imports, wherever in the file
    and through others.

    Modules are found on the path, without running any; those of libraries and of memreg are none of it.
    """
    path = path.resolve()
    depth = module.count(".") + (path.name == "__init__.py")
    root, found, waiting = path.parents[depth], {path}, [(module, path)]
    while waiting:
        for name in _imported(*waiting.pop()):
            file = _file(name)
            if file is None or file in found or name.partition(".")[0] == "memreg":
                continue
            if not file.is_relative_to(root) or {*NOT_THEIRS} & {*file.relative_to(root).parts}:
                continue
            found.add(file)
            waiting.append((name, file))
    return [path, *sorted(found - {path})]


def _imported(module: str, path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports; of `from a import b` both a and a.b, if it is one."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            with contextlib.suppress(ImportError):
                base = importlib.util.resolve_name(base, package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))  # packages run too


def _file(name: str) -> Path | None:
    """The source file of a module, without importing more than the packages that it is in."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    if found is None or not found.has_location or not (found.origin or "").endswith(".py"):
        return None
    return Path(str(found.origin)).resolve()
