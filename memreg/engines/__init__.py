"""Engines run members and yield their predictions as they finish. They differ in where, not in what."""

from collections.abc import Callable

from memreg.engines.job import Engine, Job, Resources
from memreg.engines.local import local
from memreg.errors import MemregError

ENGINES: dict[str, Callable[[], Engine]] = {"local": local}


def engine(name: str) -> Engine:
    """An engine by name, made ready in the background as far as that can be."""
    if name not in ENGINES:
        raise MemregError(f"unknown engine '{name}': one of {', '.join(ENGINES)}")
    return ENGINES[name]()


__all__ = ["ENGINES", "Engine", "Job", "Resources", "engine"]
