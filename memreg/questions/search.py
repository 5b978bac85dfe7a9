"""`memreg search`: recipes that fill a range of test accuracy evenly, or the best one.

The trials are cells, trained member by member, and kept like any others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import optuna
import pandas as pd
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from optuna.storages import RDBStorage

from memreg import models
from memreg.data import Dataset, load
from memreg.errors import MemregError
from memreg.grid import Grid, check_name
from memreg.questions.correlation import Correlated, correlated_where_possible
from memreg.registry.connection import connect, masked, outage, outages
from memreg.requests.search import Request
from memreg.search import fill, optimize
from memreg.search.space import Point, Space, load_space
from memreg.search.storage import LOCAL, exclusively, open_storage, storage_url
from memreg.search.targets import Targets
from memreg.search.trials import Goal, Grow, Search, Told, search, told
from memreg.show import figures
from memreg.show.headline import numbers
from memreg.show.notes import answered, parts
from memreg.studies.progress import Progress
from memreg.studies.resolved import Resolved, resolve
from memreg.studies.study import Outcome, Study, Where, open_study
from memreg.wording import counted

TARGETS, TOLERANCE = 19, 0.01
SMALL = 32  # pixels: images with a shorter side are searched in the space `small`, others in `paper`
ASKED = "memreg"  # the attribute of an Optuna study that says what it searches


@dataclass(frozen=True)
class Found:
    """What is answered."""

    table: pd.DataFrame
    """As cells.parquet: the cells that fill targets, in their order; of a search for the best, all that were
    not stopped early, the best first."""
    progress: fill.Progress | None
    """None in a search for the best."""
    trials: list[Told]
    correlated: Correlated | None
    """Over the table's cells, where enough of them have scores."""
    storage: str
    """URL of Optuna's, without credentials."""

    @property
    def cells(self) -> list[str]:
        return list(self.table["cell"])

    @property
    def targets(self) -> list[dict[str, Any]]:
        """A row per target: `target`, and where it is filled the `trial`, the `recipe` chosen from the space,
        and the columns of `table`."""
        progress = self.progress or fill.Progress({}, [])
        rows: list[dict[str, Any]] = [{"target": target} for target in progress.open]
        for (target, trial), (_, cell) in zip(progress.filled.items(), self.table.iterrows(), strict=True):
            rows.append({"target": target, "trial": trial.number, "recipe": recipe(trial), **cell})
        return sorted(rows, key=lambda row: row["target"])

    def in_words(self) -> str:
        short, values, full = self._of_trials(), self._numbers(), [self._listed(), self._see_trials()]
        if self.correlated:
            short, values = f"{short}\n{self.correlated.in_short()}", list(numbers(self.correlated.result))
            full.append(parts(self.correlated.in_words()).in_full)
        return answered(short, values, "\n\n".join(filter(None, full)))

    def _numbers(self) -> list[tuple[str, str]]:
        """Of a search whose cells are too few to correlate."""
        early = sum(not t.whole for t in self.trials if t.estimate is not None)
        found = [
            (f"{len(self.trials)}", "trials: recipes that were tried"),
            (f"{early}", "of them were stopped early, after a few networks"),
        ]
        if self.progress is not None:
            filled = len(self.progress.filled)
            share = f"{filled} of {filled + len(self.progress.open)}"
            found.insert(0, (share, "targets of test accuracy have a cell that meets them"))
        if not self.table.empty and (known := self.table["test_accuracy"].dropna()).any():
            ends = f"{known.min():.1%} to {known.max():.1%}" if len(known) > 1 else f"{known.iloc[0]:.1%}"
            found.append((ends, "test accuracy of the cells that were chosen"))
        return found

    def _see_trials(self) -> str:
        return f"To see the trials: `optuna-dashboard {self.storage}`"

    def _listed(self) -> str:
        """Each target and the cell that fills it."""
        if self.progress is None:
            return ""
        rows = [
            f"| {row['target']:.1%} | "
            + (
                f"{row['test_accuracy']:.1%} | {row['recipe']} | {row['cell'][:8]} |"
                if "cell" in row
                else "open | | |"
            )
            for row in self.targets
        ]
        return "\n".join(["| target | test accuracy | recipe | cell |", "| --- | --- | --- | --- |", *rows])

    def in_short(self) -> str:
        said = f"{self._of_trials()} {self._see_trials().replace('`', '')}"
        return f"{said}\n{self.correlated.in_short()}" if self.correlated else said

    def metrics(self) -> Mapping[str, float]:
        return self.correlated.metrics() if self.correlated else {}

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return self.correlated.tables() if self.correlated else {}

    def figures(self) -> Mapping[str, Figure]:
        progress = self.progress or fill.Progress({}, [])
        targets = sorted([*progress.filled, *progress.open])
        by_number = {t.number: t for t in self.trials}
        last = max(by_number, default=-1)
        estimates = [by_number[n].estimate if n in by_number else None for n in range(last + 1)]
        accuracies = [e.accuracy if e else float("nan") for e in estimates]
        drawn = figures.search(accuracies, self._chosen(), targets,
                               self._of_trials().partition(":")[0])  # fmt: skip
        return {**(self.correlated.figures() if self.correlated else {}), "search": drawn}

    def _chosen(self) -> set[int]:
        """Numbers of the trials whose cells the study holds."""
        if self.progress is None:
            return {t.number for t in self.trials if t.whole}
        return {t.number for t in self.progress.filled.values()}

    def _of_trials(self) -> str:
        failed = sum(t.estimate is None for t in self.trials)
        early = sum(not t.whole for t in self.trials) - failed
        used = f"{len(self.trials)} trials, {early} of them stopped early, {failed} failed"
        if self.progress is None:
            if self.table.empty:
                return f"No cell has all its members yet: {used}."
            best = self.table.iloc[0]
            members = counted(best["members"], "member")
            return (
                f"Best of {used}: {best['model']} with {best['parameters']:,.0f} parameters, test accuracy "
                f"{best['test_accuracy']:.2%} from {members}. Cell {best['cell'][:12]}."
            )
        filled, open_ = len(self.progress.filled), [f"{100 * t:g} %" for t in self.progress.open]
        text = f"{filled} of {filled + len(open_)} targets filled: {used}."
        if open_:
            text += f" Open: {', '.join(open_)}; more trials, another space or a wider tolerance may help."
        return text


def run(request: Request, where: Where, progress: Progress) -> Outcome[Found]:
    """Search until all targets are filled, or there were enough trials; go on where an earlier run stopped.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    study, targets = check_name(request.study_name, "study"), request.accuracies()
    opened = cache(partial(load, data_dir=where.data_dir, verify=True))
    dataset = opened(request.dataset)
    space, sizes = _space(request, dataset)

    def resolved(point: Point) -> Resolved:
        planned = [space.planned(point, request.dataset, 1)]
        return resolve(planned, where.data_dir, lambda name, _: opened(name))[0]

    resolved(space.middle())
    connect(where.tracking_uri, create=True)
    storage = open_storage(request.storage or storage_url(where.tracking_uri))
    if storage.url == LOCAL and request.storage is None:
        progress.warn(
            f"the trials are in {LOCAL}, for want of a place beside the tracking URI: go on from this "
            "directory, or say storage=URL"
        )
    with exclusively(storage):
        trials = _open_trials(storage, request, dataset, space)
    goal: Goal = fill.Fill(trials, space, sizes, targets) if targets else optimize.Optimize(trials)
    grid = Grid("search", f"Cells on {dataset.name} that a search has chosen.", ())
    with open_study(grid, [], study, where, progress) as kept:
        _adopt(kept, told(trials), targets)

        @outages()
        def train(trial: optuna.Trial, point: Point) -> Grow:
            item = resolved(point)
            kept.add(item)
            writer = kept.writer(item.cell)
            for key, value in (("cell", item.cell.hash), ("run_id", writer.run_id)):
                trial.set_user_attr(key, value)
            writer.log(tags={"memreg.trial": str(trial.number)})

            @outages()
            def grow(members: int) -> Mapping[int, float]:
                kept.grow(item.cell, range(members))
                kept.train(item.cell)
                return kept.accuracies(item.cell)

            return grow

        def report(trial: Told) -> None:
            so_far = told(trials)
            _hold(kept, so_far, targets)
            progress.say(_line(trial, fill.progress(so_far, targets) if targets else None))

        alone = partial(exclusively, storage)
        what = Search(trials, space, goal, request.members, request.trials)
        search(what, train, report, alone)
        finished = told(trials)  # read once: other drivers may go on
        _adopt(kept, finished, targets)
        table = _cells(kept, finished, targets)
        found = Found(
            table,
            fill.progress(finished, targets) if targets else None,
            finished,
            correlated_where_possible(kept.registry, table),
            masked(storage.url),
        )
        return kept.conclude(table, found)


def _space(request: Request, dataset: Dataset) -> tuple[Space, dict[str, int]]:
    """The space, with the models that the budget allows, and the parameters of each."""
    name = request.space or ("small" if min(dataset.image_shape[1:]) < SMALL else "paper")
    space = load_space(name, request.noise)
    sizes = {
        model: models.parameters(models.build(model, dataset.image_shape, dataset.classes))
        for model in space.models
    }
    if request.budget is not None:
        allowed = [model for model, size in sizes.items() if size <= request.budget]
        if not allowed:
            least = min(sizes, key=lambda model: sizes[model])
            raise MemregError(
                f"budget={request.budget}: no model of the space is that small; {least} has "
                f"{sizes[least]:,} parameters"
            )
        space = space.only(allowed)
    return space, sizes


def _open_trials(storage: RDBStorage, request: Request, dataset: Dataset, space: Space) -> optuna.Study:
    """Optuna's study of this name, found or created."""
    name, filling = request.study_name, request.mode == "fill"
    asked = {
        "mode": "fill" if filling else "optimize",
        "dataset": dataset.fingerprint,
        "space": space.description(),
        "members": request.members,
    }
    study = optuna.create_study(
        storage=storage,
        sampler=fill.sampler() if filling else optimize.sampler(),
        pruner=optuna.pruners.NopPruner() if filling else optimize.pruner(),
        study_name=name,
        direction="minimize" if filling else "maximize",
        load_if_exists=True,
    )
    if ASKED not in study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(ASKED, asked)
    known = study.user_attrs.get(ASKED, {})
    if other := [key for key, value in asked.items() if known.get(key) != value]:
        raise MemregError(
            f"study '{name}' in {masked(storage.url)} is a search with another {' and '.join(other)}: give "
            "this one another name"
        )
    return study


def _adopt(kept: Study, finished: Sequence[Told], targets: Targets | None) -> None:
    """All trials' cells hang under the newest run of their study, and say which target they fill."""
    filled = fill.progress(finished, targets).filled if targets else {}
    fills = {trial.number: f"{target:g}" for target, trial in filled.items()}
    for trial in finished:
        if "run_id" in trial.notes:
            try:
                writer = kept.adopt(trial.notes["run_id"])
            except MlflowException as error:
                if outage(error):
                    raise
                raise MemregError(
                    f"study '{kept.name}': the run of trial {trial.number} is not in this registry: search "
                    "under another name"
                ) from error
            writer.log(tags={"memreg.target": fills.get(trial.number, "none")} if targets else {})


def _line(trial: Told, progress: fill.Progress | None) -> str:
    """What a person reads of a trial that has ended."""
    head = f"trial {trial.number}: {recipe(trial)}"
    if trial.estimate is None:
        return f"{head}: failed, {trial.notes.get('error')}"
    members = counted(trial.estimate.members, "member")
    text = f"{head}: test accuracy {trial.estimate.accuracy:.1%} from {members}"
    if progress is None:
        return text + ("" if trial.whole else ", stopped early")
    fills = [target for target, filler in progress.filled.items() if filler.number == trial.number]
    count = f"[{len(progress.filled)}/{len(progress.filled) + len(progress.open)}]"
    return f"{count} {text}" + "".join(f", fills {target:.1%}" for target in fills)


def recipe(trial: Told) -> str:
    """What was chosen from the space, in a line."""
    values = ((key, f"{v:.3g}" if isinstance(v, float) else str(v)) for key, v in trial.point.items())
    return ", ".join(value if key == "model" else f"{key} {value}" for key, value in values)


def _chosen(finished: Sequence[Told], targets: Targets | None) -> list[str]:
    """Run ids of the cells that fill targets, in their order; of a search for the best, of all whole ones."""
    if targets:
        chosen = list(fill.progress(finished, targets).filled.values())
    else:
        chosen = [trial for trial in finished if trial.whole]
    return list(dict.fromkeys(trial.notes["run_id"] for trial in chosen))


def _hold(kept: Study, finished: Sequence[Told], targets: Targets | None) -> None:
    """Of the trials' cells, let the study hold those that are chosen so far."""
    chosen = _chosen(finished, targets)
    kept.hold(chosen)  # first: a study that holds nothing is read as one of an earlier version
    kept.let_go({t.notes["run_id"] for t in finished if "run_id" in t.notes}.difference(chosen))


def _cells(kept: Study, finished: Sequence[Told], targets: Targets | None) -> pd.DataFrame:
    """Give the rows of `Found.table`."""
    _hold(kept, finished, targets)
    table = kept.registry.rows(_chosen(finished, targets))
    if not targets and not table.empty:
        table = table.sort_values("test_accuracy", ascending=False)
    kept.arrange(table["run_id"])
    return table
