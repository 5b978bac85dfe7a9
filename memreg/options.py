"""Command-line options that entry points and commands share, and how both end on bad input."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from memreg import interruption
from memreg.careful_yaml import load
from memreg.errors import MemregError
from memreg.grid import DESIGN_KEYS
from memreg.recipe import Recipe
from memreg.show import plain_text

F = TypeVar("F", bound=Callable[..., Any])


class Maybe(click.ParamType[Any]):
    """A value, or nothing when the text is empty: MLproject passes '' for a parameter not given."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner, self.name = inner, inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else self.inner.convert(value, param, ctx)


TEXT, COUNT = Maybe(click.STRING), Maybe(click.IntRange(min=1))
SEED = Maybe(click.IntRange(min=0, max=2**32 - 1))
SHARE = Maybe(click.FloatRange(min=0, max=1, min_open=True))
POINTS = Maybe(click.FloatRange(min=0, max=100, min_open=True))
GPUS = Maybe(click.FloatRange(min=0))
SECONDS = Maybe(click.FloatRange(min=0))
PATH = Maybe(click.Path(path_type=Path))

RESOURCES = (
    click.option("--engine", type=TEXT, help="Where members run: local or ray; default local."),
    click.option("--workers", type=COUNT, help="Processes; default: as many as cores."),
    click.option("--threads", type=COUNT, help="Torch threads of each process; default 1."),
    click.option("--device", type=TEXT, help="auto, cpu, cuda or cuda:N; default auto."),
    click.option("--loader", type=TEXT, help="What reads images: memory or ffcv; default memory."),
    click.option("--gpus", type=GPUS, help="Of engine ray: a member's share of a GPU; default none."),
    click.option("--wait", type=SECONDS, help="Seconds, for cells others are at work on; default: stop."),
    click.option("--data-dir", type=PATH, help="Default: MEMREG_DATA_DIR, else ./data."),
)
TRACKING = click.option(
    "--tracking-uri", type=TEXT, help="Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db."
)


def resource_options(f: F) -> F:
    """--engine, --workers, --threads, --device, --loader, --gpus, --wait, --data-dir."""
    for option in reversed(RESOURCES):
        f = option(f)
    return f


def cell_options(f: F) -> F:
    """Every field of a recipe and of a design, by its name."""
    return _texts(f, (*Recipe.model_fields, *DESIGN_KEYS))


def recipe_options(f: F) -> F:
    """Every field of a recipe but the model."""
    return _texts(f, tuple(name for name in Recipe.model_fields if name != "model"))


def _texts(f: F, names: Sequence[str]) -> F:
    for name in reversed(names):
        f = click.option(f"--{name.replace('_', '-')}", name, type=TEXT)(f)
    return f


CELL_FIELDS = ("dataset", *Recipe.model_fields, *DESIGN_KEYS)


def given(values: dict[str, Any], names: Sequence[str] = CELL_FIELDS) -> dict[str, Any]:
    """The cell fields among a command's values that were given, read as YAML reads them."""
    return {
        key: value if key in ("dataset", "model", "neighbours") else _yaml(key, value)
        for key, value in values.items()
        if key in names and value is not None
    }


def _yaml(key: str, text: str) -> Any:
    try:
        return load(text, key)
    except MemregError as error:
        if " is not YAML" in str(
            error
        ):  # a date that is none, brackets without end: whoever checks it says so
            return text
        raise


def run(command: click.Command) -> NoReturn:
    """Run a command as a program: bad input is one line on stderr and exit status 2.

    SIGTERM is answered like Ctrl-C.
    """
    interruption.listen()
    plain_text.adapt()
    warnings.filterwarnings("ignore", module="mlflow")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs what it then raises
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except MemregError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        print("interrupted: what was trained is kept, the same command goes on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from memreg.registry.connection import masked, outage

        if why := outage(error):
            _fail(str(why))
        print(masked(traceback.format_exc()), file=sys.stderr, end="")
        sys.exit(1)
    sys.exit(0)


def _fail(message: str) -> NoReturn:
    print(f"memreg: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
