"""All that a correlation says, written from its numbers, in Markdown."""

from memreg.estimators.correlation import FEWEST_CLUSTERS, FEWEST_RANKED, FEWEST_RESAMPLED, Pearson
from memreg.estimators.identity import Identity
from memreg.estimators.over_cells import Correlation
from memreg.estimators.trajectories import MOVE, SHAPES, Trajectories
from memreg.show.headline import interval, known, missing, named, numbers, span, with_interval
from memreg.show.notes import answered


def in_words(result: Correlation, short: str) -> str:
    """The answer and its numbers; then a paragraph each on r, data sets, identity and trajectories.

    short: the answer. Where no statistic has an r, that is said once.
    """
    parts = [_trajectories(result)]
    if any(known(r.r) for r in result.pooled.values()):
        parts = [_headline(result), _pooled(result), _datasets(result), _identity(result), *parts]
    return answered(short, numbers(result), "\n\n".join(part for part in parts if part))


def _headline(result: Correlation) -> str:
    """Within data sets, where there are several with several cells: pooled, r tells data sets apart too."""
    name, within = _first_large(named(result.statistic)), result.fixed_effects
    if not within:
        return f"**Correlation.** {name} with test accuracy {_over_all(result)}"
    r = within[result.statistic]
    text = (
        f"**Correlation.** {name} with test accuracy within data sets (fixed effects), n = {r.n}: {_all(r)}."
    )
    if result.statistic != "mean_score":
        text += f" Mean score: {_r(within['mean_score'])}."
    return text


def _pooled(result: Correlation) -> str:
    if not result.fixed_effects:
        return ""
    sets, r = result.cells["dataset"].nunique(), result.pooled[result.statistic]
    drawn = (
        f"with data sets drawn anew r has {interval(r.cluster_low, r.cluster_high)}"
        if known(r.cluster_low)
        else f"an interval for other data sets takes {FEWEST_CLUSTERS} of them"
    )
    return (
        f"**Pooled**, where r also tells data sets apart, {_over_all(result)} Pooled intervals, here and "
        f"below, are for other cells of these {sets} data sets; {drawn}."
    )


def _over_all(result: Correlation) -> str:
    r, score = result.pooled[result.statistic], result.pooled["mean_score"]
    members = result.cells["members"]
    text = f"over {r.n} cells of {span(members.min(), members.max())} members: {_all(r)}."
    if result.statistic != "mean_score":
        text += f" Mean score: {_r(score)}."
    if known(score.corrected):
        text += (
            f" Without the noise of finite members the mean score's r would be {score.corrected:.3f} "
            f"{interval(score.corrected_low, score.corrected_high)}."
        )
    return text


def _datasets(result: Correlation) -> str:
    if not result.fixed_effects:
        return ""
    key = result.statistic
    within = [f"{name} {_listed(rs[key])}" for name, rs in result.within.items()]
    without = [f"{name} {with_interval(rs[key])}" for name, rs in result.without.items()]
    families = [f"{name} {_listed(rs[key])}" for name, rs in result.families.items()]
    text = f"**Data sets.** Within each: {'; '.join(within) or 'none has 3 cells'}."
    if without:
        text += f" Pooled, leaving one out: {'; '.join(without)}."
    if families:
        text += f" Pooled, within each model family: {'; '.join(families)}."
    return text


def _identity(result: Correlation) -> str:
    key = result.statistic
    if key not in result.identities:
        given = result.given_included
        return (
            f"**Included accuracy.** With included accuracy held fixed, {named(key)} correlates with test "
            f"accuracy with {_r(given[key])}. The mean score then does with "
            f"{with_interval(given['mean_score'])}, which is arithmetic: it is a constant minus nearly test "
            "accuracy."
        )
    name, what, own = named(key), result.identities[key], result.identities["mean_score"]
    given, gap = result.given_included, result.pooled["gap"]
    score = "" if key == "mean_score" else f"; of the mean score {with_interval(given['mean_score'])}"
    return (
        "**Identity.** A part of this correlation is arithmetic. The mean score is included minus excluded "
        "accuracy (with equal counts), and excluded accuracy is nearly test accuracy. So included minus test "
        "accuracy stands in for the mean score although no example is left out, and it correlates with test "
        f"accuracy by itself: {_r(what.arithmetic, interval=False)}. {_share(name, what, own)} What it "
        f"leaves of the {name} correlates with test accuracy with {_r(what.remainder)}; included minus "
        f"excluded accuracy does with {_r(gap)}. The partial correlation given included accuracy is of the "
        f"{name} {with_interval(given[key])}{score}. It says nothing of memorization where it is nearly -1: "
        "with included accuracy held fixed, the mean score is a constant minus nearly test accuracy."
    )


def _share(name: str, what: Identity, own: Identity) -> str:
    """How much of a statistic is arithmetic, if it is; own: the mean score's, whose slope is 1."""
    if what.explained != what.explained:
        return f"The {name} is the same in all cells."
    if not own.explained > 0:
        share = f"{own.explained:.0%}" if own.explained > -1 else "-100% or less"
        return (
            "It is further from the mean score than the mean score is from its own mean over cells "
            f"(explained: {share}): excluded accuracy is not near enough to test accuracy here, "
            f"and nothing of the {name} is shown to follow without a score."
        )
    varies = f"{what.explained:.1%} of how the {name} varies over all cells"
    line = f"A line in included minus test accuracy explains {varies}"
    if what is own:
        return f"It explains {varies}: {_follows(what)}"
    expected = "1" if what.steepest == 1 else f"1 to {what.steepest:.3g}"
    sloped = f"{line}, with a slope of {what.slope:.2f} where arithmetic has {expected}"
    if not what.arithmetic_slope:
        wrong = "the other direction" if what.slope < 0 else "another rate"
        return f"{sloped}: {wrong}, so that none of it is shown to follow without a score."
    return f"{sloped} (of the mean score {own.explained:.1%}, by itself): {_follows(what)}"


def _follows(what: Identity) -> str:
    bounds = ((0.9, "nearly all"), (0.5, "more than half"), (-1e9, "less than half"))
    share = next(text for bound, text in bounds if not what.explained < bound)
    return f"{share} of it follows without a score."


def _trajectories(result: Correlation) -> str:
    lines = [f"{name}, {_moving(moving)}" for name, moving in result.trajectories.items()]
    if not lines:
        return ""
    return (
        "**Trajectories.** Scores of single examples along test accuracy, false discoveries held to 5 %, "
        f"intervals for movements of {MOVE} and more, shown or not: {' '.join(lines)}"
    )


def _moving(moving: Trajectories) -> str:
    s, ratio = moving.shares, moving.between_over_noise
    found = [
        f"{s.share[i]:.1%} {shape} {interval(s.low[i], s.high[i], '.1%')}" for i, shape in enumerate(SHAPES)
    ]
    shown = f"{1 - s.share.sum():.1%} show no movement" if s.share.any() else "none shows a movement"
    text = f"{s.examples:,} examples over {s.cells} cells: {', '.join(found)}; {shown}."
    if known(ratio):
        members = "hardly more members" if ratio > 1 else "so would more members"
        text += (
            f" Between cells scores vary, besides, by {ratio:.1f} times the variance of members' noise: "
            f"more cells would show more, {members}."
        )
    return text


def _all(r: Pearson) -> str:
    """r with every interval, rho, and what these take where there are too few cells."""
    if not known(r.r):
        return _r(r)
    text = f"Pearson {_r(r)} (Fisher)"
    if known(r.cell_low):
        text += f", {interval(r.cell_low, r.cell_high)} (cells resampled)"
    if known(r.member_low):
        text += f", {interval(r.member_low, r.member_high)} (same cells trained again)"
    if known(r.rho):
        text += f"; Spearman's rho = {r.rho:.3f} {interval(r.rho_low, r.rho_high)}"
    needs = [
        f"{what} {least + r.fixed}"
        for what, least in (("resampling takes", FEWEST_RESAMPLED), ("Spearman's rho takes", FEWEST_RANKED))
        if r.n - r.fixed < least
    ]
    return f"{text} ({', '.join(needs)} cells)" if needs else text


def _r(r: Pearson, interval: bool = True) -> str:
    if not known(r.r):
        return f"no r, {missing(r)}"
    return f"r = {with_interval(r) if interval else f'{r.r:.3f}'}"


def _listed(r: Pearson) -> str:
    return f"{with_interval(r)}, n = {r.n}" if known(r.r) else with_interval(r)


def _first_large(text: str) -> str:
    return text[0].upper() + text[1:]
