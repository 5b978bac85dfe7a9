"""A space of recipes: which fields of a cell vary, and between what."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from memreg import shipped
from memreg.errors import MemregError
from memreg.grid import Planned, plan_cell
from memreg.recipe import Recipe

FOLDER = "search/spaces"
DIGITS = 3  # significant, of what is chosen from a range: recipes that a person can read
NOISE = "noise"  # share of wrong training labels: an option of the data set rather than a field
RANGE_KEYS = {"low", "high", "log"}
WHOLE = {name for name, field in Recipe.model_fields.items() if field.annotation is int}
Point = dict[str, Any]
"""What a space leaves open, by field."""


@dataclass(frozen=True)
class Range:
    low: float
    high: float
    log: bool
    whole: bool

    def at(self, u: float) -> float | int:
        """The value at u in [0, 1], rounded."""
        line = self.low + u * (self.high - self.low)
        value = self.low * (self.high / self.low) ** u if self.log else line
        return min(max(round(value) if self.whole else float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def place(self, value: float) -> float:
        """The inverse of `at`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Space:
    fixed: Mapping[str, Any]
    choices: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, Range]

    def point(self, u: NDArray[np.float64]) -> Point:
        """The point at u in the unit cube; choices first."""
        chosen = {
            name: values[min(int(ui * len(values)), len(values) - 1)]
            for ui, (name, values) in zip(u, self.choices.items(), strict=False)
        }
        rest = u[len(self.choices) :]
        ranged = {name: r.at(float(ui)) for ui, (name, r) in zip(rest, self.ranges.items(), strict=True)}
        return chosen | ranged

    def points(self, n: int, seed: int) -> list[Point]:
        """n points that cover the space evenly (Sobol, scrambled); more are a continuation of fewer."""
        cube = qmc.Sobol(len(self.choices) + len(self.ranges), rng=seed).random_base2(
            math.ceil(math.log2(max(2, n)))
        )
        return [self.point(u) for u in cube[:n]]

    def middle(self) -> Point:
        """The point in the middle of everything."""
        return self.point(np.full(len(self.choices) + len(self.ranges), 0.5))

    def only(self, models: list[str]) -> "Space":
        """Give the same space with fewer models."""
        return replace(self, choices={**self.choices, "model": tuple(models)})

    @property
    def models(self) -> tuple[str, ...]:
        return self.choices["model"] if "model" in self.choices else (self.fixed["model"],)

    def planned(self, point: Point, dataset: str, members: int) -> Planned:
        """The cell that a point stands for."""
        noise = round(float({**self.fixed, **point}.get(NOISE, 0)), 2)
        name = f"{dataset}+noise={noise:g}" if noise else dataset
        return plan_cell({**_flat(self.fixed, point), "dataset": name, "members": members}, "search")

    def readable(self, point: Point) -> Point:
        """Give the point with three digits of every number from a range."""
        return {
            key: self.ranges[key].at(self.ranges[key].place(value)) if key in self.ranges else value
            for key, value in point.items()
        }

    def description(self) -> dict[str, Any]:
        """Describe the space so that JSON can hold it. Equal spaces have equal descriptions."""
        return {
            **self.fixed,
            **{name: list(values) for name, values in self.choices.items()},
            **{name: [r.low, r.high, r.log] for name, r in self.ranges.items()},
        }


def load_space(name: str, noise: float = 0.0) -> Space:
    """A shipped space by name, or a file by path; with `noise`, training labels may be wrong up to that
    share."""
    content = shipped.read("space", name, FOLDER)
    if noise:
        content = {**content, NOISE: {"low": 0, "high": noise}} if isinstance(content, Mapping) else content
    return parse_space(content, f"space {name}")


def parse_space(content: object, where: str) -> Space:
    """Validate a space: a list of values is a choice, a mapping with low and high a range, the rest is
    fixed."""
    if not isinstance(content, Mapping):
        raise MemregError(f"{where}: must be a mapping of cell fields to values, lists or ranges")
    fixed, choices, ranges = {}, {}, {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            ranges[str(key)] = _range(value, str(key), where)
        elif isinstance(value, list) and len(value) > 1:
            choices[str(key)] = tuple(value)
        else:
            fixed[str(key)] = value[0] if isinstance(value, list) and value else value
    if not choices and not ranges:
        raise MemregError(f"{where}: nothing varies: give a field a list, or a range {{low: .., high: ..}}")
    space = Space(fixed, choices, ranges)
    first = {name: values[0] for name, values in choices.items()}
    low, high = ({name: getattr(r, end) for name, r in ranges.items()} for end in ("low", "high"))
    extremes = [first | low, first | high]
    extremes += [first | low | {name: value} for name, values in choices.items() for value in values]
    for extreme in extremes:
        noise = {**fixed, **extreme}.get(NOISE, 0)
        if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < 1:
            raise MemregError(f"{where}: noise must be a share from 0 to below 1, not {noise!r}")
        plan_cell({**_flat(fixed, extreme), "dataset": "any", "members": 1}, where)
    return space


def _flat(fixed: Mapping[str, Any], point: Point) -> dict[str, Any]:
    return {key: value for key, value in {**fixed, **point}.items() if key != NOISE}


def _range(value: Mapping[str, Any], key: str, where: str) -> Range:
    low, high, log = value.get("low", ""), value.get("high", ""), value.get("log", False)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high))
    if not set(value) <= RANGE_KEYS or not numbers or not low < high or not isinstance(log, bool):
        raise MemregError(
            f"{where}, {key}: a range is {{low: .., high: ..}}, with log: true if it shall be so"
        )
    if log and low <= 0:
        raise MemregError(f"{where}, {key}: a log range begins above 0, not at {low}")
    return Range(low, high, log, key in WHOLE)
