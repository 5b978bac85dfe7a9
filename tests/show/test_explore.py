"""`memreg explore`'s server: what it tells, whom it answers, and pages that need none."""

import base64
import http.client
import json
import re
import struct
from types import SimpleNamespace
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
from explored import exploring
from studies import bad_input, program, run, tiny, uri

import memreg
from memreg.data.stored import images_of
from memreg.estimators.presence import presence
from memreg.programs.explore import explore
from memreg.show.explore import static, tiles
from memreg.show.explore.desk import Desk
from memreg.show.explore.packed import pack
from memreg.show.explore.server import listening
from memreg.studies.pages import NAME, PAGE
from memreg.tracing import Tracing


@pytest.fixture(scope="module")
def registry(done):
    return memreg.Registry(uri(done[0]))


@pytest.fixture(scope="module")
def cell(registry, done):
    noisy = done[1].cells.query("dataset == 'digits+subset=300+noise=0.2'")
    return registry.cell(noisy["cell"].iloc[0])


@pytest.fixture(scope="module")
def server(done):
    with exploring(uri(done[0])) as link:
        parts = urlsplit(link)
        token = parts.path.strip("/")
        yield SimpleNamespace(link=link, port=parts.port, token=token)


def ask(server, path, headers=None, method="GET", token=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    within = path if token == "" else f"/{token or server.token}{path}"
    connection.putrequest(method, within, skip_host="Host" in (headers or {}))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def told(server, path):
    answer, body = ask(server, path)
    assert answer.status == 200, body
    return json.loads(body)


def embedded(text):
    return json.loads(re.search(r'id="embedded">(.*?)</script>', text, re.DOTALL).group(1))


def columns(body):
    (size,) = struct.unpack("<I", body[:4])
    at, found = 4 + size, {}
    for name, kind, length in json.loads(body[4:at]):
        at += -at % 8
        found[name] = np.frombuffer(body, kind, length, at)
        at += found[name].nbytes
    assert at == len(body)
    return found


def test_columns_survive_the_way_to_the_browser():
    sent = {"a": np.arange(5), "b": np.array([0.5, np.nan]), "c": np.array([True, False, True]),
            "d": np.array([], np.uint8)}  # fmt: skip
    got = columns(pack(sent))
    assert list(got) == list(sent)
    for name, array in sent.items():
        np.testing.assert_array_equal(got[name], array)


def test_what_is_told_of_a_cell_is_what_the_registry_has(server, registry, cell):
    about = told(server, f"/told/cell/{cell.hash[:10]}")
    assert about["cell"] == cell.hash
    assert about["classes"] == [str(c) for c in range(10)]
    assert {row["cell"] for row in about["alike"]} == {cell.hash}
    scores = columns(ask(server, f"/told/cell/{cell.hash}/scores?estimator=")[1])
    table = registry.scores(cell.hash)
    for name in ("score", "low", "high", "included_count", "excluded_count"):
        np.testing.assert_array_equal(scores[name], table[name].to_numpy(np.float32))
    examples = columns(ask(server, f"/told/cell/{cell.hash}/examples")[1])
    np.testing.assert_array_equal(examples["label"], cell.train_labels)
    np.testing.assert_array_equal(examples["clean_label"], cell.examples["clean_label"][: cell.n_train])
    labels = columns(ask(server, f"/told/cell/{cell.hash}/labels")[1])
    likely = cell.label_check().query("low > 0")
    np.testing.assert_array_equal(labels["example"], likely["example"])
    np.testing.assert_array_equal(labels["proposed"], likely["proposed"])


def test_an_example_is_told_of_by_the_members(server, registry, cell):
    found, members = told(server, f"/told/cell/{cell.hash}/example/7"), cell.members()
    saw = members.included[:, 7]
    assert found["included"] == [float(m) for m in members.margin[saw, 7]]
    assert found["excluded"] == [float(m) for m in members.margin[~saw, 7]]
    assert found["votes"] == [*np.bincount(members.predicted[~saw, 7], minlength=10).tolist(), 0]
    score = registry.scores(cell.hash).set_index("example").loc[7, "score"]
    assert [row["score"] for row in found["cells"]] == [pytest.approx(score)]
    assert found["trace"] is None


def test_other_cells_with_the_data_set_have_the_example_too(server, registry, done):
    plain = done[1].cells.query("dataset == 'digits+subset=300'")["cell"]
    found = told(server, f"/told/cell/{plain.iloc[0]}/example/3")["cells"]
    expected = {h: registry.scores(h).set_index("example").loc[3, "score"] for h in plain}
    assert {row["cell"]: row["score"] for row in found} == pytest.approx(expected)


def test_a_study_has_its_correlation_at_every_threshold(server, registry):
    found, result = told(server, "/told/study/tiny"), registry.correlation("tiny").result
    assert [row["cell"] for row in found["cells"]] == list(registry.cells("tiny")["cell"])
    assert set(found["pooled"]) >= {f"memorized_fraction/{t / 100:.2f}" for t in range(5, 100, 5)}
    for key, r in result.pooled.items():
        assert found["pooled"][key]["r"] == (None if r.r != r.r else pytest.approx(r.r))
        assert found["pooled"][key]["n"] == r.n


def test_a_study_that_got_another_cell_is_correlated_anew(registry, done):
    asked = []
    nothing = json.dumps({"pooled": {}, "fixed_effects": {}, "cells": []})
    desk = Desk(registry, lambda name: asked.append(name) or nothing)
    desk.study("tiny")
    assert not asked
    client = mlflow.MlflowClient(uri(done[0]))
    more = registry.cells("tiny")["run_id"][0]
    client.log_metric(more, "members", 21)
    try:
        assert desk.study("tiny")["points"] == []
        assert asked == ["tiny"]
    finally:
        client.log_metric(more, "members", 20)


def test_images_come_as_they_are_and_as_sheets(server, cell):
    import io

    from PIL import Image

    images = cell.images([4, 9, 11])
    answer, body = ask(server, f"/told/cell/{cell.hash}/image/9")
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(body))), images[1][..., 0])
    body = ask(server, f"/told/cell/{cell.hash}/sheet?columns=2&examples=4,9,11")[1]
    sheet = np.asarray(Image.open(io.BytesIO(body)))
    assert sheet.shape == (16, 16)
    np.testing.assert_array_equal(sheet[8:, :8], images[2][..., 0])


def test_large_images_are_shrunk_and_centred():
    wide = np.full((1, 100, 300, 3), 255, np.uint8)
    sheet = np.asarray(tiles.sheet(wide, 1))
    assert sheet.shape == (96, 96, 3)
    assert sheet[48, 48].min() > 250
    assert sheet[5].max() == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/told/cell/ffff", 404),
        ("/told/study/nothing", 404),
        ("/told/cell/%27%20or%201=1/scores", 404),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/vendor/../server.py", 404),
        ("/vendor/..%2f..%2fserver.py", 404),
        ("/told/study/..%2f..%2fetc", 404),
    ],
)
def test_what_is_not_there_is_not_told(server, path, status):
    answer, body = ask(server, path)
    assert answer.status == status
    assert b"root:" not in body
    assert b"Traceback" not in body


@pytest.mark.parametrize("examples", ["", "-1", "300000", "1,x", "1;2", "9" * 40])
def test_no_sheet_of_examples_that_are_none(server, cell, examples):
    answer, body = ask(server, f"/told/cell/{cell.hash}/sheet?columns=3&examples={examples}")
    assert answer.status == 404
    assert json.loads(body)["error"]


@pytest.mark.parametrize("path", ["/", "/app.js", "/told/home", ""])
def test_only_who_has_the_token_is_answered(server, path):
    assert ask(server, path or "/", token="")[0].status == 403
    for token in ("wrong", server.token[:-1], f"{server.token}x", "%2e%2e", f"x/{server.token}"):
        assert ask(server, path, token=token)[0].status == 403
    answer, _ = ask(server, "/")
    assert answer.status == 200
    assert "set-cookie" not in answer.headers  # every other server of this machine would be sent it


def test_a_registry_has_the_same_port_each_time_and_says_when_it_is_taken(done, server):
    with exploring(uri(done[0])) as other:
        assert urlsplit(other).port != server.port
    first, usual = listening("sqlite:////somewhere/mlflow.db")
    with first:
        assert usual
        second, usual = listening("sqlite:////somewhere/mlflow.db")
        with second:
            assert not usual
            assert second.getsockname()[1] != first.getsockname()[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_is_refused_even_with_the_token(server, headers):
    assert ask(server, "/told/home", headers)[0].status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(server, method):
    assert ask(server, "/told/home", method=method)[0].status == 405


def test_every_answer_says_what_a_browser_may_do_with_it(server, cell):
    for path in ("/", "/app.js", "/told/home", "/nothing", f"/told/cell/{cell.hash}/image/0"):
        headers = ask(server, path)[0].headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing-there"], "neither a study nor a cell"),
        (["tiny", "--labels"], "which cell?"),
        (["--static", "page.html"], "which cell?"),
        (["CELL", "--static", "nowhere/page.html"], "its directory is not"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, said, done, cell, monkeypatch, capsys):
    monkeypatch.chdir(done[0])
    given = [cell.hash if word == "CELL" else word for word in words]
    bad_input(monkeypatch, capsys, explore, *given, "--tracking-uri", uri(done[0]), match=said)


def test_one_page_is_written_on_request_and_never_over_another(done, cell, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (cell.hash[:9], "--static", "page.html", "--tracking-uri", uri(done[0]))
    said = program(monkeypatch, capsys, explore, *words)
    assert re.fullmatch(r"page.html: \d\.\d MB\n", said)
    assert (tmp_path / "page.html").read_text() == cell.artifacts.get(NAME).read_text()
    bad_input(monkeypatch, capsys, explore, *words, match="there already")


def test_each_small_cell_of_a_study_keeps_a_page_of_itself(registry, done):
    for stored in registry.cells_by_run(done[1].cells["run_id"]):
        text = stored.artifacts.get(NAME).read_text(encoding="utf-8")
        assert len(text.encode()) < 10_000_000
        assert stored.tags[PAGE] == str(stored.count)
        content = embedded(text)
        assert content["about"]["cell"] == stored.hash
        assert not re.search(r'(src|href)="(?!data:)', re.sub(r"<script>.*", "", text, flags=re.DOTALL))


def test_a_page_is_made_again_for_more_members_and_only_then(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [{"dataset": "digits+subset=200", "epochs": 1}]
    first = run(tiny(cells=cells, members=4), tmp_path)
    stored = memreg.Registry(uri(tmp_path)).cell(first.cells["cell"][0])
    path = stored.artifacts.get(NAME)
    path.write_text("as it was")
    run(tiny(cells=cells, members=4), tmp_path)
    assert path.read_text() == "as it was"
    run(tiny(cells=cells, members=6), tmp_path)
    assert len(path.read_text()) > 100_000
    assert memreg.Registry(uri(tmp_path)).cell(stored.hash).tags[PAGE] == "6"


def test_a_hostile_name_cannot_leave_its_place_in_the_page(registry, cell):
    hostile = "</script><script>alert(1)</script><!-- scripts -->"
    renamed = registry.cell(cell.hash)
    renamed.examples["source_label"] = [hostile] * len(renamed.examples)
    text = static.page(renamed, images_of(renamed.cell, None))
    assert "<script>alert" not in text
    assert text.count("<script>") == 1
    content = embedded(text)
    assert content["about"]["classes"][0] == hostile


def test_presence_finds_whom_an_example_helps_and_nobody_else():
    rng = np.random.default_rng(0)
    included = rng.random((80, 40)) < 0.7
    values = rng.normal(size=(80, 100))
    values[:, 5] += 4 * included[:, 3]
    values[:, 60] += 3 * included[:, 3]
    values[:, 70] -= 3 * included[:, 3]
    parts = [(included[i : i + 16], values[i : i + 16].astype(np.float16)) for i in range(0, 80, 16)]
    found = presence(parts, 3)
    assert found.helped(10).tolist() == [5, 60]
    out = ~included[:, 5]
    saw = included[out, 3]
    v = values[out, 5].astype(np.float16).astype(float)
    assert found.effect[5] == pytest.approx(v[saw].mean() - v[~saw].mean())
    from scipy import stats

    expected = stats.ttest_ind(v[saw], v[~saw], equal_var=False, alternative="greater")
    assert found.p[5] == pytest.approx(expected.pvalue)
    assert np.isnan(found.effect[3])


def test_presence_is_seldom_seen_where_there_is_none():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(200):
        included, values = rng.random((40, 30)) < 0.7, rng.normal(size=(40, 60))
        false += len(presence([(included, values)], 0).helped(5)) > 0
    assert false <= 20  # 5 % of 200, and three standard errors


def test_reading_writes_nothing(done, server, cell):
    before = {p: p.stat().st_mtime_ns for p in (done[0] / "mlruns").rglob("*")}
    told(server, "/told/home")
    told(server, f"/told/cell/{cell.hash}/example/1")
    assert {p: p.stat().st_mtime_ns for p in (done[0] / "mlruns").rglob("*")} == before


def test_a_cell_without_scores_is_shown_without_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [{"dataset": "digits+subset=200", "epochs": 1, "design": "all"}]
    found = run(tiny(cells=cells, members=2), tmp_path)
    desk = Desk(memreg.Registry(uri(tmp_path)), str)
    about = desk.about(found.cells["cell"][0])
    assert about["first"] is None
    assert "has no scores" in about["without_scores"]
    assert about["side"] == 8
    assert desk.example(found.cells["cell"][0], 3)["votes"] == [0] * 11


def test_members_that_diverged_have_no_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [{"dataset": "digits+subset=300", "epochs": 20, "learning_rate": 100, "augmentation": 0}]
    found = run(tiny(cells=cells, members=12), tmp_path, tracing=Tracing(12, 3))
    stored = memreg.Registry(uri(tmp_path)).cell(found.cells["cell"][0])
    members = stored.members()
    assert 0 < members.diverged.sum() < 12
    assert len(stored.traces()) == 12
    told_ = Desk(memreg.Registry(uri(tmp_path)), str).example(stored.hash, 3)
    json.dumps(told_, allow_nan=False)
    assert told_["unit"] == "log odds"
    kept = members.kept()
    assert len(told_["included"]) == told_["trace"]["members"] == kept.included[:, 3].sum()
    assert sum(told_["votes"]) == (~kept.included[:, 3]).sum()


def test_a_page_of_more_examples_than_it_holds_has_the_suspects(registry, cell, monkeypatch):
    monkeypatch.setattr(static, "MOST", 100)
    likely = cell.label_check().query("low > 0")
    content = embedded(static.page(cell, images_of(cell.cell, None)))
    labels = columns(base64.b64decode(content["columns"]["labels"]))["example"]
    assert content["likely"] == len(likely)
    assert labels.tolist()[:50] == likely["example"].tolist()[:50]
    assert content["about"]["only"] == 100


@pytest.mark.parametrize("side", [32, 64, 96])
def test_a_page_of_2000_colour_images_is_under_10_mb(side, cell):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2000, side, side, 3), np.uint8)  # nothing takes more room
    assert len(static._sheet(noise)) < 9_200_000
    assert len(static.page(cell, SimpleNamespace(train_images=noise[: cell.n_train])).encode()) < 10_000_000
