"""What may be asked for: models whose fields are parameters, and whose docstrings are what people read."""

import reprlib

from pydantic import BaseModel, ConfigDict, ValidationError


class Parameters(BaseModel):
    """Frozen and validated. A field's default is the parameter's, its docstring the parameter's help."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def first_error(error: ValidationError) -> str:
    """Pydantic's first complaint in one line."""
    first = error.errors()[0]
    if first["type"] == "union_tag_invalid":
        known = first["ctx"]["expected_tags"].replace("'named'", "package.module:function")
        return f"design: must be {known}, not '{first['ctx']['tag']}'"
    field = ".".join(str(part) for part in first["loc"]) or "value"
    message = first["msg"].removeprefix("Value error, ").replace("Input s", "s").partition(", unable")[0]
    return f"{field}: {message}, not {reprlib.repr(first['input'])}"
