"""What a person sees while a study runs: bars on a terminal, plain lines elsewhere."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from memreg.cell import Cell
from memreg.design import CHOSEN, of_chosen
from memreg.estimators.mixture import FEWEST
from memreg.show.cell_table import FRACTION, LEFT_OUT, cell_columns, fitting, percent
from memreg.show.notes import WARNING
from memreg.show.score_table import left_out, score_columns
from memreg.wording import counted

TEXTS = ("data set", "model", "design", "study", "source_label", "file")


def console(stderr: bool = False) -> Console:
    """Without colour, control characters or line breaking when the output is no terminal."""
    probe = Console(stderr=stderr, emoji=False)
    return probe if probe.is_terminal else Console(stderr=stderr, emoji=False, width=1000, soft_wrap=True)


EVERY = 50.0  # seconds between lines of progress where there is no terminal: at least one a minute


class Reporter:
    """Progress of a study, as a context manager around it."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._logged = _Logged(self.warn)
        self._console = console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._members: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()
        self._began = time.monotonic()
        self._trained = 0
        self._left: int | None = None
        self._stop = threading.Event()
        self._lines = threading.Thread(target=self._say_progress, daemon=True)

    def __enter__(self) -> Self:
        logging.getLogger("memreg").addHandler(self._logged)
        self._progress.start()
        if not self._console.is_terminal:
            self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("memreg").removeHandler(self._logged)
        self._stop.set()
        self._progress.stop()

    def _say_progress(self) -> None:
        """A line at a time, also while no member ends."""
        while not self._stop.wait(EVERY):
            if self._members and self._left != 0:
                self.say(progress_line(self._trained, self._left, time.monotonic() - self._began))

    def start(self, cells: Sequence[tuple[Cell, int, int]]) -> None:
        """(cell, members missing, members asked for) of each cell."""
        missing = sum(m for _, m, _ in cells)
        wanted = sum(w for _, _, w in cells)
        self._members = {cell.hash: (w - m, w) for cell, m, w in cells}
        self._done = {cell.hash for cell, m, _ in cells if m == 0}
        self._trained, self._left, self._began = 0, missing, time.monotonic()
        self._grid = self._progress.add_task("grid", total=wanted, completed=wanted - missing)
        self._cell = self._progress.add_task("cell", total=None, visible=missing > 0)
        self.say(
            f"{counted(len(cells), 'cell')}, {counted(wanted, 'member')}: "
            f"{wanted - missing:,} already in the registry, {missing:,} to train"
        )

    def advance(self, cell: Cell) -> None:
        """One more member of `cell` is trained."""
        done, wanted = self._members[cell.hash]
        self._members[cell.hash] = (done + 1, wanted)
        self._trained += 1
        self._left = None if self._left is None else self._left - 1
        self._progress.advance(self._grid)
        name = f"{cell.recipe.model} {cell.dataset}"
        self._progress.update(self._cell, description=escape(name), completed=done + 1, total=wanted)

    def finish(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        """All members of `cell` are in."""
        self._done.add(cell.hash)
        seconds = time.monotonic() - self._began
        self.say(
            f"[{len(self._done)}/{len(self._members)}] {cell.recipe.model} on {cell.dataset}: test accuracy "
            f"{metrics['test_accuracy']:.1%}, memorized {percent(metrics[FRACTION])}, "
            f"{counted(metrics['members'], 'member')}, {seconds:.0f} s"
        )

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self.warnings.append(text)
        self.say(f"warning: {text}")

    def say(self, text: str) -> None:
        """Something that a person may want to know."""
        self._console.print(text, markup=False, highlight=False)


class _Logged(logging.Handler):
    """What memreg's modules log as warnings, as those that read data sets do, is warned of like the rest."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(record.getMessage())


def progress_line(trained: int, left: int | None, seconds: float) -> str:
    """Members trained, their rate and, where it is known how many are left, the time that they will take."""
    rate = trained / seconds if seconds > 0 else 0.0
    said = (
        f"{trained:,} of {counted(trained + left, 'member')} trained"
        if left is not None
        else f"{counted(trained, 'member')} trained"
    )
    said += f", {60 * rate:.1f} a minute"
    if left is None:
        return said
    if not rate:
        return f"{said}, time left not known yet"
    minutes = left / rate / 60
    if minutes < 2:
        return f"{said}, about {60 * minutes:.0f} s left"
    return (
        f"{said}, about {minutes:.0f} min left"
        if minutes < 120
        else f"{said}, about {minutes / 60:.1f} h left"
    )


class TrialReporter(Reporter):
    """Progress of a search: a line per trial."""

    def start(self, cells: Sequence[tuple[Cell, int, int]]) -> None:
        """Begin anew with one trial's cell, each time it gets more members."""
        if not self._members:
            self._grid = self._progress.add_task("members", total=None)
            self._cell = self._progress.add_task("cell", total=None)
        self._members = {cell.hash: (wanted - missing, wanted) for cell, missing, wanted in cells}

    def finish(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        """Not said of each step of a trial."""


SHOWN = 2
"""Rows of a table at the end of a run; of more, the first and the last."""


def show_ends(table: pd.DataFrame) -> None:
    """The cells at the end of a run: of more than SHOWN, those with the highest and lowest test accuracy."""
    if len(table) > SHOWN:
        order = table.sort_values("test_accuracy", ascending=False, na_position="last")
        table = order.iloc[[0, max(1, int(order["test_accuracy"].notna().sum()) - 1)]]
    _show_fitting(cell_columns(table), LEFT_OUT)


def show_targets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Targets with the cells that fill them, of more than SHOWN the lowest and the highest.

    rows: as `memreg.questions.search.Found.targets`.
    """
    rows = rows if len(rows) <= SHOWN else [rows[0], rows[-1]]
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    for name in ("target", "test", "≥ .25", "members", "trial"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("hash", "recipe"):
        shown.add_column(name, no_wrap=name == "hash")
    for row in rows:
        if "cell" not in row:
            shown.add_row(percent(row["target"]), "open")
            continue
        shown.add_row(
            *(percent(row.get(key)) for key in ("target", "test_accuracy", FRACTION)),
            *(f"{row[key]:.0f}" for key in ("members", "trial")),
            row["cell"][:8],
            escape(row["recipe"]),
        )
    console().print(shown)


def show_cells(table: pd.DataFrame) -> None:
    """The cells as a table, in order of test accuracy, and which columns the terminal is too narrow for."""
    columns = cell_columns(table)
    known = table.reindex(columns=[FRACTION, "design"])
    without = known["design"][known[FRACTION].isna()]
    kinds = sorted({*without} & {*CHOSEN})
    reasons = [
        f"it takes {FEWEST} members that include an example and {FEWEST} that exclude it"
        if not without.isin(CHOSEN).all()
        else "",
        of_chosen(*kinds) if kinds else "",
    ]
    withheld = "memorized is -: " + "; ".join(filter(None, reasons)) if len(without) else ""
    _say_hidden(_show_fitting(columns, LEFT_OUT), withheld)


def show_scores(table: pd.DataFrame) -> None:
    """Scores of examples as a table, in their order, and which columns the terminal is too narrow for."""
    columns = score_columns(table)
    _say_hidden(_show_fitting(columns, left_out(columns)))


def _show_fitting(columns: dict[str, list[str]], left_out: Sequence[str]) -> list[str]:
    """As many columns as the terminal is wide enough for; the names of the others."""
    out = console()
    names = fitting(columns, out.width, left_out) if out.is_terminal else list(columns)
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    for name in names:
        left = name in TEXTS
        shown.add_column(name, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for values in zip(*(columns[name] for name in names), strict=True):
        shown.add_row(*map(escape, values))
    out.print(shown)
    return [name for name in columns if name not in names]


def _say_hidden(hidden: Sequence[str], note: str = "") -> None:
    """The note, and which columns are not there."""
    wider = f"A wider terminal also shows these columns: {', '.join(hidden)}" if hidden else ""
    for line in filter(None, (note, wider)):
        console().print(line, markup=False, highlight=False)


def show_arms(table: pd.DataFrame) -> None:
    """What leaving out the scored examples does to accuracy on all test images, in points.

    Of more than SHOWN thresholds, the lowest and the highest.
    """
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    names = ("threshold", "removed", "members", "difference", "95 %", "(95 %)", "from random", "95 %")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    rows = table[(table["images"] == "all") & (table["arm"] == "scored")].to_dict("records")
    for row in rows if len(rows) <= SHOWN else [rows[0], rows[-1]]:
        shown.add_row(
            f"{row['threshold']:.2f}",
            f"{row['removed']:.0f}",
            f"{row['members']:.0f}",
            *_interval(row, "difference"),
            f"({row['difference_both_low']:+.2f}, {row['difference_both_high']:+.2f})",
            *_interval(row, "from_random"),
        )
    console().print(shown)


def _interval(row: dict[Any, Any], key: str) -> tuple[str, str]:
    if np.isnan(row[key]):
        return "-", ""
    return f"{row[key]:+.2f}", f"[{row[f'{key}_low']:+.2f}, {row[f'{key}_high']:+.2f}]"


def say(text: str) -> None:
    """A paragraph."""
    console().print("\n" + text, markup=False, highlight=False, soft_wrap=True)


def show_answer(said: str, warnings: int = 0) -> None:
    """What is answered, its paragraphs in one, and in one below what is to be warned of.

    warnings: that were given while it ran.
    """
    lines = said.splitlines()
    answer = [line for line in lines if not line.startswith(WARNING)]
    warned = [line for line in lines if line.startswith(WARNING)]
    if warnings:
        counted = "a warning was" if warnings == 1 else f"{warnings} warnings were"
        warned.append(f"{WARNING}: {counted} given above, while it ran.")
    say("\n".join(" ".join(part) for part in (answer, warned) if part))


def show_links(links: Mapping[str, str]) -> None:
    """Where to see more: a line each, whole, so that it can be clicked or pasted."""
    width = max(map(len, links)) + 1
    say("\n".join(f"{f'{name}:':{width}} {link}" for name, link in links.items()))


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text(f"{60 * speed:.0f}/min" if speed else "", style="progress.data.speed")
