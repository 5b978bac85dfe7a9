"""How many trials until the targets are filled? On a synthetic surface of accuracy over recipes, with noise.

    python benchmarks/search.py [--quick]

19 targets from 50 % to 95 %, one point of tolerance. Each seed is another surface over the shipped space
`small`: accuracy saturates with the model's size and the epochs, has a best learning rate that depends on
both, falls with much weight decay and augmentation, and each family has an offset. Members scatter by one to
two points; a trial grows from 2 of them to 40 as in `-e search`. The Gaussian process against
Optuna's TPE on the distance to the nearest open target, and its quasi-random points. Beside the trials: how
far the true accuracy is from the target that the cell fills, and the members trained per target, of which 40
are the cell's.
"""

import argparse
import json
import statistics
import time

import numpy as np
import optuna
from scipy.special import expit, logit

from memreg.search.fill import Fill, Kind, progress, sampler
from memreg.search.space import Point, Space, load_space
from memreg.search.targets import Targets
from memreg.search.trials import Accuracies, Grow, Search, search, told

TARGETS = Targets.spaced(19, 0.5, 0.95, 0.01)
MEMBERS, TRIALS = 40, 200
SIZES = {
    "vgg3-w4": 1_700, "vgg3-w8": 6_400, "vgg3-w16": 24_600, "vgg3-w32": 95_000, "resnet8-w4": 5_200,
    "resnet8-w8": 20_000, "resnet8-w16": 78_000, "vit-micro": 2_800, "vit-mini": 18_000,
}  # fmt: skip


class Surface:
    """True accuracy over recipes, and members around it."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        draw = self._rng.uniform
        self._family = {"vgg": 0.0, "resnet": draw(-0.5, 0.5), "vit": draw(-1.2, 0)}
        self._size, self._epochs = draw(0.4, 1.0), draw(0.5, 1.1)
        self._best_rate, self._drift, self._width = draw(-1.4, -0.8), draw(-0.3, 0.1), draw(0.5, 0.9)
        self._decay, self._augmentation = draw(0.3, 1.2), draw(0.1, 0.5)
        self.scatter = draw(0.06, 0.15)

    def accuracy(self, p: Point) -> float:
        size = np.log10(SIZES[p["model"]] / 1e4)
        epochs = np.log(p["epochs"] / 6)
        family = next(value for name, value in self._family.items() if p["model"].startswith(name))
        rate = np.log10(p["learning_rate"]) - self._best_rate - self._drift * size + 0.15 * epochs
        z = 2.6 + family + self._size * np.tanh(1.2 * size) + self._epochs * epochs
        z -= (rate / self._width) ** 2
        z -= self._decay * max(0.0, np.log10(p["weight_decay"]) + 3) ** 2
        z -= self._augmentation * (p["augmentation"] - 0.7) ** 2 * (1 - 0.4 * size)
        return float(0.1 + 0.885 * expit(z))

    def train(self, trial: optuna.Trial, point: Point) -> Grow:
        true = self.accuracy(point)
        trial.set_user_attr("true", true)
        rng = np.random.default_rng([trial.number, 7])
        accuracies: dict[int, float] = {}

        def grow(members: int) -> Accuracies:
            while len(accuracies) < members:
                accuracies[len(accuracies)] = float(expit(logit(true) + self.scatter * rng.normal()))
            return accuracies

        return grow


def run(kind: Kind, space: Space, seed: int) -> tuple[int, int, float, float]:
    """Targets filled, trials, mean distance of true accuracies to targets, members per target."""
    study = optuna.create_study(sampler=sampler(kind, seed))
    goal = Fill(study, space, SIZES, TARGETS, kind, seed)
    search(Search(study, space, goal, MEMBERS, TRIALS), Surface(seed).train)
    filled, trials = progress(told(study), TARGETS).filled, told(study)
    off = [abs(trial.notes["true"] - target) for target, trial in filled.items()]
    members = sum(trial.notes["members"] for trial in trials)
    return len(filled), len(trials), statistics.mean(off), members / len(filled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    seeds = range(4 if parser.parse_args().quick else 20)
    space, medians = load_space("small"), {}
    columns = ("filled", "median trials", "range", "true off by", "members", "s")
    print(f"{'':14} {'{:>8} {:>14} {:>10} {:>12} {:>8} {:>6}'.format(*columns)}")
    for kind in ("gp", "tpe", "random"):
        start = time.perf_counter()
        filled, trials, off, members = zip(*(run(kind, space, seed) for seed in seeds), strict=True)
        every = sum(f == len(TARGETS.values) for f in filled)
        medians[kind] = statistics.median(trials)
        seconds = time.perf_counter() - start
        print(
            f"{kind:14} {every:3}/{len(seeds):<4} {medians[kind]:14g} {f'{min(trials)}-{max(trials)}':>10} "
            f"{100 * statistics.mean(off):10.2f} % {statistics.mean(members):8.1f} {seconds:6.0f}"
        )
    print(json.dumps({"median_trials": medians["gp"], "tpe": medians["tpe"], "random": medians["random"]}))


if __name__ == "__main__":
    main()
