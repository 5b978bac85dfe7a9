"""The MLflow UI on a finished study, in a real Chromium: what a person sees.

With MEMREG_UI_STORE (a tracking URI), MEMREG_UI_STUDY (a study run's id) and MEMREG_SCREENSHOTS (a
directory), the same walk is taken on that study, and its pictures are kept.
"""

import json
import os
import shutil
import subprocess
import sys
from urllib.parse import quote

import mlflow
import pytest
from browser import chromium
from servers import free_port, wait_for
from studies import uri

from memreg.registry.view import study_links


@pytest.fixture(scope="module")
def study(request):
    """(tracking URI, experiment id, study run id)."""
    if store := os.environ.get("MEMREG_UI_STORE"):
        found = mlflow.MlflowClient(store).get_run(os.environ["MEMREG_UI_STUDY"])
        return store, found.info.experiment_id, found.info.run_id
    directory, outcome = request.getfixturevalue("done")
    return uri(directory), outcome.experiment_id, outcome.run_id


@pytest.fixture(scope="module")
def server(study):
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", study[0], "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(base, process)
    yield base
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def page(server):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1700, "height": 1000})
        page.set_default_timeout(60_000)
        page.add_init_script(
            "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
            "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
        )
        yield page


def picture(page, name):
    page.wait_for_timeout(2500)
    if directory := os.environ.get("MEMREG_SCREENSHOTS"):
        page.screenshot(path=f"{directory}/{name}.png")


def link(study, kind):
    store, experiment, run_id = study
    name = mlflow.MlflowClient(store).get_run(run_id).data.tags["memreg.study"]
    return study_links(store, experiment, name)[kind].partition("http://127.0.0.1:5000")[2]


def cells(study):
    client = mlflow.MlflowClient(study[0])
    found = client.search_runs([study[1]], f"tags.`mlflow.parentRunId` = '{study[2]}'")
    return sorted(found, key=lambda r: -r.data.metrics["test_accuracy"])


def test_the_printed_link_shows_the_cells_flat_sorted_and_with_their_columns(page, server, study):
    page.goto(server + link(study, "cells"))
    expected = cells(study)
    page.get_by_text(f"{len(expected)} matching runs").wait_for()
    rows = page.locator("[role=row] a", has_text=expected[0].info.run_name)
    rows.first.wait_for()
    text = page.inner_text("body")
    for column in ("memorized_fr", "test_acc", "mean_score", "weight_decay", "augmentation"):
        assert column in text, column
    names = [n for n in page.locator("[role=row] a").all_inner_texts() if " digits" in n]
    assert names == [r.info.run_name for r in expected][: len(names)]
    assert len(names) >= 3
    picture(page, "ui-cells")


def test_the_charts_draw_memorized_fraction_over_test_accuracy(page, server, study):
    page.goto(server + link(study, "charts"))
    page.get_by_text("Over test accuracy").wait_for()
    page.get_by_text("memorized_fraction/0.25").first.wait_for()
    page.locator(".scatterlayer .point").first.wait_for()
    assert page.locator(".scatterlayer").first.locator(".point").count() >= len(cells(study))
    picture(page, "ui-charts")


def test_comparing_all_cells_opens_their_comparison(page, server, study):
    runs = json.dumps([r.info.run_id for r in cells(study)])
    page.goto(f"{server}/#/compare-runs?runs={quote(runs)}&experiments={quote(json.dumps([study[1]]))}")
    page.get_by_role("tab", name="Scatter Plot").click()
    for axis, metric in enumerate(("test_accuracy", "memorized_fraction/0.25")):
        page.get_by_role("tabpanel").get_by_role("combobox").nth(axis).click()
        page.get_by_role("option", name=metric, exact=True).first.click()
    page.locator(".ytitle", has_text="memorized_fraction/0.25").wait_for()
    page.locator(".xtitle", has_text="test_accuracy").wait_for()
    points = "[...document.querySelectorAll('.js-plotly-plot')].flatMap(p => p.data.flatMap(d => [...d.x]))"
    assert len(page.evaluate(points)) == len(cells(study))
    picture(page, "ui-compare")


def test_a_cells_page_shows_its_description_and_its_members(page, server, study):
    best = cells(study)[0]
    page.goto(f"{server}/#/experiments/{study[1]}/runs/{best.info.run_id}")
    page.get_by_text("Mean memorization score").wait_for()
    picture(page, "ui-cell")
    page.goto(f"{server}/#/experiments/{study[1]}/runs/{best.info.run_id}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("member/")
    page.get_by_text("member/test_accuracy").first.wait_for()
    picture(page, "ui-members")


@pytest.mark.parametrize("name", ["correlation", "scores"])
def test_the_figures_of_a_study_and_of_a_cell_open(page, server, study, name):
    run_id = study[2] if name == "correlation" else cells(study)[0].info.run_id
    page.goto("about:blank")  # else the UI keeps the files of the run that it has shown
    page.goto(f"{server}/#/experiments/{study[1]}/runs/{run_id}/artifacts/figures/{name}.png")
    page.locator(f"img[alt='{name}.png'], .image-outer-container canvas, img[src^='blob']").first.wait_for()
    picture(page, f"ui-{name}")


def test_the_studys_report_opens(page, server, study):
    page.goto("about:blank")
    page.goto(f"{server}/#/experiments/{study[1]}/runs/{study[2]}/artifacts")
    page.get_by_text("report.html", exact=True).first.click()
    frame = page.frame_locator("iframe").first
    frame.get_by_role("heading", name="Cells", exact=True).wait_for()
    assert frame.locator("img.figure").count() >= 3
    picture(page, "ui-report")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_alone_in_light_and_dark(page, study, tmp_path, scheme):
    run = mlflow.MlflowClient(study[0]).get_run(study[2])
    alone = tmp_path / "report.html"
    shutil.copy(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/report.html"), alone)
    fresh = page.context.browser.new_page(viewport={"width": 1200, "height": 1000}, color_scheme=scheme)
    asked = []
    fresh.on("request", lambda request: asked.append(request.url))
    fresh.goto(alone.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [alone.as_uri()]
    sizes = fresh.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) > 3
    assert all(sizes)
    background = fresh.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 21, 21)"}[scheme]
    picture(fresh, f"report-{scheme}")
    fresh.close()
