"""What a correlation says, written from its numbers, in Markdown."""

from memreg.analyses.correlation import Correlation
from memreg.estimators.correlation import Pearson
from memreg.estimators.trajectories import SHAPES


def in_words(result: Correlation) -> str:
    """A paragraph each on r, data sets, identity and trajectories, and a warning where there is cause."""
    parts = [_headline(result), _datasets(result), _warning(result), _identity(result), _trajectories(result)]
    return "\n\n".join(part for part in parts if part)


def named(statistic: str) -> str:
    """A statistic within a sentence."""
    name, _, threshold = statistic.partition("/")
    if name == "memorized_fraction":
        return f"memorized fraction (true score >= {threshold})"
    if name == "counted_fraction":
        return f"share of noisy scores >= {threshold}"
    return {"mean_score": "mean score", "gap": "included minus excluded accuracy"}[name]


def _headline(result: Correlation) -> str:
    r, score = result.pooled[result.statistic], result.pooled["mean_score"]
    members = result.cells["members"]
    text = (
        f"**Correlation.** {named(result.statistic).capitalize()} with test accuracy over {r.n} cells of "
        f"{_span(members.min(), members.max())} members: Pearson r = {_with(r)} (Fisher), "
        f"{_interval(r.cell_low, r.cell_high)} (cells resampled), "
        f"{_interval(r.member_low, r.member_high)} (same cells trained again); Spearman's rho = {r.rho:.3f} "
        f"{_interval(r.rho_low, r.rho_high)}."
    )
    if result.statistic != "mean_score":
        text += f" Mean score: r = {_with(score)}."
    if score.corrected == score.corrected:
        text += (
            f" Without the noise of finite members the mean score's r would be {score.corrected:.3f} "
            f"{_interval(score.corrected_low, score.corrected_high)}."
        )
    return text


def _datasets(result: Correlation) -> str:
    if not result.fixed_effects:
        return ""
    key = result.statistic
    within = [f"{name} {_with(rs[key])}, n = {rs[key].n}" for name, rs in result.within.items()]
    without = [f"{name} {_with(rs[key])}" for name, rs in result.without.items()]
    families = [f"{name} {_with(rs[key])}, n = {rs[key].n}" for name, rs in result.families.items()]
    text = (
        f"**Data sets.** Within each: {'; '.join(within) or 'none has 3 cells'}. Within data sets together "
        f"(fixed effects): r = {_with(result.fixed_effects[key])}, n = {result.fixed_effects[key].n}."
    )
    if without:
        text += f" Leaving one out: {'; '.join(without)}."
    if families:
        text += f" Within each model family: {'; '.join(families)}."
    return text


def _warning(result: Correlation) -> str:
    """The trap of pooling: what the data set drives on both axes is not what goes on within one."""
    key = result.statistic
    if not result.fixed_effects:
        return ""
    pooled, within = result.pooled[key], result.fixed_effects[key]
    if key in result.pooled_only:
        text = f"The pooled r = {pooled.r:.3f} has the other sign within data sets ({_with(within)})"
    elif _clear(pooled) and not _clear(within):
        text = f"The pooled r = {pooled.r:.3f} is not shown within data sets ({_with(within)})"
    else:
        text = ""
    if text:
        text += ": it tells data sets apart, and says nothing of networks on the same data."
    others = [name for name in result.pooled_only if name != key]
    if others:
        fractions = [name.partition("/")[2] for name in others if "/" in name]
        texts = [named(name) for name in others if "/" not in name]
        if fractions:
            span = f"{min(fractions)} to {max(fractions)}"
            texts.append(f"the memorized fraction at {len(fractions)} thresholds ({span})")
        text += f" Pooled and within data sets, signs differ for {', '.join(texts)}."
    return f"**Warning: pooled only.** {text.strip()}" if text else ""


def _identity(result: Correlation) -> str:
    key = result.statistic
    what, given, gap = result.identities[key], result.given_included[key], result.pooled["gap"]
    share = next(
        text
        for bound, text in ((0.9, "nearly all"), (0.5, "more than half"), (-1e9, "less than half"))
        if not what.explained < bound
    )
    return (
        "**Identity.** With equal counts the mean score is included minus excluded accuracy, and excluded "
        "accuracy is nearly test accuracy. Included minus test accuracy, for which no example need be left "
        f"out, has r = {what.arithmetic.r:.3f} with test accuracy by itself and explains "
        f"{what.explained:.1%} of how the {named(key)} varies over all cells: {share} of it "
        "follows without a score. What "
        f"that leaves has r = {_with(what.remainder)} with test accuracy; with included accuracy held fixed "
        f"the {named(key)} has r = {_with(given)}; included minus excluded accuracy has r = {_with(gap)}."
    )


def _trajectories(result: Correlation) -> str:
    lines = []
    for name, moving in result.trajectories.items():
        s = moving.shares
        found = [
            f"{s.share[i]:.1%} {shape} [{s.low[i]:.1%}, {s.high[i]:.1%}]"
            for i, shape in enumerate(SHAPES)
            if s.share[i] > 0
        ]
        found.append(f"{1 - s.share.sum():.1%} show no movement" if found else "none shows a movement")
        lines.append(f"{name}, {s.examples:,} examples over {s.cells} cells: {', '.join(found)}")
    if not lines:
        return ""
    return (
        "**Trajectories.** Scores of single examples along test accuracy, false discoveries held to 5 %: "
        + "; ".join(lines)
        + "."
    )


def _with(r: Pearson) -> str:
    return f"{r.r:.3f} {_interval(r.low, r.high)}"


def _interval(low: float, high: float) -> str:
    return f"[{low:.3f}, {high:.3f}]" if low == low and high == high else "[no interval]"


def _span(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _clear(r: Pearson) -> bool:
    return r.low > 0 or r.high < 0
