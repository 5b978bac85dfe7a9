"""docs/tour.ipynb, run from top to bottom in a kernel of its own."""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from parts import ROOT

TOUR = ROOT / "docs" / "tour.ipynb"


@pytest.fixture(scope="module")
def kept():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The notebook as it is after running: `jupyter execute --inplace docs/tour.ipynb` keeps it so."""
    notebook = nbformat.read(TOUR, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell["outputs"] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        where = {"metadata": {"path": str(tmp_path_factory.mktemp("tour"))}}
        NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    return notebook


def outputs(notebook):
    """What each code cell shows, by kind: streams by their name, other outputs by their richest type."""
    kinds = ("image/png", "text/html", "text/plain")
    return [
        [o.get("name") or next(k for k in kinds if k in o["data"]) for o in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def said(notebook):
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


def pictures(notebook):
    html = (o.get("data", {}).get("text/html", "") for c in notebook.cells for o in c.get("outputs", []))
    return sum(page.count("<img ") for page in html)


def test_it_runs_and_finds_the_label_noise(ran):
    shares = [int(share) for share in re.findall(r"(\d+)% of the \d+ highest", said(ran))]
    assert len(shares) == 3
    assert min(shares) >= 75
    assert pictures(ran) == 24
    assert re.search(r"Among 4 cells of 40 members, .*: r = -?0\.", said(ran))


def test_what_is_kept_is_what_running_shows(kept, ran):
    assert outputs(kept) == outputs(ran)
    assert pictures(kept) == pictures(ran)
    numbers = [cell.execution_count for cell in kept.cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1))


def test_it_is_small_and_says_nothing_of_the_machine(kept):
    text = TOUR.read_text()
    assert len(text.encode()) < 300_000
    assert not re.search(r"/tmp/|/home/|/root/|site-packages", text)
    assert "stderr" not in {kind for each in outputs(kept) for kind in each}
    for link in re.findall(
        r"\]\(([^)#]+)", "".join(c.source for c in kept.cells if c.cell_type == "markdown")
    ):
        assert (TOUR.parent / link).exists()
