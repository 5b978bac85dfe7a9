"""`memreg explore`: the registry in a browser, to look at, click and filter."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from memreg import options

if TYPE_CHECKING:
    from memreg.show.explore.desk import Desk


@click.command()
@click.argument("names", metavar="[STUDY|CELL]...", nargs=-1)
@click.option("--labels", is_flag=True, help="Begin with the examples that are probably mislabelled.")
@click.option(
    "--static", type=click.Path(path_type=Path), help="Write one page of the cell to this file instead."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Default: MEMREG_DATA_DIR, else ./data.")
@click.option("--dataset", help="The cells' data set, named again where it is code of yours.")
@options.TRACKING
def explore(
    names: tuple[str, ...],
    labels: bool,
    static: Path | None,
    data_dir: Path | None,
    dataset: str | None,
    tracking_uri: str | None,
) -> None:
    """Look at the registry in a browser: images by score, each example, each study, wrong labels.

    Begin with a study or a cell, or list several of them; by default all. The page is for this machine alone:
    its link has a token. It only reads, and uses no network.
    """
    from memreg.questions.correlation import run
    from memreg.registry import Registry
    from memreg.requests.correlation import Request
    from memreg.show.explore.desk import Desk

    registry = Registry(tracking_uri)
    desk = Desk(
        registry, lambda study: run(Request(study=study), registry).result.to_json(), data_dir, dataset
    )
    studies, cells = desk.limit(names) if names else ([], [])
    if (labels or static) and len(cells) != 1:
        raise click.UsageError(
            f"which cell? Give one, or a study that has one: {', '.join(names) or 'all'}: {len(cells)} cells"
        )
    if static:
        write_page(desk, cells[0], static)
        return
    if labels:
        desk.labels(cells[0])  # refuses here, in one line, where labels cannot be checked
    _serve(desk, place(studies, cells, labels, len(names)))


def place(studies: Sequence[str], cells: Sequence[str], labels: bool, names: int) -> str:
    """Where the page begins, as the end of its address."""
    if len(cells) == 1:
        return f"#/labels/{cells[0]}" if labels else f"#/cell/{cells[0]}"
    return f"#/study/{quote(studies[0], safe='')}" if studies and names == 1 else ""


def write_page(desk: "Desk", cell: str, path: Path) -> None:
    """Write one page of a cell."""
    from memreg.files import write_atomically
    from memreg.show.explore.static import page

    if path.exists() or not path.parent.is_dir():
        raise click.UsageError(f"{path} is there already, or its directory is not")
    text = page(*desk.with_images(cell))
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    click.echo(f"{path}: {len(text.encode()) / 1e6:.1f} MB")


def _serve(desk: "Desk", place: str) -> None:
    """Print the link, and answer until Ctrl-C."""
    from memreg.show.explore.server import HOST, listening, serve

    token = secrets.token_urlsafe(24)
    on, usual = listening(desk.registry.tracking_uri)
    click.echo(f"http://{HOST}:{on.getsockname()[1]}/{token}/{place}")
    click.echo("Open it in a browser on this machine. Ctrl-C ends it.")
    if not usual:
        click.echo("The port that this registry has is taken: marks of labels made there are not seen here.")
    serve(desk, on, token)
