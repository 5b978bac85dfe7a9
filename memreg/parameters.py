"""What may be asked for: models whose fields are parameters, and whose docstrings are what people read."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, ValidationError


class Parameters(BaseModel):
    """Frozen and validated. A field's default is the parameter's, its docstring the parameter's help."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: one of these initials, as learning_rate for lr, else the closest."""
    known = list(names)
    plain = {key: key.removeprefix("--").replace("-", "_") for key in known}
    given = name.removeprefix("--").replace("-", "_")
    for key, words in plain.items():
        if len(given) > 1 and given == "".join(word[:1] for word in words.split("_")):
            return key
    close = get_close_matches(given, plain.values(), 1)
    return next((key for key in known if plain[key] in close), None)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """`did you mean NAME?` with the nearest of these names, and `otherwise` where none is near."""
    meant = nearest(name, names)
    return f"did you mean {meant}?" if meant else otherwise


def first_error(error: ValidationError) -> str:
    """Pydantic's first complaint in one line."""
    first = error.errors()[0]
    if first["type"] == "union_tag_invalid":
        known = first["ctx"]["expected_tags"].replace("'named'", "package.module:function")
        return f"design: must be {known}, not '{first['ctx']['tag']}'"
    field = ".".join(str(part) for part in first["loc"]) or "value"
    message = first["msg"].removeprefix("Value error, ").replace("Input s", "s").partition(", unable")[0]
    return f"{field}: {message}, not {reprlib.repr(first['input'])}"
