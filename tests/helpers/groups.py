"""Simulated members in which sub-populations teach each other, with probabilities that are known."""

import numpy as np

SKILL = {1: [0.05], 2: [0.05, 0.7], 3: [0.05, 0.6, 0.9], 5: [0.05, 0.55, 0.8, 0.93, 0.98]}
"""By size: how often a left-out example is got right when 0, 1, ... of its companions are included."""


def masks(design, members, n):
    """Inclusion masks, [members, n]."""
    return np.stack([design.included(m, n) for m in members])


def group_numbers(repeats=6):
    """Sub-population of each example and its size: `repeats` of every size, and 100 ordinary examples."""
    sizes = np.repeat([1] * 100 + [s for s in SKILL for _ in range(repeats)], 1)
    group = np.repeat(np.arange(len(sizes)), sizes)
    return group, sizes[group]


def members(design, k, group, size, seed=0):
    """Masks and correctness, [k, n]: ordinary examples (the first 100) are always right."""
    rng = np.random.default_rng(seed)
    n = len(group)
    included = np.stack([design.included(m, n) for m in range(k)])
    same = (group[:, None] == group) & ~np.eye(n, dtype=bool)
    company = included.astype(int) @ same
    p0 = np.array([[SKILL[s][c] for s, c in zip(size, row, strict=True)] for row in company])
    p0[:, :100] = 0.95
    correct = included | (rng.random((k, n)) < p0)
    return included, correct


def truth(size):
    """Equation 1 at n-1, [n]."""
    score = np.array([1 - SKILL[s][-1] for s in size])
    score[:100] = 0.05
    return score
