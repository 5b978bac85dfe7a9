"""Training examples as thumbnails: what a notebook and a terminal show of a cell and of a frame of scores."""

import base64
import io
import pickle
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from parts import absent
from PIL import Image
from playwright import sync_api
from small_sets import write_folder
from studies import run, uri

import memreg
from memreg.data.loading import load
from memreg.grid import parse_grid
from memreg.registry.origin import CELL
from memreg.show.thumbnails import enlarged

NOISY = "digits+subset=300+noise=0.2"
EVIL = "<script>alert(1)<"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(shown._repr_html_())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def picture(attributes):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))))


@pytest.fixture(scope="module")
def cell(done):
    registry = memreg.Registry(uri(done[0]))
    cells = registry.cells("tiny")
    return registry.cell(cells.loc[cells["dataset"] == NOISY, "cell"].iloc[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(directory, cell) of a study on images in `pictures`, whose class `ant` is named to do harm."""
    directory = tmp_path_factory.mktemp("folder")
    root = write_folder(directory / "pictures", "test")
    for part in ("train", "test"):
        (root / part / "ant").rename(root / part / EVIL)
    recipe = {"model": "vgg3-w4", "epochs": 2, "batch_size": 4, "r": 0.5}
    grid = {"name": "own", "members": 4, "cells": [{"dataset": "folder:pictures", **recipe}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        run(parse_grid(grid, "own"), directory, "own")
    registry = memreg.Registry(uri(directory))
    return directory, registry.cell(registry.cells("own")["cell"][0])


def test_a_cell_shows_its_highest_scores_with_their_images(cell):
    shown = memreg.show(cell, n=7)
    best = cell.scores().nlargest(7, ["score", "low"])
    page, images = Page(shown), load(NOISY).train_images
    assert shown.rows["example"].tolist() == best["example"].tolist()
    for row, image in zip(best.itertuples(), page.all("img"), strict=True):
        assert np.array_equal(picture(image), images[row.example, :, :, 0].repeat(12, 0).repeat(12, 1))
        assert f"training example {row.example}, label {row.label}" in image["alt"]
        assert f"{row.score:.2f} [{row.low:.2f}, {row.high:.2f}]example {row.example}" in page.words.replace(
            "\n", ""
        )
    assert "The 7 highest scores of 300 training examples" in page.words
    assert f"cell {cell.hash[:12]}: vgg3-w8 on {NOISY}, 20 members" in page.words
    assert len(Page(memreg.show(cell)).all("img")) == 20


def test_the_clean_label_stands_beside_one_that_differs(cell):
    known = cell.examples.iloc[:300]
    wrong = (known["label"] != known["clean_label"]).to_numpy()
    assert wrong.sum() == 60
    for rows, n in ((cell.scores()[wrong], 60), (cell.scores()[~wrong], 0)):
        page = Page(memreg.show(rows, n=300))
        assert page.words.count(", truly ") == n
        assert sum(", truly " in image["alt"] for image in page.all("img")) == n


def test_as_many_rows_as_are_asked_for_are_shown_as_they_come(cell):
    lowest = cell.scores().nsmallest(5, "score")
    assert memreg.show(lowest).rows["example"].tolist() == lowest["example"].tolist()
    assert memreg.show(lowest, n=2).rows["score"].is_monotonic_decreasing
    one = cell.scores().head(1).assign(score=np.nan, low=np.nan, high=np.nan)
    assert "no score" in Page(memreg.show(one)).words


def test_it_says_how_many_are_left_out_that_score_as_high(cell):
    scores = cell.scores().assign(score=[1.0] * 30 + [0.0] * 270, low=0.0, high=1.0)
    assert "25 more score as high as the last of these." in memreg.show(scores, n=5).notes
    assert not any("more score" in note for note in memreg.show(scores, n=30).notes)


def test_what_is_made_of_a_frame_still_knows_its_cell(done, cell):
    registry = memreg.Registry(uri(done[0]))
    scores = registry.scores(cell.hash)
    for rows in (
        scores[scores["score"] > 0].sort_values("low")[["example", "score"]],
        scores.assign(more=1).query("score > 0").reset_index(drop=True),
        cell.top(3),
        scores.copy(deep=True),
    ):
        assert cell.hash[:12] in memreg.show(rows).cell
    by_name = registry.scores(cell.hash)
    by_name.attrs["memreg.estimator"] = "shrunk"
    assert memreg.show(by_name).notes[-1] == "Scores of shrunk."


def test_a_frame_in_a_file_has_the_hash_alone(cell, tmp_path):
    scores = cell.scores()
    scores.to_parquet(tmp_path / "scores.parquet")
    for read in (pd.read_parquet(tmp_path / "scores.parquet"), pickle.loads(pickle.dumps(scores))):  # noqa: S301  its own
        pd.testing.assert_frame_equal(read, scores)
        assert type(read.attrs[CELL]) is str
        with pytest.raises(memreg.MemregError, match=f'give cell=registry.cell."{cell.hash[:12]}"'):
            memreg.show(read)
        assert len(memreg.show(read, cell=cell).images) == 20


def test_frames_of_something_else_are_refused(done, cell):
    registry = memreg.Registry(uri(done[0]))
    other = registry.cell(next(h for h in registry.cells("tiny")["cell"] if h != cell.hash))
    scores = cell.scores()
    anonymous = pd.DataFrame(scores.to_dict("list"))
    for what, given, match in (
        (scores, other, f"it is of cell {cell.hash[:12]}, not of cell {other.hash[:12]}"),
        (anonymous, None, r"give cell=registry.cell\(...\)"),
        (anonymous, other, "its labels are not those of"),
        (scores.assign(example=scores["example"] + 1), None, "has training examples 0 to 299"),
        (scores.assign(example=-1), None, "has training examples 0 to 299"),
        (scores.drop(columns="example"), None, "no column example"),
        (scores.iloc[:0], None, "has no rows"),
        (cell.hash, None, "give a cell, as registry.cell"),
    ):
        with pytest.raises(memreg.MemregError, match=match):
            memreg.show(what, cell=given)
    with pytest.raises(memreg.MemregError, match="1 or more"):
        memreg.show(cell, n=0)


def test_a_terminal_shows_a_table(cell):
    text = repr(memreg.show(cell, n=3))
    assert text.startswith("The 3 highest scores of 300 training examples\ncell ")
    assert len(text.splitlines()) >= 6
    assert "clean_label" in text
    assert "data:" not in text
    assert repr(cell) == f"cell {cell.hash[:12]}: vgg3-w8 on {NOISY}, 20 members"


def test_a_cell_that_is_mentioned_in_a_notebook_shows_itself(cell, monkeypatch):
    assert cell._repr_html_() == memreg.show(cell)._repr_html_()
    nothing = cell.scores().assign(score=np.nan)
    monkeypatch.setattr(cell, "scores", lambda: nothing)
    assert cell._repr_html_() is None
    with pytest.raises(memreg.MemregError, match="has no scores"):
        memreg.show(cell)


def test_names_of_classes_and_files_are_text_and_not_markup(folder, monkeypatch):
    directory, cell = folder
    monkeypatch.chdir(directory)
    page = Page(memreg.show(cell.scores(), n=6))
    assert not page.all("script")
    assert f"label {EVIL}" in page.words
    assert any(image["alt"].endswith(f"label {EVIL}") for image in page.all("img"))
    assert {td["title"] for td in page.all("td")} == set(cell.examples["file"][:6])


def test_without_images_it_shows_the_rest_and_says_why(folder, tmp_path, monkeypatch):
    cell = folder[1]
    monkeypatch.chdir(tmp_path)
    shown = memreg.show(cell.scores(), n=6)
    page = Page(shown)
    assert not page.all("img")
    assert page.words.count("example ") >= 6
    assert "Without images: folder:pictures" in page.words
    assert f"pictures is looked for in {tmp_path}" in page.words
    with pytest.raises(memreg.MemregError, match="must be a folder"):
        cell.images()


def test_small_images_are_enlarged_and_large_ones_are_not():
    small = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28, 1)
    assert enlarged(small).shape == (84, 84, 1)
    assert np.array_equal(enlarged(small)[::3, ::3], small)
    assert enlarged(np.zeros((64, 224, 3), np.uint8)).shape == (64, 224, 3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium_in_light_and_dark(folder, cell, tmp_path, monkeypatch, scheme):
    if (chromium := shutil.which("chromium")) is None:
        absent("Chromium is not installed (apt-get install chromium)")
    monkeypatch.chdir(folder[0])
    ink, paper = {"light": ("#111", "#fff"), "dark": ("#eee", "#111")}[scheme]
    shown = "".join(memreg.show(one, n=12)._repr_html_() for one in (cell, folder[1].scores()))
    page_of = f"<!doctype html><meta charset=utf-8><body style='color:{ink};background:{paper}'>{shown}"
    (tmp_path / "page.html").write_text(page_of, encoding="utf-8")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 400, "height": 900}, color_scheme=scheme)
        dialogs, asked = [], []
        page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        assert not dialogs
        assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
        widths = page.evaluate("[...document.images].map(i => i.getBoundingClientRect().width)")
        assert len(widths) == 18
        assert all(48 < width <= 96 for width in widths)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        tops = page.evaluate("[...document.images].slice(0, 12).map(i => i.getBoundingClientRect().top)")
        assert len(set(tops)) == 4  # three in a row
        colours = page.evaluate("[...document.querySelectorAll('td')].map(e => getComputedStyle(e).color)")
        assert set(colours) == {page.evaluate("getComputedStyle(document.body).color")}
        browser.close()
