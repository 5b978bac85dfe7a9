"""Leave-one-out end to end, on a planted set: entry points, stored cells, figures."""

import json
import re
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from studies import PLANTED, PLANTED_RECIPE, bad_input, program, refused, uri

from analysis.approximation_error import approximation_error
from analysis.influence import influence
from analysis.memorization import memorization
from entrypoints.leave_one_out import leave_one_out
from entrypoints.train import train
from memreg.errors import MemregError
from memreg.registry import Registry


def cells_of(registry, design):
    return registry.cells().query("design == @design")


def loo_cell(registry, target):
    """The first leave-one-out cell that has this target."""
    cells = cells_of(registry, "leave_one_out")["cell"]
    return next(c for c in cells if target in registry.cell(c).cell.design.targets)


def fields():
    return [
        word for key, value in PLANTED_RECIPE.items() for word in (f"--{key.replace('_', '-')}", str(value))
    ]


def figures_and_metrics(kind):
    """Of the newest analysis whose name begins so."""
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    ids = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(ids, f"run_name LIKE '{kind}%'", order_by=["start_time DESC"])[0]
    files = {f.path for f in client.list_artifacts(found.info.run_id)}
    files |= {f.path for f in client.list_artifacts(found.info.run_id, "figures")}

    def table(name):
        return pd.read_parquet(client.download_artifacts(found.info.run_id, f"{name}.parquet"))

    return files, found.data.metrics, table


def loo(tool, cell, targets, *more):
    Path("targets.txt").write_text("\n".join(map(str, targets)))
    words = ("--cell", cell, "--targets", "targets.txt", "--workers", "2")
    return tool(leave_one_out, *words, "--members", "4", "--everything", "6", *more)


def test_leave_one_out_is_equation_1_and_is_never_trained_twice(tool):
    cell, do = tool
    out = loo(do, cell, [0, 5, 201, 230])
    assert re.search("(16|22) to train", out)  # members on everything may be there already
    assert "Leave-one-out for 4 targets from 16 members without them, and 6 on everything" in out
    registry = Registry()
    hash_ = loo_cell(registry, 201)
    (all_cell,) = cells_of(registry, "all")["cell"]
    out = loo(do, cell, [0, 5, 201, 230])
    assert "22 already in the registry, 0 to train" in out
    without, everything = registry.predictions(hash_), registry.predictions(all_cell)
    label = registry.cell(cell).examples["label"].to_numpy()
    table = registry.scores(hash_, "leave_one_out")
    assert table["score"].notna().sum() == 4
    for k, target in enumerate([0, 5, 201, 230]):
        members = [k, k + 4, k + 8, k + 12]
        assert (~without.included[members, target]).all()
        assert (~without.included[members]).sum() == 4
        p0 = (without.predicted[members, target] == label[target]).mean()
        p1 = (everything.predicted[:, target] == label[target]).mean()
        assert table["score"][target] == pytest.approx(p1 - p0)
        assert table["excluded_count"][target] == 4
        assert table["included_count"][target] == 6


def test_groups_leave_out_as_much_with_fewer_networks_and_share_the_rest(tool):
    cell, do = tool
    Path("neighbours.json").write_text(json.dumps([[201, 202]]))
    words = ("--group-size", "4", "--neighbours", "neighbours.json", "--study", "groups")
    out = loo(do, cell, [1, 2, 3, 4, 100, 110, 201, 202], *words)
    assert "14 members: " in out
    registry = Registry()
    (grouped,) = cells_of(registry, "leave_group_out")["cell"]
    included = registry.predictions(grouped).included
    out_of = ~included[:, [1, 2, 3, 4, 100, 110, 201, 202]]
    assert (out_of.sum(0) == 4).all()
    assert set(out_of.sum(1)) == {4}
    assert not (out_of[:, 6] & out_of[:, 7]).any()


def test_members_are_added_until_intervals_are_narrow_and_the_same_after_a_crash(tool):
    cell, do = tool
    words = ("--halfwidth", "0.3", "--study", "narrow")
    out = loo(do, cell, [7, 8, 220], *words)
    assert "instead of" in out or "from 12 members" not in out
    registry = Registry()
    hash_ = loo_cell(registry, 220)
    table = registry.scores(hash_, "leave_one_out").dropna()
    assert ((table["high"] - table["low"]) / 2).max() <= 0.3
    members = registry.predictions(hash_).member.tolist()
    out = loo(do, cell, [7, 8, 220], *words)
    assert ", 0 to train" in out
    assert registry.predictions(hash_).member.tolist() == members
    assert len(members) > 12


def test_fixed_subsets_leave_one_out_inside_them(tool):
    cell, do = tool
    loo(do, cell, [3, 9], "--r", "0.5", "--study", "inside")
    registry = Registry()
    (fixed,) = cells_of(registry, "fixed")["cell"]
    base = registry.predictions(fixed).included
    assert (base == base[0]).all()
    several = cells_of(registry, "leave_one_out")["cell"]
    hash_ = next(c for c in several if registry.cell(c).cell.design.r == 0.5)
    for mask in registry.predictions(hash_).included:
        assert (mask != base[0]).sum() == 1


def test_from_a_data_set_and_a_model(tool):
    _, do = tool
    words = ("--epochs", "1", "--batch-size", "64", "--targets", "random:3", "--members", "2")
    out = do(leave_one_out, "--cell", "digits+subset=100/vgg3-w8", "--everything", "3", *words)
    assert "3 targets from 6 members" in out


def test_the_error_of_the_approximation_against_stored_cells(tool):
    cell, do = tool
    loo(do, cell, [0, 5, 201, 230])
    registry = Registry()
    hash_ = loo_cell(registry, 201)
    do(memorization, "--cell", cell, "--estimator", "peers", "--neighbours", "groups")
    out = do(approximation_error, "--subset-cell", f"{cell},{cell}:peers", "--loo-cell", hash_)
    assert "subsets r = 0.7 against leave-one-out on 4 targets" in out
    assert "noise alone" in out
    assert "subsets r = 0.7, peers: mean absolute error" in out
    files, metrics, table = figures_and_metrics("approximation error")
    assert {
        f"figures/{f}.png" for f in ("approximation_error", "error_by_group_size", "subpopulations")
    } <= files
    rows = [0, 5, 201, 230]
    error = registry.scores(cell)["score"][rows] - registry.scores(hash_, "leave_one_out")["score"][rows]
    assert metrics["mean_error"] == pytest.approx(error.mean())
    assert metrics["within_0.05"] == pytest.approx((error.abs() <= 0.05 + 1e-9).mean())
    assert {"false_positives/0.25", "false_negatives_noise/0.45", "spp_largest"} <= metrics.keys()
    targets = table("targets").query("estimate == 'subsets r = 0.7'")
    assert np.allclose(targets["error"], error)
    assert {"first half", "second half"} <= {e.split(", ")[-1] for e in table("errors")["estimate"]}


def test_targets_chosen_by_score_are_estimated_on_the_other_half(tool):
    cell, do = tool
    words = ("--targets", "top:3", "--members", "2", "--everything", "6", "--study", "top")
    do(leave_one_out, "--cell", cell, *words)
    registry = Registry()
    newest = registry.cells("top").query("design == 'leave_one_out'")["cell"].iloc[0]
    out = do(approximation_error, "--subset-cell", cell, "--loo-cell", newest)
    assert out.strip().startswith("subsets r = 0.7, second half against leave-one-out on 3 targets")
    chosen = registry.cell(newest).cell.design.targets
    loo(do, cell, chosen, "--members", "2", "--study", "again")
    do(memorization, "--cell", cell, "--estimator", "peers")
    out = do(approximation_error, "--subset-cell", f"{cell}:peers", "--loo-cell", newest)
    assert out.strip().startswith("subsets r = 0.7, second half against leave-one-out on 3 targets")
    assert "subsets r = 0.7, peers (its members chose the targets): mean absolute error" in out


def test_two_cells_of_one_kind_are_told_apart(tool):
    cell, do = tool
    loo(do, cell, [0, 5, 201, 230])
    do(train, "--dataset", PLANTED, *fields(), "--members", "20", "--design-seed", "7", "--study", "seven")
    other = Registry().cells("seven")["cell"][0]
    words = ("--subset-cell", f"{cell},{other}", "--loo-cell", loo_cell(Registry(), 201))
    assert f"subsets r = 0.7, {other[:8]}: mean absolute error" in do(approximation_error, *words)


def test_estimates_without_a_score_are_refused(tool, planted, monkeypatch, capsys):
    cell, do = tool
    loo(do, cell, [0, 5, 201, 230])
    everything = cells_of(Registry(), "all").query("dataset == @PLANTED")["cell"].iloc[0]
    words = ["--subset-cell", everything, "--loo-cell", loo_cell(Registry(), 201)]
    refused(planted, monkeypatch, capsys, approximation_error, words, "has no score for any target")


def test_scores_of_fewer_members_than_the_cell_has_now_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    do = partial(program, monkeypatch, capsys)
    words = ("--dataset", "digits+subset=200", *fields(), "--study", "grows")
    do(train, *words, "--members", "20")
    cell = Registry().cells("grows")["cell"][0]
    do(memorization, "--cell", cell, "--estimator", "gaussian")
    assert Registry().scores(cell, "gaussian")["included_accuracy"].notna().all()
    do(train, *words, "--members", "24")
    with pytest.raises(
        MemregError, match=r"from 20 members of cell .*, which has 24 now: .*--estimator gaussian"
    ):
        Registry().scores(cell, "gaussian")
    do(memorization, "--cell", cell, "--estimator", "gaussian")
    assert len(Registry().scores(cell, "gaussian")) == 200


def test_better_scores_are_kept_beside_the_plain_ones(tool):
    cell, do = tool
    out = do(memorization, "--cell", cell, "--estimator", "peers")
    assert "by peers" in out
    table = Registry().scores(cell, "peers")
    assert {"peers", "conditioned", "fallback"} <= set(table)
    assert len(table) == len(Registry().scores(cell))
    assert table["fallback"].dtype == bool


def test_extrapolation_takes_the_cells_that_differ_in_r_alone(tool):
    cell, do = tool
    for r in ("0.5", "0.9"):
        do(train, "--dataset", PLANTED, *fields(), "--members", "20", "--r", r, "--study", "siblings")
    do(memorization, "--cell", cell, "--estimator", "extrapolation")
    table = Registry().scores(cell, "extrapolation")
    assert table["score"].notna().all()
    assert (table["standard_error"] > 0).all()


def test_the_gaussian_score_is_near_the_counted_one(tool):
    cell, do = tool
    assert "by gaussian" in do(memorization, "--cell", cell, "--estimator", "gaussian")
    table, plain = Registry().scores(cell, "gaussian"), Registry().scores(cell)
    assert table[["example", "label"]].equals(plain[["example", "label"]])
    assert (table["included_accuracy"] == plain["included_accuracy"]).all()
    assert np.corrcoef(table["score"], plain["score"])[0, 1] > 0.9
    assert (table["low"] <= table["score"]).all()
    assert (table["score"] <= table["high"]).all()


def test_a_spread_cell_keeps_a_cells_neighbours_apart(tool):
    cell, do = tool
    more = ("--design", "spread", "--r", "0.9", "--neighbours", cell, "--members", "10", "--study", "spread")
    do(train, "--dataset", PLANTED, *fields(), *more)
    registry = Registry()
    (hash_,) = cells_of(registry, "spread")["cell"]
    groups = registry.cell(hash_).cell.design.neighbours
    included = registry.predictions(hash_).included
    assert (included.sum(0) == 9).all()
    for group in groups:
        assert (~included[:, list(group)]).sum(1).max() <= -(-len(group) // 10)


def test_influence_says_how_many_pairs_chance_gives_and_draws_them(tool):
    cell, do = tool
    out = " ".join(do(influence, "--cell", cell, "--threshold", "0.5").split())
    assert "60 members" in out
    files, metrics, table = figures_and_metrics("influence")
    assert {"figures/influence.png", "influence.parquet"} <= files
    pairs, members = table("influence"), Registry().predictions(cell)
    assert metrics["pairs"] == len(pairs)
    assert metrics["pairs_above"] > metrics["pairs_by_chance"] > 1
    assert f"where chance alone gives {metrics['pairs_by_chance']:.0f}" in out
    assert "can be told from chance" in out
    label = Registry().cell(cell).examples["label"].to_numpy()
    n = members.included.shape[1]
    right = members.predicted[:, n:] == label[n:]
    p1, p0 = (
        rows.T.astype(float) @ right / rows.sum(0)[:, None] for rows in (members.included, ~members.included)
    )
    assert metrics["pairs_above"] == (p1 - p0 >= 0.5).sum()
    assert {"train", "test", "train_label", "test_label", "influence", "p"} <= set(pairs)


def test_influence_of_too_few_members_is_refused_with_the_number_that_it_takes(done, monkeypatch, capsys):
    monkeypatch.chdir(done[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(done[0]))
    cell = Registry().cells("tiny")["cell"][0]
    err = bad_input(monkeypatch, capsys, influence, "--cell", cell, match="has 20 members")
    assert re.search(r"even the clearest influence among its 300 x \d+ pairs needs \d\d to be told", err)


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (leave_one_out, ["--cell", "CELL", "--targets", "top"], "top:K"),
        (leave_one_out, ["--cell", "CELL", "--targets", "top:0"], "how many"),
        (leave_one_out, ["--cell", "CELL", "--targets", "random:1000"], "only 234 training examples"),
        (leave_one_out, ["--cell", "CELL", "--targets", "bad.txt"], "'999' is no training example"),
        (leave_one_out, ["--cell", "CELL", "--targets", "none.txt"], "nor a file that can be read"),
        (
            leave_one_out,
            ["--cell", "CELL", "--targets", "top:3", "--epochs", "3"],
            "epochs is the cell's own",
        ),
        (leave_one_out, ["--cell", "digits/vgg3-w8", "--targets", "top:3"], "name a cell"),
        (leave_one_out, ["--cell", "digits/vgg3", "--targets", "random:3", "--epochs", "1"], "vgg3"),
        (leave_one_out, ["--cell", "nothing", "--targets", "top:3"], "nothing"),
        (leave_one_out, ["--cell", "CELL", "--targets", "random:3", "--halfwidth", "2"], "halfwidth"),
        (leave_one_out, ["--cell", "CELL", "--targets", "random:9", "--r", "0.01"], "fewer than"),
        (
            leave_one_out,
            ["--cell", "CELL", "--targets", "random:1", "--group-size", "2"],
            "cannot be split into groups",
        ),
        (
            leave_one_out,
            ["--cell", "CELL", "--targets", "random:4", "--group-size", "2", "--neighbours", "bad.json"],
            "list of lists",
        ),
        (approximation_error, ["--subset-cell", "CELL", "--loo-cell", "CELL"], "not leave_one_out"),
        (approximation_error, ["--subset-cell", "nothing", "--loo-cell", "CELL"], "not leave_one_out"),
        (memorization, ["--cell", "CELL", "--estimator", "shapley"], "unknown estimator 'shapley'"),
        (
            memorization,
            ["--cell", "CELL", "--estimator", "extrapolation", "--neighbours", "x"],
            "leave them out",
        ),
        (memorization, ["--cell", "CELL", "--estimator", "gaussian", "--neighbours", "x"], "leave them out"),
        (
            memorization,
            ["--cell", "CELL", "--estimator", "peers", "--neighbours", "far.json"],
            "neighbours: there is no training example 999: they go from 0 to",
        ),
        (memorization, ["--cell", "CELL", "--estimator", "leave_one_out"], "not leave_one_out"),
        (influence, ["--cell", "CELL", "--threshold", "0"], "threshold"),
        (influence, ["--cell", "nothing"], "nothing"),
    ],
    ids=lambda v: str(v)[:50],
)
def test_bad_input_is_one_line_and_trains_nothing(planted, monkeypatch, capsys, command, words, message):
    monkeypatch.chdir(planted[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(planted[0]))
    Path("bad.txt").write_text("3 999")
    Path("bad.json").write_text("[[1, 1]]")
    Path("far.json").write_text("[[1, 999]]")
    refused(planted, monkeypatch, capsys, command, words, message)
