"""What a correlation says in a sentence, its warning, and the four numbers that matter."""

from memreg.estimators.correlation import Pearson
from memreg.estimators.mixture import FEWEST
from memreg.estimators.over_cells import Correlation
from memreg.estimators.statistics import HEADLINE, HEADLINES, PRIVACY, fraction_key, privacy_in_words
from memreg.show.notes import WARNING, Numbers


def in_short(result: Correlation) -> str:
    """Which way memorization goes with test accuracy, and the warning where there is cause."""
    return "\n".join(part for part in (_sentence(result), _warning(result)) if part)


def named(statistic: str) -> str:
    """A statistic within a sentence."""
    if statistic in PRIVACY:
        return privacy_in_words(statistic)
    name, _, threshold = statistic.partition("/")
    if name == "memorized_fraction":
        return f"memorized fraction (true score >= {threshold})"
    if name == "counted_fraction":
        return f"share of noisy scores >= {threshold}"
    return {"mean_score": "mean score", "gap": "included minus excluded accuracy"}[name]


def numbers(result: Correlation) -> Numbers:
    """r, within data sets and pooled, how much is memorized, how much of r is arithmetic."""
    key = result.statistic
    pooled, within = result.pooled[key], result.fixed_effects.get(key)
    found = []
    if within and known(within.r):
        what = "r of memorization with test accuracy within data sets: -1 falls, 0 no relation, 1 rises"
        found.append((_r(within), what))
    if known(pooled.r):
        what = (
            "r over all cells, which also tells data sets apart"
            if within
            else ("r, the correlation of memorization with test accuracy: -1 falls, 0 no relation, 1 rises")
        )
        found.append((_r(pooled), what))
    fraction = fraction_key(HEADLINE)
    if fraction in result.cells and len(shares := result.cells[fraction].dropna()):
        what = f"of a cell's training examples are memorized: true score {HEADLINE} or more"
        found.append((f"{shares.min():.0%} to {shares.max():.0%}", what))
    identity, own = result.identities.get(key), result.identities.get("mean_score")
    if identity and own and own.explained > 0 and identity.arithmetic_slope and known(identity.explained):
        what = "of how memorization varies over cells is arithmetic: it follows without any score"
        found.append((f"{identity.explained:.0%}", what))
    test = result.cells["test_accuracy"].dropna()
    if len(test):
        found.append((f"{test.min():.0%} to {test.max():.0%}", "test accuracy of the cells"))
    return found[:4]


def _sentence(result: Correlation) -> str:
    key = result.statistic
    pooled, within = result.pooled[key], result.fixed_effects.get(key)
    members, sets = result.cells["members"], result.cells["dataset"].nunique()
    what = "memorization" if key == HEADLINES[0] else named(key) if key in PRIVACY else f"the {named(key)}"
    count = len(result.cells)
    over = f"{count} cells of {span(members.min(), members.max())} members"
    if not known(pooled.r):
        with_it = int(result.cells[key].notna().sum())
        text = f"Whether {what} goes with test accuracy over {over} is not known: no r, {missing(pooled)}."
        if key.startswith("memorized_fraction") and with_it < count:
            text += (
                f" A memorized fraction takes {FEWEST} members with an example and {FEWEST} without it, and "
                f"{with_it} of {count} cells have one."
            )
        return text
    among = f"Among {over}" if pooled.n == count else f"Among {pooled.n} of {over}"
    among += f" on {sets} data sets" if sets > 1 else ""
    if within is None:
        if not clear(pooled):
            return f"{among}, no relation of {what} with test accuracy is shown: r = {_r(pooled)}."
        return f"{among}, {what} {_goes(pooled)} as test accuracy rises: r = {_r(pooled)}."
    inner = f"r = {_r(within)}" if known(within.r) else f"there is no r, {missing(within)}"
    if clear(pooled) and clear(within) and pooled.r * within.r > 0:
        also = f"r = {_r(within)} within data sets, {_r(pooled)} over all"
        return f"{among}, {what} {_goes(pooled)} as test accuracy rises: {also}."
    if clear(pooled):
        but = f"it {_goes(within)}" if clear(within) else "that is not shown"
        return (
            f"{among}, {what} {_goes(pooled)} as test accuracy rises, r = {_r(pooled)}. But data sets "
            f"differ, and within them {but}: {inner}."
        )
    if clear(within):
        return (
            f"{among}, {what} {_goes(within)} as test accuracy rises within data sets, {inner}; over all, "
            f"r = {_r(pooled)}."
        )
    return (
        f"{among}, no relation of {what} with test accuracy is shown: within data sets {inner}; over all, "
        f"r = {_r(pooled)}."
    )


def _warning(result: Correlation) -> str:
    """The trap of pooling: what the data set drives on both axes is not what goes on within one."""
    key = result.statistic
    if not result.fixed_effects:
        return ""
    pooled, within = result.pooled[key], result.fixed_effects[key]
    if key in result.pooled_only:
        text = f"The pooled r = {pooled.r:.3f} has the other sign within data sets ({with_interval(within)})"
    elif clear(pooled) and not clear(within):
        text = f"The pooled r = {pooled.r:.3f} is not shown within data sets ({with_interval(within)})"
    else:
        text = ""
    if text and not known(within.r):
        text = (
            f"That the pooled r = {pooled.r:.3f} does more than tell data sets apart is not shown: within "
            f"them there is {with_interval(within)}."
        )
    elif text:
        text += ": it tells data sets apart, and says nothing of networks on the same data."
    others = [name for name in result.pooled_only if name != key]
    if others:
        fractions = [name.partition("/")[2] for name in others if name.startswith("memorized_fraction/")]
        texts = [named(name) for name in others if "/" not in name]
        if fractions:
            span = f"{min(fractions)} to {max(fractions)}"
            at = (
                f"{len(fractions)} thresholds ({span})" if len(fractions) > 1 else f"threshold {fractions[0]}"
            )
            texts.append(f"the memorized fraction at {at}")
        if texts:
            other = f"r has one sign pooled and the other within data sets for {', '.join(texts)}."
            if not text:
                return f"{WARNING}: of other measures, {other}"
            text += f" So {other}" if key in result.pooled_only else f" Also, {other}"
    return f"{WARNING}: pooled only. {text.strip()}" if text else ""


def missing(r: Pearson) -> str:
    """Why there is no r."""
    few = r.n < r.needed
    return f"which takes {r.needed} cells and has {r.n}" if few else "as one side is the same in all cells"


def with_interval(r: Pearson) -> str:
    """r to three digits with Fisher's interval, or why there is none."""
    return f"{r.r:.3f} {interval(r.low, r.high)}" if known(r.r) else f"no r, {missing(r)}"


def interval(low: float, high: float, form: str = ".3f") -> str:
    return f"[{low:{form}}, {high:{form}}]" if known(low) and known(high) else "[no interval]"


def span(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def clear(r: Pearson) -> bool:
    """Whether its interval leaves out 0."""
    return r.low > 0 or r.high < 0


def known(value: float) -> bool:
    return value == value


def _r(r: Pearson) -> str:
    return f"{r.r:.2f} {interval(r.low, r.high, '.2f')}"


def _goes(r: Pearson) -> str:
    return "falls" if r.r < 0 else "rises"
