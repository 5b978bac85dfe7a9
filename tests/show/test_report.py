"""A study on one page: what is on it, and that it needs nothing else."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from parts import absent
from PIL import Image
from playwright import sync_api
from studies import bad_input, program, run, tiny, uri

from analysis.influence import influence
from analysis.memorization import memorization
from entrypoints.train import train
from memreg.cli import memreg
from memreg.registry import Registry
from memreg.registry.provenance import project_command
from memreg.show.report import report
from memreg.show.report.cells import EDGES, ROOM, histogram, most_memorized, png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(directory, run_id):
    client = mlflow.MlflowClient(uri(directory))
    artifacts = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    return (artifacts / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(done):
    return page_of(done[0], done[1].run_id)


def test_a_study_leaves_its_page(text, done):
    page = Page(text)
    assert page.open == []
    assert "Study tiny" in page.words
    assert "Four cells." in page.words
    assert "Pearson r = " in page.words
    for row in done[1].cells.to_dict("records"):
        assert f"{row['test_accuracy']:.1%}" in page.words
        assert row["cell"][:8] in page.words
    links = [a["href"] for a in page.all("a")]
    assert all(any(run_id in link for link in links) for run_id in done[1].cells["run_id"])
    assert "torch " in page.words


def test_it_needs_no_network_and_no_script_and_is_small(text):
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint(("script", "link", "iframe", "object"))
    assert all(i["src"].startswith("data:image/png;base64,") for i in page.all("img"))
    assert "url(" not in text
    assert "@import" not in text
    assert any("default-src 'none'" in m.get("content", "") for m in page.all("meta"))
    assert len(text.encode()) < 5_000_000


def test_whoever_cannot_see_it_is_told(text):
    page = Page(text)
    assert all(i["alt"] for i in page.all("img"))
    bars = page.all("svg")
    assert len(bars) == 4
    assert all(b["role"] == "img" and "score 0.25 or more" in b["aria-label"] for b in bars)
    assert page.all("html") == [{"lang": "en"}]


def test_the_most_memorized_of_each_cell_with_their_images(text, done):
    registry = Registry(uri(done[0]))
    for cell in done[1].cells["cell"]:
        best = registry.scores(cell).nlargest(8, ["score", "low"])
        for e in best.itertuples():
            assert f"{e.score:.2f} [{e.low:.2f}, {e.high:.2f}]" in text
    assert len(re.findall(r'alt="training example \d+', text)) == 32


def test_names_and_descriptions_are_text_and_not_markup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = "<script>alert(1)</script> ![x](http://127.0.0.1/x.png) **bold**"
    outcome = run(tiny(description=evil, members=4, cells=[{"dataset": "digits+subset=100"}]), tmp_path)
    page = Page(page_of(tmp_path, outcome.run_id))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.words
    assert page.all("strong")


def test_a_study_of_networks_that_left_nothing_out_has_its_page_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    words = "--dataset digits+subset=100 --model vgg3-w8 --epochs 2 --design all --members 2 --study whole"
    assert "vgg3-w8" in program(monkeypatch, capsys, train, *words.split())
    registry = Registry()
    assert "memorized_fraction/0.25" not in registry.cells("whole")
    page = Page(page_of(tmp_path, registry.study_run("whole").info.run_id))
    assert f"{registry.cells('whole')['test_accuracy'][0]:.1%}" in page.words
    assert not page.all("svg")
    cell = registry.cells("whole")["cell"][0]
    bad_input(monkeypatch, capsys, memorization, "--cell", cell, match="has no scores")
    bad_input(monkeypatch, capsys, influence, "--cell", cell, match="never leaves out")


def test_images_end_where_the_page_is_full(done, monkeypatch):
    monkeypatch.setattr("memreg.show.report.cells.ROOM", 2000)
    from memreg.data import load

    text = report(Registry(uri(done[0])), "tiny", lambda cell: load(cell.dataset))
    assert "as many images as it can hold" in text
    assert 8 <= len(re.findall(r'alt="training example', text)) < 32
    assert ROOM < 5_000_000


def test_large_images_are_no_larger_than_they_are_shown():
    image = np.random.default_rng(0).integers(0, 256, (512, 400, 3), np.uint8)
    assert len(png(image)) < 100_000
    shown = Image.open(io.BytesIO(base64.b64decode(png(image).partition(",")[2])))
    assert shown.size == (100, 128)


def test_a_histogram_has_every_score_and_no_taller_bar_than_one():
    bars = histogram([-0.9, 0.0, 0.0, 0.012, 1.0])
    assert len(bars) == 3
    assert max(b.height for b in bars) == 1
    assert {round(b.x * (len(EDGES) - 1)) for b in bars} == {0, 10, 49}


def test_made_again_it_has_what_was_analysed_since(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    study = run(tiny(members=30, cells=[{"dataset": "digits+subset=100"}]), tmp_path)
    cell = study.cells["cell"][0]
    before = page_of(tmp_path, study.run_id)
    program(monkeypatch, capsys, influence, "--cell", cell[:12])
    assert "report.html of run" in program(monkeypatch, capsys, memreg, "report", "tiny")
    after = Page(page_of(tmp_path, study.run_id))
    assert f"Influence of {cell[:8]}" in after.words
    assert "pairs of a training and a test example" in after.words
    assert len(after.all("img")) == len(Page(before).all("img")) + 1


def test_the_command_that_reproduces_it():
    argv = ["/x/entrypoints/corr_grid.py", "--grid", "my grid.yaml", "--members", "", "--data-dir=/d"]
    assert project_command(argv) == "memreg corr_grid --grid 'my grid.yaml' --data-dir /d"
    assert project_command(["/x/bin/memreg", *argv[1:]]) == "memreg --grid 'my grid.yaml' --data-dir /d"
    assert (
        project_command(["/x/bin/memreg", "import", "a.zip", "--study=s"]) == "memreg import a.zip --study s"
    )
    secret = ["entrypoints/search.py", "--storage", "postgresql://me:secret@host/db"]
    assert "secret" not in project_command(secret)
    assert project_command(["/usr/bin/pytest", "-x"]) == ""
    assert project_command(["-m"]) == ""


@pytest.fixture
def opened(text, tmp_path):
    """The page in Chromium."""
    if CHROMIUM is None:
        absent("Chromium is not installed (apt-get install chromium)")
    alone = tmp_path / "report.html"
    alone.write_text(text, encoding="utf-8")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(alone.as_uri())
        yield page
        browser.close()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window_or_than_its_own_place(opened, width):
    opened.set_viewport_size({"width": width, "height": 900})
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    over = (
        "[...document.querySelectorAll('td, h1, .memorized figure')]"
        ".filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
    )
    assert opened.evaluate(over) == []


def test_it_prints_on_few_pages_with_all_intervals(opened, tmp_path):
    paper = tmp_path / "report.pdf"
    opened.pdf(path=paper, format="A4")
    opened.emulate_media(media="print")
    assert opened.locator("details.full p").first.bounding_box()["height"] > 0
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 3


def test_the_answer_and_its_figure_and_numbers_and_the_words_come_first(text):
    at = [
        text.index(mark)
        for mark in (
            "<h1>Memorization and test accuracy</h1>",
            "<p>Among 4 cells of 20 members",
            'alt="Each point is a cell',
            "test accuracy of the cells",
            "<dt>Score:</dt>",
            "<summary>In full, with all intervals</summary>",
            "Pearson r = ",
            "More figures",
            "The most memorized examples",
            "<h2>Cells</h2>",
            "How to reproduce it",
        )
    ]
    assert at == sorted(at)


def test_ties_are_broken_by_the_interval_and_the_members_left_out_and_not_by_the_index():
    scores = pd.DataFrame(
        {
            "example": range(5),
            "score": [1.0, 1.0, 1.0, 1.0, 0.5],
            "low": [0.4, 0.6, 0.6, 0.6, 0.4],
            "excluded_count": [9, 6, 7, 7, 9],
            "included_count": [20, 20, 20, 20, 20],
        }
    )
    assert most_memorized(scores)["example"].tolist() == [2, 3, 1, 0, 4]
    assert most_memorized(scores[["example", "score"]])["example"].tolist() == [0, 1, 2, 3, 4]


def test_a_cell_alone_says_what_it_memorizes_and_shows_wrong_labels_with_the_true_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = {"dataset": "digits+subset=200+noise=0.2", "augmentation": 0, "epochs": 30, "batch_size": 32}
    outcome = run(tiny(members=20, cells=[cell], description="One."), tmp_path)
    text = page_of(tmp_path, outcome.run_id)
    stored = Registry(uri(tmp_path)).cell(outcome.cells["cell"][0])
    metrics, (at,) = stored.metrics, [outcome.cells.iloc[0]]
    assert f"<h1>What vgg3-w8 memorizes of {cell['dataset']}</h1>" in text
    assert f"{metrics['memorized_fraction/0.25']:.1%} [" in outcome.said
    assert outcome.said in Page(text).words
    assert f"<strong>{at['test_accuracy']:.1%}</strong>" in text
    assert text.count('<img class="figure"') == 1
    best = stored.described(most_memorized(stored.scores()))
    wrong = best[best["label"] != best["clean_label"]]
    assert len(wrong) > 4
    for e in best.itertuples():
        truth = f", truly {e.clean_label}" if e.label != e.clean_label else ""
        assert f'alt="training example {e.example}, label {e.label}{truth}"' in text
    assert Page(text).words.count("truly") == len(wrong) + 1
