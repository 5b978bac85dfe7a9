"""`memreg explore` on 20 cells of 60,000 examples, in a real Chromium.

    python benchmarks/explore.py [--quick] [--keep DIRECTORY]

A study of 20 cells is made on 50,000 training and 10,000 test images of 32x32 pixels, through memreg's own
way of storing, by an engine that makes predictions up. Then a browser opens the study and a cell's gallery,
filters it and scrolls through it. First paint is from the start of the navigation until the first pictures
are there; a filter, until the frame after it is drawn; a tile is blank while it is in sight and its picture
is not there. Memory is the server's largest resident set. Needs Chromium and Playwright.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TARGETS = {"first_paint_s": 2.0, "filter_ms": 200.0, "blank_ms": 100.0, "server_mb": 1024.0}
PAINTED = "document.querySelector('.part[data-ready]') !== null"
LISTED = "document.querySelector('tr[data-row]') !== null"
FILTER = """() => new Promise(done => {
    const select = document.querySelector('select[name=label]'), taken = [];
    const step = k => {
        if (k === 20) return done(taken);
        const began = performance.now();
        select.value = k % 2 ? '' : String(k % 10);
        select.dispatchEvent(new Event('change'));
        const drawn = () => { taken.push(performance.now() - began); step(k + 1); };
        requestAnimationFrame(() => requestAnimationFrame(drawn));
    };
    step(0);
})"""
SCROLL = """([pixels, seconds, jump]) => new Promise(done => {
    const box = document.getElementById('gallery'), since = new Map(), blank = [];
    const end = performance.now() + 1000 * seconds, view = box.getBoundingClientRect();
    let frames = 0;
    const step = () => {
        const now = performance.now();
        for (const part of document.querySelectorAll('.part')) {
            const at = part.getBoundingClientRect(), seen = at.bottom > view.top && at.top < view.bottom;
            if (seen && part.dataset.ready === undefined) { if (!since.has(part)) since.set(part, now); }
            else if (since.has(part)) { blank.push(now - since.get(part)); since.delete(part); }
        }
        if (now > end && since.size === 0) return done({ blank, frames });
        if (now <= end) {
            frames++;
            const far = jump && frames % jump === 0;
            box.scrollTop = far ? Math.random() * box.scrollHeight : box.scrollTop + pixels;
        }
        requestAnimationFrame(step);
    };
    step();
})"""


def fill(directory: Path, cells: int, n_train: int, n_test: int, members: int) -> None:
    """The study, in this process, whose working directory is `directory`."""
    from memreg.data import Dataset
    from memreg.engines import Engine, Job
    from memreg.grid import parse_grid
    from memreg.members import Prediction
    from memreg.questions import corr_grid
    from memreg.studies.progress import Silent
    from memreg.studies.study import Where

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, n_train + n_test)
    coarse = rng.integers(0, 256, (n_train + n_test, 8, 8, 3), np.uint8)
    images = coarse.repeat(4, 1).repeat(4, 2)
    np.savez(
        directory / "set.npz",
        train_images=images[:n_train],
        train_labels=labels[:n_train],
        test_images=images[n_train:],
        test_labels=labels[n_train:],
    )
    hard = rng.beta(0.3, 2, n_train + n_test)

    def run(jobs: Iterable[Job], datasets: Mapping[str, Dataset]) -> Iterator[tuple[Job, Prediction]]:
        for job in jobs:
            own = np.random.default_rng((int(job.cell.hash[:8], 16), job.member))
            included = job.cell.design.included(job.member, n_train)
            learned = np.concatenate([included, np.zeros(n_test, bool)])
            right = own.random(len(labels)) > np.where(learned, 0.1 * hard, hard)
            other = (labels + own.integers(1, 10, len(labels))) % 10
            margin = np.where(right, 1, -1) * own.gamma(2, 2, len(labels))
            predicted = np.where(right, labels, other).astype(np.uint8)
            seed = job.cell.design.member_seed(job.member)
            yield job, Prediction(
                job.member, seed, included, predicted, np.full(len(labels), 0.9, np.float16), 1.0,
                margin.astype(np.float16),
            )  # fmt: skip

    rates = [round(0.01 * (k + 1), 2) for k in range(cells)]
    grid = parse_grid(
        {
            "name": "large",
            "members": members,
            "cells": [{"dataset": f"npz:{directory}/set.npz", "model": "vgg3-w4", "learning_rate": rates}],
        },
        "large",
    )
    uri = f"sqlite:///{directory}/mlflow.db"
    corr_grid.run_grid(grid, "large", Where(Engine(run, ""), tracking_uri=uri), Silent())


def paint(page: Page, address: str, ready: str) -> float:
    """Seconds from the start of a navigation to this address until this is so."""
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    page.wait_for_function(ready, polling="raf", timeout=120_000)
    return float(page.evaluate("performance.now()")) / 1000


def look(directory: Path, seconds: float) -> dict[str, float]:
    """What a person with a browser meets."""
    from memreg.registry import Registry

    uri = f"sqlite:///{directory}/mlflow.db"
    hashes = list(Registry(uri).cells("large")["cell"])
    program = "import sys; from memreg.cli import main; sys.argv[0] = 'memreg'; main()"
    command = [sys.executable, "-c", program, "explore", "--tracking-uri", uri]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert server.stdout is not None
    link = server.stdout.readline().strip()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
            page.goto(link)
            page.wait_for_function(LISTED, timeout=120_000)
            found = {"home_s": paint(page, f"{link}#/", LISTED)}
            found["first_paint_cold_s"] = paint(page, f"{link}#/cell/{hashes[0]}", PAINTED)
            found["first_paint_s"] = float(
                np.median([paint(page, f"{link}#/cell/{h}", PAINTED) for h in hashes[1:8]])
            )
            found["study_s"] = paint(
                page, f"{link}#/study/large", "document.querySelector('.scatter svg') !== null"
            )
            paint(page, f"{link}#/cell/{hashes[1]}", PAINTED)
            taken = page.evaluate(FILTER)
            found["filter_ms"], found["filter_most_ms"] = float(np.median(taken)), max(taken)
            page.evaluate("document.querySelector('select[name=label]').value = ''")
            smooth = page.evaluate(SCROLL, [120, seconds, 0])
            jumps = page.evaluate(SCROLL, [40, seconds, 20])
            found["blank_ms"] = max(smooth["blank"], default=0.0)
            found["blank_after_jumps_ms"] = float(np.median(jumps["blank"])) if jumps["blank"] else 0.0
            found["blank_after_jumps_most_ms"] = max(jumps["blank"], default=0.0)
            found["frames_a_second"] = smooth["frames"] / seconds
            example = f"{link}#/cell/{hashes[0]}/17"
            found["example_s"] = paint(page, example, "document.querySelector('.chart svg') !== null")
            found["labels_s"] = paint(
                page, f"{link}#/labels/{hashes[0]}", "document.querySelector('.bar') !== null"
            )
            for h in hashes:
                paint(page, f"{link}#/cell/{h}", PAINTED)
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            found["server_mb"] = int(peak.split()[1]) / 1024
            found["server_now_mb"] = psutil.Process(server.pid).memory_info().rss / 2**20
            browser.close()
    finally:
        server.terminate()
        server.wait()
    return found


def main() -> None:
    """Make the registry, look at it, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 cells of 6,000 examples")
    parser.add_argument("--keep", type=Path, help="where the registry is made, or was")
    given = parser.parse_args()
    size = (3, 5000, 1000, 8) if given.quick else (20, 50_000, 10_000, 40)
    with tempfile.TemporaryDirectory() as temporary:
        directory = (given.keep or Path(temporary)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / "mlflow.db").exists():
            os.chdir(directory)
            began = time.perf_counter()
            fill(directory, *size)
            took = time.perf_counter() - began
            print(f"{size[0]} cells of {size[1] + size[2]:,} examples made in {took:.0f} s")
        os.chdir(directory)
        found = look(directory, 2.0 if given.quick else 6.0)
    for name, value in found.items():
        target = TARGETS.get(name)
        said = "" if target is None else f"   target {target:g}: {'pass' if value <= target else 'FAIL'}"
        print(f"{name:26} {value:10.3f}{said}")
    print(json.dumps(found | {"pass": all(found[name] <= target for name, target in TARGETS.items())}))


if __name__ == "__main__":
    main()
