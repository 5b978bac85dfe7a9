"""Command-line options that entry points and commands share, and how both end on bad input."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from memreg import interruption, orphans
from memreg.careful_yaml import load
from memreg.errors import InterruptedStudy, MemregError
from memreg.failure import tell_run
from memreg.grid import DESIGN_KEYS
from memreg.parameters import Parameters, did_you_mean, first_error
from memreg.recipe import Recipe
from memreg.show import plain_text

F = TypeVar("F", bound=Callable[..., Any])
TRACKING = click.option("--tracking-uri", help="Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.")
CELL_FIELDS = (*Recipe.model_fields, *DESIGN_KEYS)
RECIPE_FIELDS = tuple(name for name in Recipe.model_fields if name != "model")
SETTINGS = {"token_normalize_func": lambda name: name.replace("_", "-")}
"""Of every command: `--batch_size`, as MLflow passes a parameter of that name, is `--batch-size`."""


def asking(*parts: type[Parameters], without: Sequence[str] = ()) -> Callable[[F], F]:
    """Give a command the fields of these as options, and call it with one of each, then with what is left.

    Whoever is wrong about a value is told so by the field's own validation. without: fields that the command
    has no use for.
    """
    names = {part: [name for name in part.model_fields if name not in without] for part in parts}

    def decorate(f: F) -> F:
        @wraps(f)
        def asked(**values: Any) -> None:
            given = {
                part: {name: value for name in own if (value := values.pop(name)) is not None}
                for part, own in names.items()
            }
            f(*(_made(part, own) for part, own in given.items()), **values)

        command: Any = asked
        for part, own in reversed(names.items()):
            for name in reversed(own):
                command = _option(name, part.model_fields[name])(command)
        return cast(F, command)

    return decorate


def fields_of(names: Sequence[str], required: bool = True) -> Callable[[F], F]:
    """Give a command these fields of a recipe and of a design as options, and the given ones as `fields`.

    required: whether the fields without a default must be given.
    """

    def decorate(f: F) -> F:
        @wraps(f)
        def with_fields(*args: Any, **values: Any) -> None:
            given = {name: values.pop(name) for name in names}
            f(*args, fields={k: _read(k, v) for k, v in given.items() if v is not None}, **values)

        command: Any = with_fields
        for name in reversed(names):
            known = Recipe.model_fields.get(name)
            command = _option(name, known, required)(command) if known else _design_option(name)(command)
        return cast(F, command)

    return decorate


def _option(name: str, field: FieldInfo, required: bool = True) -> Callable[[Any], Any]:
    text = " ".join((field.description or "").replace("`", "").split())
    if field.default not in (None, PydanticUndefined):
        text += f" [default: {field.default}]"
    alone: dict[str, Any] = {}
    if field.annotation is bool:  # `mlflow run` passes a value, people need not
        alone = {"is_flag": False, "flag_value": "true"}
    return click.option(
        f"--{name.replace('_', '-')}", name, help=text, required=required and field.is_required(), **alone
    )


def _design_option(name: str) -> Callable[[Any], Any]:
    return click.option(f"--{name.replace('_', '-')}", name, help=DESIGN_HELP[name])


DESIGN_HELP = {
    "design": "Which examples each network sees: subsets (the default), spread or all.",
    "design_seed": "Seed of the choice of examples, and of the members.",
    "design_version": "Version of the rule of design subsets: 1 grows cells of earlier versions of memreg.",
    "r": "Share of the training examples that a member sees.",
    "neighbours": "Examples that spread and candidates keep apart: as a cell's members tell, by their "
    "features where they have traced them, or FILE.json.",
    "candidates": "Examples that design candidates leaves out: top:K by scores of the cell that neighbours "
    "names, a file of indices, or FILE.json.",
    "audit": "Random other examples that are left out too, to say what is missed [default: 40].",
}


def _made(part: type[Parameters], values: dict[str, Any]) -> Parameters:
    try:
        return part(**values)
    except ValidationError as error:
        raise MemregError(first_error(error)) from error


def _read(key: str, text: str) -> Any:
    """A field's value, as a grid would have it."""
    if key in ("model", "neighbours", "candidates"):
        return text
    try:
        return load(text, key)
    except MemregError as error:
        if " is not YAML" in str(error):  # a date that is none, ...: whoever checks the field says so
            return text
        raise


def run(command: click.Command) -> NoReturn:
    """Run a command as a program: bad input is one line on stderr and exit status 2.

    SIGTERM is answered like Ctrl-C.
    """
    interruption.listen()
    orphans.watch()
    plain_text.adapt()
    warnings.filterwarnings("ignore", module="mlflow")
    warnings.showwarning = _say_warning
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs what it then raises
    try:
        command.main(standalone_mode=False)
    except click.NoSuchOption as error:
        hint = did_you_mean(error.option_name, _options_of(error), "--help lists all")
        _fail(f"there is no {error.option_name}: {hint}")
    except click.MissingParameter as error:
        named = error.param.name if error.param else ""
        hint = "; `memreg cells` lists cells and their studies" if named in ("cell", "study") else ""
        usage = error.ctx.get_usage() if error.ctx else ""
        _fail(f"{error.format_message()} {usage}{hint}")
    except click.ClickException as error:
        _fail(error.format_message())
    except MemregError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort) as error:  # click makes the one of the other
        kept = isinstance(error.__cause__, InterruptedStudy)
        hint = ": what was trained is kept; run the same command again to go on" if kept else ""
        print(f"interrupted{hint}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from memreg.registry.connection import masked, outage

        if why := outage(error):
            _fail(str(why))
        print(masked(traceback.format_exc()), file=sys.stderr, end="")
        tell_run(masked(f"{type(error).__name__}: {error}"))
        sys.exit(1)
    sys.exit(0)


def _options_of(error: click.NoSuchOption) -> list[str]:
    """All long options of the command; click itself offers only those that are spelled alike."""
    if error.ctx is None:
        return list(error.possibilities or ())
    return [opt for parameter in error.ctx.command.params for opt in parameter.opts if opt.startswith("--")]


def _say_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """memreg's own warnings are a line each; those of libraries are for developers."""
    if category.__module__.startswith("memreg"):
        print(f"memreg: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _fail(message: str) -> NoReturn:
    line = " ".join(message.split())
    print(f"memreg: error: {line}", file=sys.stderr, flush=True)
    tell_run(line)
    sys.exit(2)
