"""r over the threshold that makes an example memorized: a conclusion should not hang on one (section 4.1)."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from memreg.estimators.correlation import Pearson
from memreg.estimators.statistics import fraction_key
from memreg.estimators.threshold import THRESHOLDS
from memreg.show.figures.style import COLOURS, GREY, drawing, only_words

FISHER, MEMBERS = 0.15, 0.35  # opacity


def thresholds(pooled: Mapping[str, Pearson], fixed_effects: Mapping[str, Pearson]) -> Figure:
    """Both by statistic; `fixed_effects` may be empty."""
    if not any(r.r == r.r for r in pooled.values()):
        least = min(r.needed for r in pooled.values())
        return only_words(f"No correlation at any threshold: r takes {least} cells that have both values")
    with drawing() as figure:
        axes = figure.subplots()
        n = pooled["mean_score"].n
        _curve(axes, pooled, COLOURS[0], "o-")
        cells = "these data sets, pooled" if fixed_effects else "all cells"
        keys: list[Artist] = [
            Line2D([], [], color=COLOURS[0], marker="o", label=cells),
            Line2D([], [], color=GREY, linestyle=":", label=f"mean score, {cells}"),
        ]
        if fixed_effects:
            _curve(axes, fixed_effects, COLOURS[1], "s--")
            within = Line2D([], [], color=COLOURS[1], marker="s", linestyle="--", label="within data sets")
            keys.insert(0, within)
        keys.append(Patch(color=GREY, alpha=FISHER, label="95 %: other cells of the same data sets (Fisher)"))
        keys.append(Patch(color=GREY, alpha=FISHER + MEMBERS, label="95 %: same cells, trained again"))
        axes.axhline(pooled["mean_score"].r, color=GREY, linestyle=":")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel("Threshold of the memorization score")
        axes.set_ylabel("Pearson r of memorized fraction and test accuracy")
        axes.set_ylim(-1.03, 1.03)
        axes.set_xlim(0, 1)
        axes.set_title(f"{n} cells", loc="left", fontsize=11)
        figure.legend(handles=keys, loc="outside lower center", ncols=2)
    return figure


def _curve(axes: Axes, rs: Mapping[str, Pearson], colour: str, style: str) -> None:
    ordered = [rs[fraction_key(t)] for t in THRESHOLDS]
    _band(axes, [(r.low, r.high) for r in ordered], colour, FISHER)
    _band(axes, [(r.member_low, r.member_high) for r in ordered], colour, MEMBERS)
    axes.plot(THRESHOLDS, [r.r for r in ordered], style, color=colour, markersize=4)


def _band(axes: Axes, edges: Sequence[tuple[float, float]], colour: str, alpha: float) -> None:
    low, high = zip(*edges, strict=True)
    axes.fill_between(THRESHOLDS, low, high, color=colour, alpha=alpha, linewidth=0)
