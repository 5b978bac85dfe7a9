"""What each figure shows, for its caption and for who cannot see it."""

PHOTOGRAPHS = ("subpopulations", "privacy_memorization", "weights", "disagreement")
"""Figures that show images, whose colours stay as they are in the dark."""
CAPTIONS = {
    "correlation": "Each point is a cell: how much of its training set its networks memorize, over how well "
    "they do on test images, with 95 % intervals. The line is the regression over all cells with its 95 % "
    "band (the paper's Figure 3). Over several data sets it also tells them apart, and its intervals are for "
    "other cells of the same data sets.",
    "search": "Each point is a trial, a recipe that was tried, with the test accuracy of its networks: those "
    "whose cells were chosen are filled. Most others were stopped after a few networks.",
    "scores": "How many training examples have which score. Near 0: right or "
    "wrong whether seen or not. Near 1: right only if seen, that is, memorized.",
    "thresholds": "The correlation with test accuracy over the threshold from which an example counts as "
    "memorized, with its 95 % band, which is for other cells of the same data sets.",
    "identity": "How much of the correlation is arithmetic. Left: memorization over included minus test "
    "accuracy, for which no score is needed. Right: what that leaves, over test accuracy.",
    "trajectories": "How examples' scores move along test accuracy: the mean of those that rise, that fall, "
    "and that do first one and then the other.",
    "marginal_utility": "Test accuracy without what each arm leaves out, less that of everything, over the "
    "threshold, with 95 % intervals.",
    "approximation_error": "Estimated scores against leave-one-out's, and the share of wrong decisions over "
    "the threshold (the paper's Figure 2).",
    "error_by_group_size": "Mean error of the estimates by the size of the planted sub-population, with 95 % "
    "intervals.",
    "subpopulations": "The targets whose scores are overestimated most, framed, each with the training "
    "images that teach networks most about it (the paper's Figure 1).",
    "privacy": "Membership inference: of the examples that a network was trained on, the share that attacks "
    "by the other networks find, over the share of others that they take for such; logarithmic axes, with "
    "the 95 % band of the first over members.",
    "privacy_memorization": "How well each training example is told by membership inference, over its "
    "memorization score, and the images of exceptions.",
    "datamodel": "How well linear models of what networks were trained on predict networks that they have "
    "not seen, target by target: by LASSO over by counting.",
    "weights": "The targets that are predicted best, framed, each with the training images that make "
    "networks surer of it, and by how much in log odds.",
    "leaderboard": "How far cheap stand-ins for memorization scores are from leave-one-out, each calibrated "
    "on other targets, over what they cost; shaded what the noise of the truth alone gives.",
    "disagreement": "Images whose score a stand-in, calibrated on other targets, takes for higher than "
    "leave-one-out's, and for lower.",
    "influence": "How many pairs of a training and a test example have which influence, and how many "
    "chance gives.",
}


def caption(name: str) -> str:
    """Give the caption of a figure by the name of its file, without the suffix."""
    return CAPTIONS.get(name, name.replace("_", " "))


def place(name: str) -> int:
    """Where a figure stands among others: the first answers, those that are not known come last."""
    return list(CAPTIONS).index(name) if name in CAPTIONS else len(CAPTIONS)
