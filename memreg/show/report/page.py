"""A study in the registry becomes a page."""

from collections.abc import Callable
from textwrap import shorten
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
from memreg.show.report.captions import caption
from memreg.show.report.cells import cell_parts, data_uri, differing, records

Opened = Callable[[Cell], Dataset]
"""The data set of a cell, for its images; `MemregError` where they are not at hand."""
IMAGES = {"all": "all test images", "distinct": "test images without a near duplicate in training",
          "sub-populations": "test images of sub-populations that lost members"}  # fmt: skip


def write_report(run: RunWriter, registry: Registry, opened: Opened) -> None:
    """Make the page of a study, and keep it as report.html of its run."""
    page = report(registry, run.run_id, opened)
    run.artifacts.put("report.html", lambda path: path.write_text(page, encoding="utf-8"))


def report(registry: Registry, study: str, opened: Opened) -> str:
    """The page of a study, named as for `Registry.cells`."""
    run = registry.study_run(study)
    table = registry.cells(study)
    same, varied = differing(table)
    environment = Environment(
        loader=PackageLoader("memreg.show.report", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"value": _value, "percent": _percent}
    return environment.get_template("page.html").render(
        name=run.data.tags["memreg.study"],
        tags=run.data.tags,
        run=run,
        date=pd.Timestamp(run.info.start_time, unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M UTC"),
        link=lambda run_id: run_link(registry.tracking_uri, run.info.experiment_id, run_id),
        note=_note(run),
        figures=_figures(registry, run),
        same=same,
        varied=varied,
        cells=list(cell_parts(registry, table, opened)),
        fraction=fraction_key(HEADLINE),
        bounds=bound_keys(HEADLINE),
        utility=_utility(registry, run),
        analyses=[
            {"run": r, "note": _note(r), "figures": _figures(registry, r)}
            for r in registry.analyses(table["cell"])
        ],
    )


def _note(run: Run) -> Markup:
    """A run's description, without a heading of its own."""
    text = run.data.tags.get("mlflow.note.content", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    markdown = MarkdownIt("js-default", {"html": False, "breaks": True})  # HTML in it is escaped
    return Markup(markdown.render("\n".join(lines)))


def _figures(registry: Registry, run: Run) -> list[dict[str, str]]:
    artifacts = registry.artifacts(run)
    paths = [artifacts.get(name) for name in artifacts.names("figures", ".png")]
    return [{"source": data_uri(path.read_bytes()), "caption": caption(path.stem)} for path in paths]


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
    return f"{value:.4g}" if isinstance(value, float) else shorten(str(value), 40, placeholder=" ..")


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}"
