"""YAML that means one thing: what its versions, or a person and the parser, read differently is refused.

PyYAML reads YAML 1.1. There a key given twice keeps the last value, 010 is 8 and 1:30 is 90, and a name may
turn out to be a date.
"""

import re
from typing import Any

import yaml

from memreg.errors import MemregError

TEXT_KEYS = ("name", "dataset", "model", "description", "study")
"""Keys whose values are text."""
OTHERWISE = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers of YAML 1.1 that are others in YAML 1.2: octal, and by sixties."""
KINDS = {
    "timestamp": "a date",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


class _Loader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._flat: set[int] = set()

    def flatten_mapping(self, node: Any) -> None:
        """Put in what `<<` merges: a mapping's own keys go first, then those of what is merged, in its order.

        PyYAML's own, in version 6.0.4, lets what a merged mapping has itself merged go before its own.
        """
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        _check_keys(node)
        own = [pair for pair in node.value if pair[0].tag != MERGE]
        taken, merged = {_identity(key) for key, _ in own}, []
        for source in (s for key, value in node.value if key.tag == MERGE for s in _sources(node, value)):
            self.flatten_mapping(source)
            for pair in source.value:
                if pair[0].tag != MERGE and _identity(pair[0]) not in taken:
                    taken.add(_identity(pair[0]))
                    merged.append(pair)
        node.value = merged + own

    def construct_number(self, node: Any) -> Any:
        if OTHERWISE.fullmatch(node.value):
            raise _RefusedError(
                f"line {node.start_mark.line + 1}: {node.value} is not one number in every version of YAML: "
                "write it without leading zeros and colons, or in quotes"
            )
        kind = super().construct_yaml_int if node.tag.endswith(":int") else super().construct_yaml_float
        return kind(node)


MERGE = "tag:yaml.org,2002:merge"
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


class _RefusedError(Exception):
    """What the user is told."""


def load(text: str, where: str) -> Any:
    """The content of a YAML text. Raises `MemregError`, beginning with `where`, for all that is refused."""
    try:
        return _Loader(text).get_single_data()
    except _RefusedError as error:
        raise MemregError(f"{where}, {error}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # a date that is none, ...
        raise MemregError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _sources(node: Any, value: Any) -> list[Any]:
    """The mappings that one `<<` names."""
    listed = value.value if isinstance(value, yaml.SequenceNode) else [value]
    for source in listed:
        if not isinstance(source, yaml.MappingNode):
            what = f"expected a mapping for merging, but found {source.id}"
            raise yaml.constructor.ConstructorError("while merging", node.start_mark, what, source.start_mark)
    return list(listed)


def _identity(key: Any) -> object:
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)


def _check_keys(node: Any) -> None:
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        if key.value in seen:
            line = key.start_mark.line + 1
            raise _RefusedError(f"line {line}: the key {key.value!r} is there twice: keep one")
        seen.add(key.value)
        if key.value in TEXT_KEYS:
            for text in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                _check_text(key.value, text)


def _check_text(key: str, node: Any) -> None:
    kind = KINDS.get(node.tag.rpartition(":")[2]) if isinstance(node, yaml.ScalarNode) else None
    if kind and node.style is None and node.value not in ("", "~", "null", "Null", "NULL"):
        raise _RefusedError(
            f"line {node.start_mark.line + 1}: {key}: YAML reads {node.value} as {kind}: put it in quotes, "
            f"{key}: '{node.value}'"
        )
