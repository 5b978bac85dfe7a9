"""`memreg leaderboard` end to end, on a planted set: what it keeps, and what it is when computed by hand."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from studies import PLANTED, PLANTED_RECIPE, bad_input, program, refused, uri

from entrypoints.leaderboard import leaderboard
from memreg.cell import Cell
from memreg.data import load
from memreg.design import Subsets
from memreg.engines import Resources, engine
from memreg.errors import MemregError, OutageError
from memreg.estimators.proxies import NEEDS
from memreg.estimators.similar import similar_groups
from memreg.exchange.archive import export_study, opened
from memreg.exchange.incoming import From, bring_in
from memreg.questions.leaderboard import looking_at, run
from memreg.recipe import Recipe
from memreg.registry import Registry
from memreg.registry.stored_cell import Part
from memreg.requests.leaderboard import Request
from memreg.scoring.designed import DESIGNED
from memreg.scoring.estimated import gaussian_scores
from memreg.scoring.neighbours import LOOKED_AT
from memreg.scoring.proxies import ESTIMATES, KNOWN, chosen, of_traces
from memreg.scoring.several_r import EXTRAPOLATION
from memreg.show.notes import parts
from memreg.studies.progress import Silent
from memreg.studies.study import Where
from memreg.tracing import Tracing

TARGETS = [*range(200, 212), *range(12)]
"""Of all sizes of sub-populations up to 8, and ordinary examples."""
WITHOUT, EVERYTHING, MOST = 4, 40, 20
SOME = "final_margin,curvature,subsets"


def memreg(directory, *words):
    """What a command says, run in a process of its own."""
    process = subprocess.run(
        ["memreg", *words, "--workers", "2"],
        cwd=directory,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri(directory)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return " ".join(process.stdout.split())


def kept(directory, study="leaderboard"):
    """Of a study: (names of its artifacts, its metrics, a function from such a name to its path)."""
    client = mlflow.MlflowClient(uri(directory))
    ids = [e.experiment_id for e in client.search_experiments()]
    (found,) = client.search_runs(ids, f"tags.`memreg.kind` = 'study' and run_name = '{study}'")
    names = {f.path for folder in ("", "figures") for f in client.list_artifacts(found.info.run_id, folder)}

    def path(name):
        return Path(client.download_artifacts(found.info.run_id, name))

    return names, found.data.metrics, path


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A leave-one-out cell that the leaderboard has judged all proxies by, at 1, 5 and 20 networks."""
    directory = tmp_path_factory.mktemp("leaderboard")
    (directory / "targets.txt").write_text("\n".join(map(str, TARGETS)))
    recipe = {key: value for key, value in PLANTED_RECIPE.items() if key != "model"}
    fields = [word for key, value in recipe.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    cell = f"{PLANTED}/{PLANTED_RECIPE['model']}"
    numbers = ("--members", str(WITHOUT), "--everything", str(EVERYTHING))
    memreg(directory, "leave_one_out", "--cell", cell, *fields, "--targets", "targets.txt", *numbers)
    registry = Registry(uri(directory))
    cells = registry.cells().set_index("design")["cell"]
    archive = directory / "before.zip"
    export_study(registry, "leave_one_out", archive)
    said = memreg(directory, "leaderboard", "--loo-cell", cells["leave_one_out"], "--networks", "1,5,20")
    names, metrics, path = kept(directory)
    return SimpleNamespace(
        directory=directory,
        registry=registry,
        loo=cells["leave_one_out"],
        everything=cells["all"],
        archive=archive,
        said=said,
        names=names,
        metrics=metrics,
        table=pd.read_parquet(path("leaderboard.parquet")),
        by_size=pd.read_parquet(path("leaderboard-by-size.parquet")),
        bits=path("leaderboard.parquet").read_bytes(),
    )


@pytest.fixture
def here(judged, monkeypatch):
    monkeypatch.chdir(judged.directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(judged.directory))
    return judged


def truth_by_hand(judged, traced=MOST):
    """Equation 1, its first term from members on everything of which no trace is made."""
    registry = judged.registry
    label = registry.cell(judged.loo).labels[TARGETS]
    without, whole = registry.predictions(judged.loo), registry.predictions(judged.everything)
    untraced = whole.member >= traced
    assert untraced.sum() == EVERYTHING - traced
    first = (whole.predicted[untraced][:, TARGETS] == label).mean(0)
    out = ~without.included[:, TARGETS]
    assert (out.sum(0) == WITHOUT).all()
    right = without.predicted[:, TARGETS] == label
    return first - (right & out).sum(0) / out.sum(0)


def row(table, proxy, networks):
    (found,) = table.query("proxy == @proxy and networks == @networks").to_dict("records")
    return found


def test_tables_figures_and_metrics_are_kept_with_the_study(judged):
    assert {
        "leaderboard.parquet",
        "leaderboard-by-size.parquet",
        "report.html",
        "figures/leaderboard.png",
        "figures/disagreement.png",
    } <= judged.names
    assert judged.metrics["targets"] == len(TARGETS)
    assert judged.metrics["constant_error"] == judged.table["constant_error"].iloc[0]
    for name in ("ceiling", "floor"):
        assert judged.metrics[name] == judged.table[name].iloc[0]
    for name in ("error", "spearman"):
        most = {own.proxy: own[name] for _, own in judged.table.sort_values("networks").iterrows()}
        assert {key: judged.metrics[f"{name}/{key}"] for key in most} == most
    assert f"Leave-one-out scores of {len(TARGETS)} targets" in judged.said
    assert "20 networks: " in judged.said
    assert "1 network: " not in judged.said
    note = judged.registry.study_run("leaderboard").data.tags["mlflow.note.content"]
    for said in ("1 network: ", "5 networks: ", "20 networks: "):
        assert said in parts(note).in_full


def test_every_proxy_is_judged_at_the_numbers_it_can_be_had_from(judged):
    table = judged.table
    assert set(table["proxy"]) == set(chosen("all")) - {*DESIGNED, EXTRAPOLATION}
    for proxy, own in table.groupby("proxy"):
        found = dict(zip(own["networks"], own["repetitions"], strict=True))
        assert found == ({1: 10, 5: 4, 20: 1} if of_traces(proxy) else {20: 1}), proxy
        assert own["plain_error"].notna().all() == (proxy in ESTIMATES)
    assert (table["missing"] == 0).all()
    assert not table.duplicated(["proxy", "networks"]).any()


def test_costs_are_in_trainings_of_a_network_on_everything(judged):
    traces, n = judged.registry.cell(judged.everything).traces(), len(judged.registry.scores(judged.loo))
    assert traces.member.tolist() == list(range(MOST))
    for own in judged.table.itertuples():
        if not of_traces(own.proxy):
            assert own.cost == pytest.approx(MOST * round(0.7 * n) / n)
            continue
        observers = ["fit", *([NEEDS[own.proxy]] if own.proxy in NEEDS else [])]
        each = 1 + sum(traces.costs[name].mean() for name in observers)
        assert own.cost == pytest.approx(own.networks * each)
        assert own.cost > own.networks


def test_a_proxy_of_traces_is_what_it_is_by_hand(judged):
    traces = judged.registry.cell(judged.everything).traces()
    margin = traces["margin"][:, -1].astype(float)[:, TARGETS]
    truth = truth_by_hand(judged)
    found = row(judged.table, "final_margin", MOST)
    assert found["spearman"] == pytest.approx(spearmanr(-margin.mean(0), truth).statistic)
    found = row(judged.table, "final_margin", 5)
    fives = [spearmanr(-margin[first : first + 5].mean(0), truth).statistic for first in (0, 5, 10, 15)]
    assert found["spearman"] == pytest.approx(np.mean(fives))
    assert found["spearman_networks_low"] < found["spearman"] < found["spearman_networks_high"]
    assert np.isnan(row(judged.table, "final_margin", MOST)["spearman_networks_low"])


def test_scores_by_few_members_are_what_they_are_by_hand(judged):
    (hash_,) = judged.registry.cells().query("design == 'subsets'")["cell"]
    members = judged.registry.predictions(hash_)
    assert members.member.tolist() == list(range(MOST))
    with pytest.raises(MemregError, match="no traces"):  # so few networks lay out no design
        judged.registry.cell(hash_).traces()
    right = members.predicted[:, TARGETS] == judged.registry.cell(hash_).labels[TARGETS]
    included = members.included[:, TARGETS]
    p1, p0 = ((right & rows).sum(0) / rows.sum(0) for rows in (included, ~included))
    truth = truth_by_hand(judged)
    found = row(judged.table, "subsets", MOST)
    assert found["plain_error"] == pytest.approx(np.abs(p1 - p0 - truth).mean())
    assert found["spearman"] == pytest.approx(spearmanr(p1 - p0, truth).statistic)
    wrong = row(judged.table, "excluded_accuracy", MOST)
    assert wrong["spearman"] == pytest.approx(spearmanr(1 - p0, truth).statistic)


@pytest.fixture
def elsewhere(judged, tmp_path, monkeypatch):
    """A directory whose registry has the leave-one-out cell and that on everything alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    with opened(judged.archive) as found:
        bring_in(found.cells, From("before", found.grid, ""), Silent(), uri(tmp_path))
    return tmp_path


def test_scores_at_three_r_are_carried_to_leave_one_out(judged, elsewhere, monkeypatch, capsys):
    """At r = .5, .7 and .9 a polynomial of degree 2 in 1 - r goes through all three: Lagrange's weights."""
    words = ("--loo-cell", judged.loo, "--networks", "30,40", "--workers", "2")
    program(monkeypatch, capsys, leaderboard, *words, "--proxies", f"{EXTRAPOLATION},subsets")
    registry = Registry(uri(elsewhere))
    cells = registry.cells().query("design == 'subsets'").set_index("r")["cell"]
    members = {r: registry.predictions(hash_) for r, hash_ in cells.items()}
    assert {r: len(own) for r, own in members.items()} == {0.5: 10, 0.7: 40, 0.9: 20}
    label, score = registry.cell(judged.loo).labels[TARGETS], 0
    for r, weight in ((0.5, 0.375), (0.7, -1.25), (0.9, 1.875)):
        first = members[r].member < 10
        right = members[r].predicted[first][:, TARGETS] == label
        included = members[r].included[first][:, TARGETS]
        p1, p0 = ((right & rows).sum(0) / rows.sum(0) for rows in (included, ~included))
        score += weight * (p1 - p0)
    table = pd.read_parquet(kept(elsewhere)[2]("leaderboard.parquet"))
    found = row(table, EXTRAPOLATION, 30)
    assert found["plain_error"] == pytest.approx(
        np.abs(np.clip(score, -1, 1) - truth_by_hand(judged, traced=0)).mean()
    )
    assert found["cost"] == pytest.approx(10 * (0.5 + 0.7 + 0.9), rel=0.01)
    assert row(table, EXTRAPOLATION, 40)["cost"] == pytest.approx(10 * (0.5 + 0.7) + 20 * 0.9, rel=0.01)


def test_a_design_is_judged_from_as_many_networks_as_it_says(judged, elsewhere, monkeypatch, capsys):
    """Also where several numbers of networks lay out the same one, by as many pilots; what looked at their
    features is charged."""
    earlier = ("--trace", "12", "--checkpoints", "2", "--observers", "gradient_norm", "--members", "20")
    memreg(elsewhere, "train", "--like", judged.everything, *earlier)
    words = ("--loo-cell", judged.loo, "--networks", "60,100", "--workers", "2")
    program(monkeypatch, capsys, leaderboard, *words, "--proxies", "spread")
    registry = Registry(uri(elsewhere))
    cells = registry.cells().set_index("design")["cell"]
    assert len(registry.predictions(cells["subsets"])) == 40, "the pilots of both"
    everything = registry.cell(cells["subsets"]).traces()
    assert everything.member.tolist() == list(range(12)), "what was traced before is there"
    assert "gradient_norm" in everything.quantities
    assert len(everything.steps) == 2
    traces = registry.cell(cells["subsets"]).traces(members=LOOKED_AT)
    table = pd.read_parquet(kept(elsewhere)[2]("leaderboard.parquet"))
    spread, truth = registry.cell(cells["spread"]), truth_by_hand(judged, traced=0)
    n = spread.n_train
    assert spread.cell.design.neighbours == similar_groups(
        traces["features"].astype(np.float32), spread.train_labels, range(n), 10
    )
    assert spread.count == 60
    looked = LOOKED_AT * sum(traces.costs[name].mean() for name in ("fit", "features"))
    for networks, rest in ((60, 20), (100, 60)):
        scores = gaussian_scores(Part(spread, range(rest)))["score"].to_numpy()
        error = np.abs(scores[TARGETS] - truth).mean()
        found = row(table, "spread", networks)
        assert found["plain_error"] == pytest.approx(error)
        shares = (40 + looked) * round(0.7 * n) + rest * round(0.9 * n)
        assert found["cost"] == pytest.approx(shares / n)


def test_a_model_without_features_is_no_hindrance(judged, tmp_path, monkeypatch, caplog):
    (tmp_path / "scaled.py").write_text(
        "from torch import nn\n"
        "class Scaled(nn.Module):\n"
        "    def __init__(self, inputs, classes):\n"
        "        super().__init__()\n"
        "        self.last = nn.Linear(inputs, classes)\n"
        "    def forward(self, images):\n"
        "        return 2 * self.last(images.flatten(1))\n"
        "def build(image_shape, classes):\n"
        "    return Scaled(image_shape[0] * image_shape[1] * image_shape[2], classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe(model="scaled:build", epochs=1, batch_size=10, learning_rate=0.1)
    cell = Cell(dataset="digits", dataset_fingerprint="x", recipe=recipe, design=Subsets())
    pilots = SimpleNamespace(cell=cell, dataset=load("digits+subset=100"))
    assert not looking_at(pilots, judged.registry).members
    assert "that co-influence finds" in caplog.text
    pilots.cell = cell.model_copy(update={"recipe": recipe.model_copy(update={"model": "vgg3-w8"})})
    assert looking_at(pilots, judged.registry) == Tracing.by(LOOKED_AT, 1, "features")


@pytest.mark.parametrize("error", [OutageError("no connection"), MemregError("damaged trace")])
def test_traces_that_cannot_be_read_are_not_taken_for_none(error):
    """Others would take their place."""

    def unreadable(*_):
        raise error

    stored = SimpleNamespace(each_trace=unreadable)
    pilots = SimpleNamespace(cell=SimpleNamespace(hash="abc"))
    outage = isinstance(error, OutageError)
    registry = SimpleNamespace(cell=unreadable if outage else lambda _: stored)
    with pytest.raises(type(error), match=str(error)):
        looking_at(pilots, registry)


def test_what_is_said_to_come_closest_errs_least_of_all(judged):
    """Also where at the most networks others alone are judged."""
    best = judged.table.sort_values(["error", "networks"]).iloc[0]
    assert judged.said.count(f"{best.proxy}, from {best.networks} networks, comes closest") == 1
    assert judged.table["networks"].max() == MOST


def test_errors_by_size_are_means_over_sub_populations(judged):
    sizes = [1, 2, 2, 3, 3, 3, *[5] * 5, 8, *[0] * 12]
    counts = pd.Series(sizes).value_counts().to_dict()
    for (proxy, networks), own in judged.by_size.groupby(["proxy", "networks"]):
        assert dict(zip(own["size"], own["targets"], strict=True)) == counts
        error = (own["error"] * own["targets"]).sum() / len(TARGETS)
        assert error == pytest.approx(row(judged.table, proxy, networks)["error"])


def test_running_again_trains_nothing_and_gives_the_same_to_the_bit(here, monkeypatch, capsys):
    words = ("--loo_cell", here.loo, "--networks", "20,5,1,5", "--workers", "2")
    out = program(monkeypatch, capsys, leaderboard, *words)
    assert ", 0 to train" in out
    assert kept(here.directory)[2]("leaderboard.parquet").read_bytes() == here.bits


class Killed(BaseException):
    """As Ctrl-C, but nobody listens."""


def judge(directory, loo, killed_after=None):
    """What the leaderboard trains in this process, with two workers, until it is killed."""
    trained = []
    inner = engine("local", Resources(workers=2))

    def counting(jobs, datasets):
        for result in inner.run(jobs, datasets):
            if len(trained) == killed_after:
                raise Killed
            trained.append(result)
            yield result

    request = Request(loo_cell=loo, proxies=SOME, networks="1,5,20", study="some")
    where = Where(replace(inner, run=counting), tracking_uri=uri(directory))
    run(request, Tracing(100), where, Silent())
    return len(trained)


def test_what_was_killed_ends_as_what_was_not(judged, elsewhere):
    assert judge(judged.directory, judged.loo) == 0
    whole = kept(judged.directory, "some")[2]("leaderboard.parquet")
    for members in (5, 25):
        with pytest.raises(Killed):
            judge(elsewhere, judged.loo, members)
    assert 0 < judge(elsewhere, judged.loo) < MOST
    again = kept(elsewhere, "some")[2]("leaderboard.parquet")
    assert again.read_bytes() == whole.read_bytes()


OWN = """
import torch


def observe(network, images, labels):
    with torch.no_grad():
        logits = network(images)
    own = labels[:, None]
    rest = logits.scatter(1, own, -torch.inf).logsumexp(1)
    return {"doubt": rest - logits.gather(1, own)[:, 0], "logits": logits}


def doubt(traces):
    assert traces["logits"].shape[1:] == (traces.included.shape[1], 10)
    return traces.mean(traces["doubt"][:, -1].astype(float))


def final(traces):
    return traces.mean(-traces["margin"][:, -1].astype(float))


def short(traces):
    return [1.0, 2.0]


def infinite(traces):
    return final(traces) / 0.0
"""


@pytest.fixture
def own(here):
    (here.directory / "mine_own.py").write_text(OWN)
    return here


def test_a_proxy_and_an_observer_of_ones_own_are_judged_beside_the_others(own, monkeypatch, capsys):
    """Of fewer members than kept a trace before; theirs have then what the others' lack."""
    words = ("--loo_cell", own.loo, "--networks", "1,5", "--trace", "5", "--study", "own")
    proxies = "mine_own:doubt,mine_own:final,final_margin"
    observers = ("--observers", "mine_own:observe")
    out = program(monkeypatch, capsys, leaderboard, *words, "--proxies", proxies, *observers)
    assert "5 networks" in out
    _, metrics, path = kept(own.directory, "own")
    table = pd.read_parquet(path("leaderboard.parquet"))
    assert metrics["error/mine_own.doubt"] == row(table, "mine_own:doubt", 5)["error"]
    for networks in (1, 5):
        doubt, final, usual = (row(table, name, networks) for name in proxies.split(","))
        assert final["spearman"] == usual["spearman"]
        assert doubt["spearman"] == pytest.approx(usual["spearman"], abs=0.02)
        assert doubt["cost"] > usual["cost"] > networks
    assert len(own.registry.cell(own.everything).traces()) == MOST


def test_targets_that_members_chose_are_not_judged_by_those_members(here, monkeypatch, capsys):
    cells = here.registry.cells().set_index("design")["cell"]
    client, run_id = mlflow.MlflowClient(uri(here.directory)), here.registry.cell(here.loo).run_id
    before = client.get_run(run_id).data.tags["memreg.targets"]
    client.set_tag(run_id, "memreg.targets", f"{before}; top:9 by the first half of {cells['subsets'][:12]}")
    words = ("--loo-cell", here.loo, "--networks", "20", "--proxies", "subsets")
    try:
        said = bad_input(monkeypatch, capsys, leaderboard, *words)
        assert "say another design_seed" in said
        said = bad_input(monkeypatch, capsys, leaderboard, *words, "--r", "0.123456")
        assert "1 - d/q" in said
    finally:
        client.set_tag(run_id, "memreg.targets", before)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("short", "proxy mine_own:short: returned list: it must return 234 numbers, one per example"),
        ("infinite", "proxy mine_own:infinite: returned an infinite number"),
        ("doubts", "proxy mine_own:doubts: cannot be imported"),
    ],
)
def test_a_proxy_of_ones_own_that_gives_something_else_is_refused_in_a_line(
    own, monkeypatch, capsys, proxy, said
):
    words = ("--loo_cell", own.loo, "--networks", "1", "--trace", "1", "--study", "wrong")
    bad_input(monkeypatch, capsys, leaderboard, *words, "--proxies", f"mine_own:{proxy}", match=said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--proxies", "final_margins"], "unknown proxy 'final_margins': did you mean final_margin"),
        (["--proxies", "entirely"], f"unknown proxy 'entirely': one of {KNOWN[0]}"),
        (["--proxies", ","], "name one or more"),
        (["--proxies", "nowhere:proxy"], "No module named 'nowhere'"),
        (["--networks", "0"], "networks=0: whole numbers from 1"),
        (["--networks", "5,x"], "networks=5,x: whole numbers from 1"),
        (["--networks", ""], "networks=: whole numbers from 1"),
        (["--loo_cell", "EVERYTHING"], "is of design all, not leave_one_out"),
        (["--loo_cell", "nothing"], "nothing"),
        (["--networks", "30", "--trace", "30"], "has 10 beside the 30 .* the truth takes 20"),
        (["--networks", "5,20", "--trace", "4"], "networks=5,20: none of them is trace=4 or less"),
        (["--networks", "5", "--proxies", "subsets"], "whole blocks at r = 0.7"),
        (["--networks", "20", "--proxies", "extrapolation"], "for extrapolation a multiple of 10, 30 at"),
        (["--observers", "curve", "--trace", "20"], "unknown observer 'curve'"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(here, monkeypatch, capsys, words, said):
    given = {"--loo_cell": "CELL", "--networks": "1"} | dict(zip(words[::2], words[1::2], strict=True))
    options = [word.replace("EVERYTHING", here.everything) for pair in given.items() for word in pair]
    refused((here.directory, here.loo), monkeypatch, capsys, leaderboard, options, said)
