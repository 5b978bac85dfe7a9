"""All correlations of a study, in numbers, words and figures."""

import json

import numpy as np
import pandas as pd
import pytest

from memreg.estimators.measured import KEYS, Measured
from memreg.estimators.over_cells import CORRELATED, correlations
from memreg.models.family import family
from memreg.questions.correlation import Correlated
from memreg.show import figures
from memreg.show.headline import in_short, numbers
from memreg.show.notes import IN_FULL, parts

GROUPS = np.repeat([0, 1, 2], [7, 6, 6])


def measured(test, excluded, included, dataset, blocks=4, slope=2.0):
    """As measured from cells whose fractions all are `slope` times the score."""
    cells = len(test)
    score = included - excluded
    values = {"test_accuracy": test, "included_accuracy": included, "gap": score, "mean_score": score}
    values = {key: values.get(key, slope * score) for key in KEYS}
    frame = pd.DataFrame(
        {"dataset": dataset, "model": ["vgg3-w8", "resnet8-w8"] * (cells // 2) + ["vit-mini"] * (cells % 2)}
    )
    frame["family"] = frame["model"].map(family)
    frame["members"] = 40.0
    shown = {k: v for key, v in values.items() for k, v in _with_interval(key, v)}
    frame = pd.concat([frame, pd.DataFrame(shown)], axis=1)
    noise = np.tile(1e-6 * np.eye(len(KEYS)), (cells, 1, 1))
    scores = [np.random.default_rng(c).normal(0.1, 0.1, (3, 30)) for c in range(cells)]
    return Measured(frame, noise, np.full(cells, blocks), scores)


def _with_interval(key, value):
    return ((key, value), (f"{key}_low", value - 0.01), (f"{key}_high", value + 0.01))


def test_pooled_only_is_flagged_in_the_numbers_and_in_words(tmp_path):
    rng = np.random.default_rng(6)
    test = 0.6 + 0.1 * GROUPS + 0.02 * rng.random(19)
    score = 0.5 - 0.15 * GROUPS + 2 * (test - 0.6 - 0.1 * GROUPS)
    dataset = np.array(["a", "b", "c"])[GROUPS]
    result = correlations(measured(test, 0.99 - score, np.full(19, 0.99), dataset), "mean_score")
    assert result.pooled["mean_score"].r < -0.9
    assert result.fixed_effects["mean_score"].r > 0.9
    assert all(rs["mean_score"].r > 0.9 for rs in result.within.values())
    assert set(result.pooled_only) == set(CORRELATED)
    words = Correlated(result).in_words()
    assert words.startswith(
        "Among 19 cells of 40 members on 3 data sets, the mean score falls as test accuracy"
    )
    assert "But data sets differ, and within them it rises: r = " in words.splitlines()[0]
    assert words.split("\n\n")[1].startswith("> **Warning:** pooled only. ")
    assert "the other sign within data sets" in words
    stored = json.loads(result.to_json())
    assert set(stored["pooled_only"]) == set(CORRELATED)
    assert set(stored["pooled"]) == set(CORRELATED)
    assert stored["without"].keys() == stored["within"].keys() == {"a", "b", "c"}
    assert "members" not in stored
    for figure in (
        figures.correlation(
            result.cells, "mean_score", result.pooled["mean_score"], result.fixed_effects["mean_score"]
        ),
        figures.thresholds(result.pooled, result.fixed_effects),
        figures.identity(result.cells, "mean_score", result.identities["mean_score"]),
        figures.trajectories(result.trajectories),
    ):
        figures.save(figure, tmp_path / "figure.png")


def test_one_data_set_is_not_flagged_and_its_r_is_called_arithmetic():
    test = np.linspace(0.6, 0.95, 19)
    excluded = test + 0.005 * np.random.default_rng(7).normal(size=19)
    result = correlations(measured(test, excluded, np.full(19, 0.99), "a"), "memorized_fraction/0.25")
    assert result.fixed_effects == result.without == {}
    words = Correlated(result).in_words()
    assert "Warning" not in words
    assert "Pooled" not in words
    found = parts(words)
    assert "memorization falls as test accuracy rises: r = -" in found.answer
    assert found.numbers.count("\n") == 1 + 4
    assert f"**{result.identities['memorized_fraction/0.25'].explained:.0%}** | of how memorization" in (
        found.numbers
    )
    assert found.in_full.startswith("**Correlation.**")
    assert "nearly all of it follows without a score" in words
    assert "It says nothing of memorization where it is nearly -1" in words


@pytest.mark.parametrize(
    ("slope", "offset", "said"),
    [
        (2.0, 0.0, "arithmetic has 1 to 4 (of the mean score"),
        (-4.9, 0.0, "the other direction, so that none of it is shown to follow without a score"),
        (0.1, 0.0, "another rate, so that none of it is shown to follow without a score"),
        (
            2.0,
            1.9,
            "nothing of the memorized fraction (true score >= 0.25) is shown to follow without a score",
        ),
    ],
)
def test_identity_is_a_verdict_on_arithmetic_alone(slope, offset, said):
    """offset: by how much excluded accuracy moves away from test accuracy as that rises."""
    test = np.linspace(0.6, 0.95, 19)
    excluded = test - offset * (test - 0.6) + 0.002 * np.random.default_rng(7).normal(size=19)
    result = correlations(
        measured(test, excluded, np.full(19, 0.99), "a", slope=slope), "memorized_fraction/0.25"
    )
    assert result.identities["memorized_fraction/0.25"].explained > 0.9
    assert (result.identities["mean_score"].explained < 0) == (offset > 1)
    words = Correlated(result).in_words()
    assert said in words
    assert ("nearly all of it follows" in words) == (slope == 2 and offset == 0)


def test_r_within_data_sets_comes_first_and_pooled_intervals_say_for_what_they_are():
    rng = np.random.default_rng(8)
    test = 0.6 + 0.1 * GROUPS + 0.02 * rng.random(19)
    result = correlations(measured(test, test - 0.1, np.full(19, 0.99), np.array(list("abc"))[GROUPS]), "gap")
    first, second, *_ = Correlated(result).in_words().partition(f"{IN_FULL}\n\n")[2].split("\n\n")
    assert "within data sets (fixed effects), n = 19: Pearson r = " in first
    assert "Pooled" not in first
    assert (
        "are for other cells of these 3 data sets; an interval for other data sets takes 5 of them" in second
    )
    five = np.repeat(np.arange(5), [4, 4, 4, 4, 3])
    result = correlations(measured(test, test - 0.1, np.full(19, 0.99), np.array(list("abcde"))[five]), "gap")
    low = result.pooled["gap"].cluster_low
    assert f"with data sets drawn anew r has [{low:.3f}, " in Correlated(result).in_words()
    title = (
        figures.correlation(result.cells, "gap", result.pooled["gap"], result.fixed_effects["gap"])
        .axes[0]
        .get_title(loc="left")
    )
    assert title.startswith("within data sets r = ")
    assert "these data sets pooled r = " in title


@pytest.mark.parametrize(
    ("slope", "offset", "said"),
    [
        (0.3, -0.3, "falls as test accuracy rises, r = -"),
        (-0.3, -0.3, "falls as test accuracy rises: r = -"),
        (0.0, 0.0, "no relation of the mean score with test accuracy is shown: within data sets r = "),
        (-0.3, 0.02, "falls as test accuracy rises within data sets, r = -"),
    ],
)
def test_the_sentence_says_which_way_it_goes_within_data_sets_and_over_all(slope, offset, said):
    """slope: of scores within data sets; offset: of the data sets' mean scores."""
    rng = np.random.default_rng(10)
    test = 0.6 + 0.05 * GROUPS + 0.1 * rng.random(19)
    score = 0.4 + 0.3 * offset * GROUPS + slope * (test - 0.05 * GROUPS) + 0.01 * rng.normal(size=19)
    dataset = np.array(["a", "b", "c"])[GROUPS]
    result = correlations(measured(test, 0.99 - score, np.full(19, 0.99), dataset), "mean_score")
    sentence, *warnings = in_short(result).splitlines()
    assert said in sentence
    assert sentence.endswith(".")
    assert all(line.startswith("Warning: ") for line in warnings)
    within, pooled = result.fixed_effects["mean_score"], result.pooled["mean_score"]
    assert [value for value, _ in numbers(result)][:2] == [
        f"{r.r:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in (within, pooled)
    ]


@pytest.mark.parametrize(
    ("n", "kept", "said"),
    [
        (3, set(), ["no r, which takes 4 cells and has 3"]),
        (4, {"pearson"}, ["Pearson r = ", "(resampling takes 6, Spearman's rho takes 8 cells)"]),
        (8, {"pearson"}, ["Spearman's rho = "]),
    ],
)
def test_few_cells_say_how_many_it_takes(n, kept, said):
    rng = np.random.default_rng(9)
    test = np.sort(rng.uniform(0.6, 0.9, n))
    result = correlations(measured(test, test - 0.05 * rng.random(n), np.full(n, 0.99), "a"), "mean_score")
    words = Correlated(result).in_words()
    assert all(text in words for text in said)
    assert n > 3 or words.count("no r, which") == 1
    assert "nan" not in words
    assert "-1.000]" not in words
    assert {name.partition("/")[0] for name in Correlated(result).metrics()} == kept
