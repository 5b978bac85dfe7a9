"""A study in the registry becomes a page."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from mlflow.entities.run import Run

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.estimators.statistics import HEADLINE, bound_keys, fraction_key
from memreg.registry import Registry, RunWriter
from memreg.registry.view import run_link
from memreg.show.notes import parts
from memreg.show.report.captions import PHOTOGRAPHS, caption, place
from memreg.show.report.cells import CellPart, cell_parts, data_uri, differing, records

Opened = Callable[[Cell], Dataset]
"""The data set of a cell, for its images; `MemregError` where they are not at hand."""
IMAGES = {"all": "all test images", "distinct": "test images without a near duplicate in training",
          "sub-populations": "test images of sub-populations that lost members"}  # fmt: skip

TITLES = {
    "leave_one_out": "Memorization scores by leave-one-out",
    "marginal_utility": "What removing memorized examples does to test accuracy",
    "leaderboard": "Cheap stand-ins for memorization scores, compared",
    "search": "Recipes that a search has found",
    "audit": "Labels that are probably wrong",
}
"""By the grid's name, of studies of something other than the memorization of cells."""
LONGEST = 60  # characters of a value in the table of cells


def write_report(run: RunWriter, registry: Registry, opened: Opened) -> None:
    """Make the page of a study, and keep it as report.html of its run."""
    page = report(registry, run.run_id, opened)
    run.artifacts.put("report.html", lambda path: path.write_text(page, encoding="utf-8"))


def report(registry: Registry, study: str, opened: Opened) -> str:
    """The page of a study, named as for `Registry.cells`."""
    run = registry.study_run(study)
    table = registry.cells(study)
    if "test_accuracy" in table:
        table = table.sort_values("test_accuracy", ascending=False, kind="stable", ignore_index=True)
    same, varied = differing(table)
    environment = Environment(
        loader=PackageLoader("memreg.show.report", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"value": _value, "percent": _percent}
    cells = list(cell_parts(registry, table, opened))
    return environment.get_template("page.html").render(
        title=_title(run, table),
        name=run.data.tags["memreg.study"],
        tags=run.data.tags,
        run=run,
        date=pd.Timestamp(run.info.start_time, unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M UTC"),
        link=lambda run_id: run_link(registry.tracking_uri, run.info.experiment_id, run_id),
        said=_said(run),
        figures=_figures(registry, run) or _of_cells(cells),
        members=int(table["members"].sum()) if "members" in table else 0,
        datasets=table["dataset"].nunique() if "dataset" in table else 0,
        same=same,
        varied=varied,
        cells=cells,
        fraction=fraction_key(HEADLINE),
        bounds=bound_keys(HEADLINE),
        utility=_utility(registry, run),
        analyses=[
            {"run": r, "said": _said(r), "figures": _figures(registry, r)}
            for r in registry.analyses(table["cell"])
        ],
    )


def _title(run: Run, table: pd.DataFrame) -> str:
    """What the page is about."""
    if title := TITLES.get(run.data.tags.get("memreg.grid", "")):
        return title
    if len(table) == 1:
        return f"What {table['model'].iloc[0]} memorizes of {table['dataset'].iloc[0]}"
    return "Memorization and test accuracy"


def _said(run: Run) -> dict[str, Markup]:
    """The parts of a run's description as HTML, by the names of `notes.Parts`, without its headings."""
    markdown = MarkdownIt("js-default", {"html": False, "breaks": True})  # HTML in it is escaped
    found = vars(parts(run.data.tags.get("mlflow.note.content", "")))
    return {key: Markup(markdown.render(_without_headings(text))) for key, text in found.items()}


def _without_headings(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def _figures(registry: Registry, run: Run) -> list[dict[str, Any]]:
    """The first is the one that answers."""
    artifacts = registry.artifacts(run)
    paths = [artifacts.get(name) for name in artifacts.names("figures", ".png")]
    return [
        {
            "source": data_uri(path.read_bytes()),
            "caption": caption(path.stem),
            "photographs": path.stem in PHOTOGRAPHS,
        }
        for path in sorted(paths, key=lambda path: place(path.stem))
    ]


def _of_cells(cells: list[CellPart]) -> list[dict[str, Any]]:
    """Figures of the cells, of a study that has none."""
    drawn = [cell.figure for cell in cells if cell.figure]
    return [{"source": figure, "caption": caption("scores"), "photographs": False} for figure in drawn]


def _utility(registry: Registry, run: Run) -> list[dict[str, Any]]:
    """A table per kind of test images: arms in rows, thresholds in columns."""
    artifacts = registry.artifacts(run)
    if "marginal_utility.parquet" not in artifacts.names("", ".parquet"):
        return []
    table = pd.read_parquet(artifacts.get("marginal_utility.parquet"))
    parts = []
    for images, rows in table.groupby("images", sort=False):
        arms: dict[str, dict[float, Any]] = {}
        for row in records(rows):
            arms.setdefault(row["arm"], {})[row["threshold"]] = row
        thresholds = sorted(rows["threshold"].unique())
        parts.append({"images": IMAGES[str(images)], "thresholds": thresholds, "arms": arms})
    return parts


def _value(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}"
