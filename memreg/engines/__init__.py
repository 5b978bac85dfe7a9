"""Engines run members and yield their predictions as they finish. They differ in where, not in what."""

from collections.abc import Callable

from memreg.engines.job import Engine, Job
from memreg.engines.local import local
from memreg.errors import MemregError
from memreg.resources import Resources


def ray(resources: Resources) -> Engine:
    """Ray's, imported when first asked for."""
    try:
        from memreg.engines.ray import connect
    except ImportError as error:
        raise MemregError(f"engine ray needs Ray ({error}): pip install -e '.[ray]'") from error
    return connect(resources)


ENGINES: dict[str, Callable[[Resources], Engine]] = {"local": local, "ray": ray}


def engine(name: str, resources: Resources) -> Engine:
    """An engine by name, made ready in the background as far as that can be.

    Raises `MemregError` where it cannot give what `resources` ask for.
    """
    if name not in ENGINES:
        raise MemregError(f"unknown engine '{name}': one of {', '.join(ENGINES)}")
    return ENGINES[name](resources)


__all__ = ["ENGINES", "Engine", "Job", "Resources", "engine"]
