"""Which examples learn from each other, from members that exist.

If the members that left out i get it right more often when they saw j, then j teaches what i needs: j is
a peer of i. Feldman & Zhang's estimate errs where peers are left out together (section 4.2 of the paper), so
whoever knows the peers can condition on them, or keep them apart in a new design.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import hypergeom, norm

from memreg.estimators.counts import Floats, Mask, Numbers
from memreg.estimators.products import together

FALSE_PEERS = 0.02
"""Expected number of false peers of an example. In simulations it was .00 to .01 with 50 to 500 members, and
.01 to .04 with 600 to 2,000."""
CHUNK = 2048  # examples of a class that are compared with each other at once


@dataclass(frozen=True)
class CoInfluence:
    """What including example j does to example i while i itself is left out, shapes [len(i), len(j)]."""

    effect: Floats
    """Pr[i right | i out, j in] - Pr[i right | i out, j out]; NaN where j is always in, or always out."""
    evidence: Floats
    """The correlation of the two among members that exclude i, times the root of their number: about
    standard normal where j does not matter; 0 where undefined. Skewed to the right where few members
    exclude j, or few get i wrong."""


def co_influence(included: Mask, correct: Mask, i: Numbers, j: Numbers) -> CoInfluence:
    """included, correct: [members, n_train]; i, j: indices of training examples."""
    out = ~included[:, i]
    right = out & correct[:, i]
    inside = included[:, j]
    count, hits = out.sum(0)[:, None], right.sum(0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = hits / count, together(out, inside) / count
        covariance = together(right, inside) / count - p * q
        z = covariance * np.sqrt(count / (p * (1 - p) * q * (1 - q)))
        effect = covariance / (q * (1 - q))
    return CoInfluence(effect, np.where(np.isfinite(z) & (i[:, None] != j), z, 0))


def find_peers(included: Mask, correct: Mask, labels: NDArray[np.int64]) -> csr_array:
    """Row i: the peers of example i, with the strength of the evidence; shape [n_train, n_train], sparse.

    The strength is the evidence that j acts on i or, since peers usually teach each other, the sum of both
    directions over the root of 2, whichever is larger. Peers are of the same label (two classes rarely teach
    each other), and stronger than the quantile that `FALSE_PEERS` sets for a class of this size. So they
    must be by Fisher's exact test (mid-p) too, because the evidence alone finds .04 to .07 false ones an
    example: it is skewed where few members exclude an example, or few get it right or wrong.
    """

    def evidence(i: Numbers, j: Numbers) -> Floats:
        return co_influence(included, correct, i, j).evidence

    def exact(i: Numbers, j: Numbers) -> Floats:
        return _exact_strength(included, correct, i, j)

    return _linked(labels, evidence, exact)


def find_alike(designs: Iterable[tuple[Mask, Floats]], labels: NDArray[np.int64]) -> csr_array:
    """As `find_peers`, from the label's log odds of all members, which say more than right and wrong do.

    300 members on planted digits find all companions in sub-populations of two and three, and 75 % of those
    in fives; with the members' rows exchanged at random there are .023 false peers an example.

    designs: of the members of each, which examples they include, [members, n_train], and the log odds of the
    label, [members, n_train], without NaN. The evidence that j acts on i is the correlation of i's log odds,
    less their mean over the members of its design that include i, or that do not, with the inclusion of j,
    times the root of the members of designs that leave j out.
    """
    left, inside, count = map(np.concatenate, zip(*(_standardised(*one) for one in designs), strict=True))
    root = np.sqrt(count.reshape(-1, len(labels)).sum(0))

    def evidence(i: Numbers, j: Numbers) -> NDArray[np.float32]:
        product: NDArray[np.float32] = (left[:, i].T @ inside[:, j] / np.maximum(root[j], 1)).astype(
            np.float32
        )
        return product

    return _linked(labels, evidence)


def _standardised(included: Mask, margin: Floats) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of one design's members: log odds and inclusion, both [members, n_train], and how many there are for
    each example that some include and some do not, else 0, [n_train]."""
    left = _residual(margin, included) + _residual(margin, ~included)
    left /= np.sqrt((left**2).mean(0)) + np.finfo(np.float32).tiny
    inside = (included - included.mean(0, dtype=np.float64)).astype(np.float32)
    inside /= inside.std(0) + np.finfo(np.float32).tiny
    return left, inside, np.where(included.any(0) & ~included.all(0), len(included), 0)


def _linked(
    labels: NDArray[np.int64],
    evidence: Callable[[Numbers, Numbers], NDArray[Any]],
    exact: Callable[[Numbers, Numbers], Floats] | None = None,
) -> csr_array:
    """Pairs of one label whose strength is above the class's threshold, with that strength.

    evidence: of examples j acting on examples i, [len(i), len(j)]; exact: another strength of single pairs,
    which is to be above it too, [pairs].
    """
    rows, columns, values = [], [], []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        threshold = _threshold(len(own))
        pieces = np.array_split(own, -(-len(own) // CHUNK))
        for i in pieces:
            for j in pieces:
                there = evidence(i, j)
                back = there if i is j else evidence(j, i)
                strength = np.maximum(there, (there + back.T) / np.sqrt(2))
                strength[i[:, None] == j] = 0
                a, b = np.nonzero(strength > threshold)
                if exact is not None:
                    sure = exact(i[a], j[b]) > threshold
                    a, b = a[sure], b[sure]
                rows.append(i[a])
                columns.append(j[b])
                values.append(strength[a, b])
    index = (np.concatenate(rows), np.concatenate(columns))
    return csr_array(coo_array((np.concatenate(values), index), shape=(len(labels), len(labels))))


def _residual(margin: Floats, of: Mask) -> NDArray[np.float32]:
    """Margins less their mean over some of the members, and 0 for the others, [members, n_train]."""
    count = np.maximum(of.sum(0), 1)
    mean = margin.sum(0, where=of) / count
    return np.where(of, margin - mean, 0).astype(np.float32)


def detectable(included: Mask, correct: Mask, labels: NDArray[np.int64]) -> Floats:
    """The smallest one-way effect on each example by which `find_peers` would find a peer, shape [n_train].

    With few members it is so large that no peer found does not mean that there is none.
    """
    _, number, size = np.unique(labels, return_inverse=True, return_counts=True)
    threshold = np.array([_threshold(n) for n in size])[number]
    out = (~included).sum(0)
    p = ((~included & correct).sum(0) + 0.5) / (out + 1)
    q = included.mean()
    with np.errstate(divide="ignore"):
        found: Floats = threshold * np.sqrt(p * (1 - p) / (q * (1 - q) * out))
    return found


def _exact_strength(included: Mask, correct: Mask, i: Numbers, j: Numbers) -> Floats:
    """Compute the evidence of `find_peers` from exact p-values; i, j, result: [pairs]."""
    there, back = _exact_evidence(included, correct, i, j), _exact_evidence(included, correct, j, i)
    strength: Floats = np.maximum(there, (there + back) / np.sqrt(2))
    return strength


def _exact_evidence(included: Mask, correct: Mask, i: Numbers, j: Numbers) -> Floats:
    """Fisher's one-sided mid-p-value of each pair as a normal quantile."""
    out = ~included[:, i]
    right, inside = out & correct[:, i], out & included[:, j]
    counts = (right & inside).sum(0), out.sum(0), right.sum(0), inside.sum(0)
    p = hypergeom.sf(*counts) + hypergeom.pmf(*counts) / 2
    evidence: Floats = norm.isf(np.maximum(p, np.finfo(float).tiny))
    return evidence


def _threshold(n: int) -> float:
    """Give the threshold of the evidence in a class of n examples; there are two ways to exceed it."""
    return float(norm.isf(FALSE_PEERS / 2 / n))


def peers_in_groups(groups: Iterable[Sequence[int]], n: int) -> csr_array:
    """Peers by known groups: everyone else in an example's group; shape [n, n], sparse."""
    pairs = [pair for group in groups for pair in itertools.permutations(group, 2)]
    i, j = np.array(pairs, np.int64).reshape(-1, 2).T
    return csr_array(coo_array((np.ones(len(pairs)), (i, j)), shape=(n, n)))


def neighbours(peers: csr_array) -> tuple[tuple[int, ...], ...]:
    """Groups of examples that are linked by peerhood, of two and more, as designs want them."""
    count, group = connected_components(peers, directed=False)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=count))
    parts = np.split(order, ends[:-1])
    return tuple(tuple(part.tolist()) for part in parts if len(part) > 1)
