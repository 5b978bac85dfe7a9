"""The source files of a user's code: the one that is named, and those of theirs that it imports."""

import ast
import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

LIBRARIES = {"site-packages", "dist-packages"}
"""Folders of libraries."""
NOT_THEIRS = {*sys.stdlib_module_names, "memreg"}
"""Modules that are no user's, wherever they lie."""


def sources(module: str, path: Path) -> list[Path]:
    """The file of a module and, sorted, those below the same directory that it imports, wherever in the file
    and through others.

    Modules are found on the path, and none is run. Those of libraries, of Python and of memreg are none of
    it, and of a module that a library has itself, its file is all. What cannot be parsed imports nothing.
    """
    depth = module.count(".") + (path.name == "__init__.py")
    root, path = path.absolute().parents[depth].resolve(), path.resolve()
    if LIBRARIES & {*path.parts}:
        return [path]
    found, waiting = {path}, [(module, path)]
    while waiting:
        for name, file in _imported(*waiting.pop()):
            if file not in found and file.is_relative_to(root) and not LIBRARIES & {*file.parts}:
                found.add(file)
                waiting.append((name, file))
    return [path, *sorted(found - {path})]


def _imported(module: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Names and files of the modules that a file imports, with the packages that they are in; of
    `from a import b` both a and a.b, if it is one."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
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
            yield from _files(name)


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """A module's source file and those of the packages that it is in, as far as there are any."""
    parts, search = name.split("."), None
    if parts[0] in NOT_THEIRS:
        return
    for i in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: i + 1]), search)
        if spec is None:
            return
        if spec.has_location and str(spec.origin).endswith(".py"):
            yield spec.name, Path(str(spec.origin)).resolve()
        if spec.submodule_search_locations is None:
            return
        search = spec.submodule_search_locations
