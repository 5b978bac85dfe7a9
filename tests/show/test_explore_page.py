"""`memreg explore` in a real Chromium: what is clicked, filtered and dragged shows what `Registry` has.

With MEMREG_SCREENSHOTS (a directory), pictures of every page are kept.
"""

import csv
import os
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from browser import chromium
from explored import exploring
from PIL import Image
from studies import run, tiny, uri

import memreg

WIDTHS = (400, 1280, 1920)
DRAG = """percent => {
    const slider = document.getElementById('threshold');
    slider.value = percent;
    slider.dispatchEvent(new Event('input'));
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A grid whose correlation exists: six cells that learn digits to different degrees."""
    directory = tmp_path_factory.mktemp("explore")
    cells = [
        {"dataset": "digits+subset=300+noise=0.2", "epochs": e, "augmentation": 0}
        for e in (2, 4, 8, 12, 20, 30)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        run(tiny(cells=cells), directory, "digits")
    return directory


@pytest.fixture(scope="module")
def registry(study):
    return memreg.Registry(uri(study))


@pytest.fixture(scope="module")
def cell(registry):
    """The cell that has learned most."""
    return registry.cell(registry.cells("digits")["cell"].iloc[-1])


@pytest.fixture(scope="module")
def link(study):
    with exploring(uri(study)) as printed:
        yield printed


@pytest.fixture(scope="module")
def alone(tmp_path_factory, study):
    """The address of the same registry by another name, which has a port of its own."""
    other = tmp_path_factory.mktemp("alone") / "mlflow.db"
    other.symlink_to(study / "mlflow.db")
    return f"sqlite:///{other}"


@pytest.fixture
def page(browser, link):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    opened.goto(link)
    opened.get_by_role("heading", name="Explore").wait_for()
    yield opened
    context.close()
    assert problems == []


def go(page, place, heading):
    page.evaluate("place => { location.hash = place }", place)
    page.locator("h1", has_text=heading).wait_for()


def shown(page):
    """Examples of the tiles that exist, in their order."""
    tiles = page.locator(".tile")
    found = tiles.evaluate_all("tiles => tiles.map(t => [Number(t.dataset.at), Number(t.dataset.example)])")
    return [example for _, example in sorted(found)]


def highest(table):
    return table.sort_values(["score", "example"], ascending=[False, True])["example"].tolist()


def test_home_lists_studies_and_cells_and_finds_them(page, registry):
    assert page.locator("a", has_text="digits").first.get_attribute("href") == "#/study/digits"
    hashes = set(registry.cells()["cell"])
    rows = page.locator("tr[data-row]").evaluate_all("rows => rows.map(row => row.dataset.row)")
    assert hashes <= set(rows)
    first = sorted(hashes)[0]
    page.fill("#find", first[:12])
    assert page.locator("tr[data-row]").count() == 2  # the study, and the cell
    page.locator(f"tr[data-row='{first}'] a").click()
    page.locator(".tile").first.wait_for()


def test_the_gallery_begins_with_the_highest_scores(page, registry, cell):
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").first.wait_for()
    expected = highest(registry.scores(cell.hash))
    found = shown(page)
    assert len(found) > 40
    assert found == expected[: len(found)]
    score = registry.scores(cell.hash).set_index("example").loc[expected[0]]
    title = page.locator(".tile a").first.get_attribute("title")
    assert f"[{score.low:.2f}".replace("0.", ".") in title


def test_filters_keep_what_the_registry_says(page, registry, cell):
    table = registry.scores(cell.hash)
    clean = cell.examples["clean_label"][: cell.n_train].to_numpy()
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").first.wait_for()

    def counted():
        return int(re.match(r"([\d,]+) of", page.inner_text("#status")).group(1).replace(",", ""))

    page.select_option("select[name=label]", "3")
    assert counted() == (table["label"] == 3).sum()
    page.select_option("select[name=truth]", "wrong")
    assert counted() == ((table["label"] == 3) & (clean != 3)).sum()
    page.get_by_role("button", name="Clear").click()
    page.fill("input[name=from]", "0.3")
    wanted = table[table["score"].astype(np.float32) >= np.float32(0.3)]
    assert counted() == len(wanted)
    assert shown(page) == highest(wanted)[: len(shown(page))]
    page.locator("summary", has_text="More filters").click()
    page.fill("input[name=low]", "0.2")
    assert counted() == ((table["score"] >= 0.3) & (table["low"] >= 0.2)).sum()
    page.get_by_role("button", name="Clear").click()
    page.fill("input[name=index]", "7, 20-24")
    assert sorted(shown(page)) == [7, 20, 21, 22, 23, 24]
    page.fill("input[name=index]", "seven")
    assert "numbers and ranges" in page.inner_text("#said")


def test_two_cells_are_compared(page, registry, cell):
    other = registry.cells("digits")["cell"].iloc[0]
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator("summary", has_text="More filters").click()
    page.select_option("select[name=other]", f"{other} ")
    page.locator("select[name=sort] option[value=difference]").wait_for(state="attached")
    page.select_option("select[name=sort]", "difference")
    table = registry.compare(cell.hash, other)
    apart = table["difference"].abs()
    first = shown(page)[:10]
    np.testing.assert_allclose(apart[first], apart.sort_values(ascending=False)[:10], atol=1e-6)
    page.fill("input[name=apart]", "0.5")
    assert page.inner_text("#status").startswith(f"{(apart >= 0.5 - 1e-6).sum()} of")
    page.get_by_role("button", name="Clear").click()
    page.select_option("select[name=sort]", "difference")
    page.select_option("select[name=other]", "")
    page.get_by_text("by score, highest first").wait_for()
    page.reload()
    page.get_by_text("by score, highest first").wait_for()
    assert shown(page)[:10] == highest(registry.scores(cell.hash))[:10]


def test_indices_are_saved_as_targets_take_them(page, cell, tmp_path):
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").nth(4).wait_for()
    wanted = [int(page.locator(".tile").nth(i).get_attribute("data-example")) for i in (0, 3)]
    for example in wanted:
        page.locator(f".tile[data-example='{example}'] input").check()
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "targets.csv")
    from memreg.scoring.targets import choose

    assert choose(str(tmp_path / "targets.csv"), cell.n_train, np.zeros(cell.n_train), 0) == tuple(
        sorted(wanted)
    )


def test_the_keyboard_moves_selects_and_opens(page, cell):
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").first.wait_for()
    order = shown(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert "1 selected" in page.inner_text("#status")
    page.keyboard.press("Enter")
    page.locator("h1", has_text=f"Example {order[2]}").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("h1", has_text=f"Example {order[3]}").wait_for()
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.get_by_text("1 selected").wait_for()
    assert page.locator(f".tile[data-example='{order[2]}'] input").is_checked()


def test_scrolling_draws_what_is_seen_and_no_more(page, registry, cell):
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").first.wait_for()
    page.evaluate("document.getElementById('gallery').scrollTop = 1e9")
    last = highest(registry.scores(cell.hash))[-1]
    page.locator(f".tile[data-example='{last}']").wait_for()
    assert page.locator(".tile").count() < cell.n_train
    page.locator(".part:not([data-ready])").first.wait_for(state="detached")


def test_tiles_never_lie_on_each_other(page, cell):
    go(page, f"#/cell/{cell.hash}", "vgg3-w8")
    page.locator(".tile").first.wait_for()
    for width in range(360, 1000, 13):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_timeout(60)
        rows = page.locator(".part").evaluate_all(
            "parts => parts.map(part => new Set([...part.children].map(tile => tile.offsetTop)).size)"
        )
        assert max(rows) <= 3, width


def test_an_examples_page_has_its_numbers_and_its_image(page, registry, cell, tmp_path):
    example = highest(registry.scores(cell.hash))[0]
    score = registry.scores(cell.hash).set_index("example").loc[example]
    go(page, f"#/cell/{cell.hash}/{example}", f"Example {example}")
    facts = page.inner_text("dl")
    assert f"{score.score:.2f}".replace("0.", ".") in facts
    assert f"of {score.included_count:.0f} networks" in facts
    assert page.locator("figure.chart svg").count() >= 2  # log odds; its score in the cells of this data set
    points = page.locator("figure.chart", has_text="every cell").locator("circle")
    assert points.count() >= len(registry.cells("digits"))
    image = page.locator(".big img")
    assert image.evaluate("image => image.naturalWidth") == 8
    picture = tmp_path / "image.png"
    image.screenshot(path=picture)
    pixels = np.asarray(Image.open(picture).convert("L"))
    step = pixels.shape[0] // 8
    centres = pixels[step // 2 :: step, step // 2 :: step][:8, :8]
    np.testing.assert_allclose(centres, cell.images([example])[0, ..., 0], atol=3)


def test_labels_are_marked_by_keys_and_saved(page, cell, tmp_path):
    likely = cell.label_check().query("low > 0")
    go(page, f"#/labels/{cell.hash}", "Label check")
    rows = page.locator(".labels li")
    rows.first.wait_for()
    listed = rows.evaluate_all("rows => rows.map(row => Number(row.dataset.example))")
    assert listed == likely["example"].tolist()
    proposed = rows.locator(".proposed").evaluate_all("all => all.map(one => one.textContent)")
    assert proposed == likely["proposed"].astype(str).tolist()
    page.keyboard.press("w")
    page.keyboard.press("u")
    page.keyboard.press("r")
    assert "3 of" in page.inner_text("#status")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "marks.csv")
    with Path(tmp_path / "marks.csv").open(newline="") as file:
        saved = list(csv.DictReader(file))
    assert [int(row["example"]) for row in saved] == likely["example"][:3].tolist()
    assert [row["mark"] for row in saved] == ["wrong", "unsure", "right"]
    assert [row["proposed"] for row in saved] == proposed[:3]
    page.reload()
    rows.first.wait_for()
    assert "3 of" in page.inner_text("#status")


def test_the_slider_shows_r_at_each_threshold(page, registry):
    result = registry.correlation("digits").result
    go(page, "#/study/digits", "Study digits")
    page.locator("#threshold").wait_for()
    seen = set()
    for percent in (25, 50, 5):
        page.evaluate(
            DRAG,
            percent,
        )
        r = result.pooled[f"memorized_fraction/{percent / 100:.2f}"]
        words = page.inner_text("#r")
        short = [f"{v:.2f}".replace("0.", ".") for v in (r.r, r.low, r.high)]
        assert f"r = {short[0]} [{short[1]}, {short[2]}]; {r.n} cells" in words
        assert page.locator(".scatter .points circle").count() == r.n
        heights = page.locator(".scatter .points circle").evaluate_all(
            "c => c.map(x => x.getAttribute('cy'))"
        )
        seen.add(tuple(heights))
    assert len(seen) == 3


def test_a_point_of_a_study_lights_its_row_and_opens_its_gallery(page, registry):
    go(page, "#/study/digits", "Study digits")
    point = page.locator(".scatter .points a").first
    hash_ = point.get_attribute("data-cell")
    assert hash_ in set(registry.cells("digits")["cell"])
    point.locator("circle").hover()
    assert page.locator(f"tr.lit[data-row='{hash_}']").count() == 1
    point.locator("circle").click()
    page.wait_for_url(f"**/#/cell/{hash_}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_every_screen(browser, link, cell, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(link)
    example = cell.top(1)["example"].iloc[0]
    places = {
        "home": ("", "Explore"),
        "gallery": (f"cell/{cell.hash}", "vgg3"),
        "study": ("study/digits", "Study"),
        "example": (f"cell/{cell.hash}/{example}", "Example"),
        "labels": (f"labels/{cell.hash}", "Label"),
    }
    for name, (place, heading) in places.items():
        go(page, f"#/{place}", heading)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        unnamed = page.locator("img:not([alt]), svg:not([aria-label]):not([aria-hidden]) > title:empty")
        assert unnamed.count() == 0
        if directory := os.environ.get("MEMREG_SCREENSHOTS"):
            page.screenshot(path=f"{directory}/explore-{name}-{width}-{scheme}.png")
    context.close()


def test_a_cells_own_page_needs_no_server(browser, cell):
    context = browser.new_context(offline=True, accept_downloads=True)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(cell.artifacts.get("explore.html").as_uri())
    page.locator(".tile").first.wait_for()
    found = shown(page)
    assert found == highest(cell.scores())[: len(found)]
    page.locator(".tile a").first.click()
    page.locator("figure.chart svg").first.wait_for()
    page.get_by_role("link", name="Label check").click()
    page.locator(".labels li").first.wait_for()
    assert page.locator(".labels li").count() == (cell.label_check()["low"] > 0).sum()
    context.close()
    assert problems == []


FRAMED = """text => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.src = URL.createObjectURL(new Blob([text], { type: 'text/html' }));
    frame.style = 'width: 1200px; height: 800px';
    document.body.append(frame);
}"""


def test_a_cells_own_page_works_in_a_frame_as_mlflows_ui_has_it(browser, cell):
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto("about:blank")
    page.evaluate(FRAMED, cell.artifacts.get("explore.html").read_text(encoding="utf-8"))
    frame = page.frame_locator("iframe")
    frame.locator(".tile a").first.click()
    frame.locator("h1", has_text="Example").wait_for()
    frame.get_by_role("link", name="Label check").click()
    frame.locator(".labels li").first.wait_for()
    frame.locator(".labels button", has_text="wrong").first.click()
    frame.get_by_text("keeps no marks").wait_for()
    frame.locator("#save").click()
    example = cell.label_check()["example"].iloc[0]
    assert f"\n{example}," in frame.locator("dialog textarea").input_value()
    page.close()


def test_marks_are_there_when_the_server_is_started_again(browser, alone, cell):
    context = browser.new_context()
    page, address = context.new_page(), f"labels/{cell.hash}"
    seen = []
    for _ in range(2):
        with exploring(alone) as link:
            seen.append(link.split("/")[2])
            page.goto(f"{link}#/{address}")
            page.locator(".labels li").first.wait_for()
            if len(seen) == 1:
                page.keyboard.press("w")
            page.get_by_text(re.compile(r"^1 of \d+ marked")).wait_for()
    assert seen[0] == seen[1]
    context.close()


def test_hostile_names_are_inert(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = "<img src=x onerror=document.title='taken'>"
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("test", 4)):
        for k, kind in enumerate((hostile, "plain")):
            (tmp_path / "set" / part / kind).mkdir(parents=True)
            for i in range(n):
                image = rng.integers(0, 120, (8, 8, 3), np.uint8) + np.uint8(120 * k)
                Image.fromarray(image).save(tmp_path / "set" / part / kind / f"{i}.png")
    cells = [{"dataset": f"folder:{tmp_path}/set", "epochs": 2, "batch_size": 8}]
    outcome = run(tiny(cells=cells, members=6), tmp_path)
    mlflow.MlflowClient(uri(tmp_path)).set_tag(outcome.run_id, "memreg.study", f"x{hostile}")
    stored = memreg.Registry(uri(tmp_path)).cell(outcome.cells["cell"][0])
    with exploring(uri(tmp_path)) as link:
        page = browser.new_page()
        page.goto(link)
        page.get_by_text(f"x{hostile}").first.wait_for()
        places = {
            f"cell/{stored.hash}": "vgg3",
            f"cell/{stored.hash}/1": "Example",
            f"labels/{stored.hash}": "Label",
            "study/%3Cimg%3E": "Not shown",
        }
        for place, heading in places.items():
            go(page, f"#/{place}", heading)
            page.wait_for_timeout(300)
            assert page.title() != "taken"
            assert page.locator("img[src=x]").count() == 0
        page.close()
    own = browser.new_page()
    own.goto(stored.artifacts.get("explore.html").as_uri())
    own.locator(".tile").first.wait_for()
    assert hostile in own.inner_text(".tile >> nth=0") + own.inner_text("select[name=label]")
    assert own.title() != "taken"
    own.close()
