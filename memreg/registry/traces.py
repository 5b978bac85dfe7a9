"""Traces: one file per member, `traces/<member>.arrow`, under the rules of prediction shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from memreg.errors import MemregError
from memreg.estimators.traces import Traces
from memreg.registry.columns import UNREADABLE, first_line, read_columns, write_columns
from memreg.registry.shards import check_belongs

SCHEMA = "traces-1"
FOLDER = "traces"
SHAPES = "memreg.shapes"
OBSERVERS = "memreg.observers"
COST = "cost/"
"""Begins the columns of what each observer costs."""
FIXED = ("member", "included", "steps", "rates")


def trace_name(member: int) -> str:
    """The artifact that the trace of a member is kept in."""
    return f"{FOLDER}/{member:06d}.arrow"


def write_trace(
    path: Path, trace: Traces, observers: Mapping[str, str], cell: str, dataset_fingerprint: str
) -> None:
    """Write the trace of one member under `path`: complete there or not there at all.

    observers: names, and of the user's own the SHA-256 of the source.
    """
    arrays = {
        "member": trace.member,
        "included": trace.included,
        "steps": trace.steps[None],
        "rates": trace.rates[None],
        **{COST + name: cost for name, cost in trace.costs.items()},
        **{name: values.reshape(1, -1) for name, values in trace.quantities.items()},
    }
    metadata = {
        "memreg.schema": SCHEMA,
        "memreg.cell": cell,
        "memreg.dataset_fingerprint": dataset_fingerprint,
        OBSERVERS: json.dumps(dict(observers)),
        SHAPES: json.dumps({name: values.shape[1:] for name, values in trace.quantities.items()}),
    }
    write_columns(path, arrays, metadata)


def read_trace(
    path: Path,
    cell: str | None = None,
    dataset_fingerprint: str | None = None,
    quantities: Sequence[str] | None = None,
) -> tuple[Traces, dict[str, str]]:
    """The trace of one member with these quantities, by default all, and its observers as they were written.

    A quantity that it has not is left out. Refuses (MemregError) a file that is damaged, or that belongs to
    another cell or data set than named.
    """
    shapes, observers = dict[str, list[int]](), dict[str, str]()

    def chosen(metadata: Mapping[str, str], there: list[str]) -> list[str]:
        if metadata.get("memreg.schema") != SCHEMA:
            raise MemregError(f"{path}: not a trace of schema {SCHEMA}")
        check_belongs(path, metadata, cell, dataset_fingerprint)
        observers.update(json.loads(metadata[OBSERVERS]))
        asked = json.loads(metadata[SHAPES])
        shapes.update({k: v for k, v in asked.items() if quantities is None or k in quantities})
        return [*FIXED, *(name for name in there if name.startswith(COST)), *shapes]

    try:
        arrays = read_columns(path, chosen)
        trace = Traces(
            arrays["member"],
            arrays["included"],
            arrays["steps"][0],
            arrays["rates"][0],
            {name.removeprefix(COST): cost for name, cost in arrays.items() if name.startswith(COST)},
            {name: arrays[name].reshape(1, *shape) for name, shape in shapes.items()},
        )
    except UNREADABLE as error:
        raise MemregError(
            f"{path}: damaged trace ({first_line(error)}): run the study again to train its member anew"
        ) from error
    return trace, observers


def joined(found: Sequence[tuple[Traces, Mapping[str, str]]]) -> Traces:
    """Traces of members of one cell together, as `read_trace` gives them, with the quantities that all have.

    Raises `MemregError` where their checkpoints differ, or the source of an observer.
    """
    traces = [trace for trace, _ in found]
    first, sources = traces[0], dict[str, str]()
    for name, source in (pair for _, observers in found for pair in observers.items()):
        if sources.setdefault(name, source) != source:
            raise MemregError(
                f"the traces of this cell are by different versions of observer {name}: trace them anew"
            )
    if any(not np.array_equal(trace.steps, first.steps) for trace in traces):
        raise MemregError(
            "the traces of this cell have different checkpoints: trace its members anew, with one number of "
            "checkpoints"
        )
    shared = [name for name in first.quantities if all(name in trace.quantities for trace in traces)]
    costs = [name for name in first.costs if all(name in trace.costs for trace in traces)]
    return Traces(
        np.concatenate([trace.member for trace in traces]),
        np.concatenate([trace.included for trace in traces]),
        first.steps,
        first.rates,
        {name: np.concatenate([trace.costs[name] for trace in traces]) for name in costs},
        {name: np.concatenate([trace.quantities[name] for trace in traces]) for name in shared},
    )
