"""A memorization proxy by influence functions, computed by captum."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.traces import Traces

DAMPING = 0.1
"""Of the Hessian: this share of its mean eigenvalue (Grosse et al. 2023, "Studying large language model
generalization with influence functions", section 3.2)."""
MOST = 3000
"""Weights of a last layer, at most: their Hessian is formed. With 2,570 and 2,000 examples, 30 s a member."""


def influence_function(traces: Traces) -> Floats:
    """By how much an example's own loss would rise without it, [n_train], by influence functions of the last
    layer at the end of training: g' (H + d I)^-1 g.

    g is the gradient of the example's cross-entropy by the weights and biases of the last layer, H the sum of
    its Hessians over the examples that the member saw, and d = DAMPING times H's mean eigenvalue (Koh & Liang
    2017, "Understanding black-box predictions via influence functions", equation 2, with the example as its
    own test example). Theirs is of all weights; all before the last layer are held as they are. captum's
    NaiveInfluenceFunction forms H and inverts it (self-influence). It is of each member alone and averaged
    over the members that saw the example; NaN where no member did. A member that diverged is left out.

    Raises `MemregError` where the last layer has more than MOST weights, and where captum fails to invert H.
    """
    inputs, outputs, labels = (traces[f"layer_{name}"] for name in ("input", "output", "label"))
    if (weights := inputs.shape[2] * outputs.shape[2]) > MOST:
        raise MemregError(
            f"influence_function forms the Hessian of the last layer's weights: {weights:,} are too many, "
            f"it takes {MOST:,} or fewer"
        )
    each = np.full(traces.included.shape, np.nan)
    for m in np.flatnonzero(np.isfinite(outputs).all((1, 2))):
        seen = traces.included[m]
        given, logits = (values[m, seen].astype(np.float64) for values in (inputs, outputs))
        each[m, seen] = self_influence(given, logits, labels[m, seen, 0].astype(np.int64))
    return traces.mean(each)


def self_influence(given: Floats, logits: Floats, label: NDArray[np.int64]) -> Floats:
    """Of n examples that a member saw, g' (H + d I)^-1 g, [n].

    given: what the last layer is given, [n, width], with a column of ones where it has biases. logits: what
    it makes of it, [n, classes]; its weights are those of least squares, which stored precision moves a
    little.
    """
    import torch
    from captum.influence import NaiveInfluenceFunction
    from torch.utils.data import DataLoader, TensorDataset

    width, classes = given.shape[1], logits.shape[1]
    weights = np.linalg.lstsq(given, logits, rcond=None)[0]
    p = softmax(given @ weights, axis=1)
    mean_eigenvalue = (p * (1 - p)).sum(1) @ np.square(given).sum(1) / (width * classes)
    data = torch.from_numpy(given).requires_grad_(), torch.from_numpy(label)
    with torch.random.fork_rng(devices=[]):  # captum seeds torch
        layer = torch.nn.Linear(width, classes, bias=False, dtype=torch.float64)
        layer.load_state_dict({"weight": torch.from_numpy(weights.T)})
        captum = NaiveInfluenceFunction(
            layer,
            DataLoader(TensorDataset(*data), batch_size=len(given)),
            checkpoint="",
            checkpoints_load_func=lambda *_: 1.0,  # the layer has its weights already
            loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
            sample_wise_grads_per_batch=True,
            projection_dim=width * classes,  # every eigenvector of H
            hessian_reg=DAMPING * mean_eigenvalue,
            hessian_inverse_tol=0.0,
        )
        found: Floats = captum.self_influence(data).detach().numpy()
    error = p - np.eye(classes)[label]
    if not _inverts(captum.R.numpy(), given, p, error, DAMPING * mean_eigenvalue):
        raise MemregError(
            "influence_function: captum does not invert the Hessian of a network's last layer; it fails "
            "where eigenvalues are equal"
        )
    return found


def _inverts(root: Floats, given: Floats, p: Floats, error: Floats, damping: float) -> bool:
    """Whether root root' is (H + d I)^-1, tried on a sum of gradients with random signs.

    captum's eigenvectors are by a method for matrices that need not be symmetric: those of equal eigenvalues
    may not be orthogonal. root: [classes x width, any].
    """
    sign = np.random.default_rng(0).choice([-1.0, 1.0], len(given))
    gradient = (error * sign[:, None]).T @ given
    solved = (root @ (root.T @ gradient.ravel())).reshape(gradient.shape)
    along = given @ solved.T
    product = (p * (along - (p * along).sum(1, keepdims=True))).T @ given + damping * solved
    return bool(np.abs(product - gradient).max() <= 1e-4 * np.abs(gradient).max())
