"""The paper's grid: every model trains, for real, on its data set's shape."""

import dataclasses

import numpy as np
import pytest
import torch

from memreg.data.stand_in import stand_in
from memreg.grid import load_grid
from memreg.training import Setting, train_member

N, BATCH, STEPS = 20, 4, 5
CELLS = {(c.dataset, c.recipe.model): c.recipe for c in load_grid("paper").cells}


def test_it_has_19_cells_and_the_papers_members():
    cells = load_grid("paper").cells
    assert len(cells) == 19
    assert {c.members for c in cells if c.recipe.model.startswith("vit")} == {500}
    assert {c.members for c in cells if not c.recipe.model.startswith("vit")} == {2000}


@pytest.mark.parametrize(("name", "model"), CELLS)
def test_five_steps_of_every_model(name, model):
    torch.set_num_threads(1)
    whole = stand_in(name)
    images = np.random.default_rng(0).integers(0, 256, (N, *whole.train_images.shape[1:]), np.uint8)
    few = dataclasses.replace(
        whole,
        train_images=images,
        train_labels=whole.train_labels[:N],
        test_images=images,
        test_labels=whole.test_labels[:N],
        known_digests=(None, None),
    )
    recipe = CELLS[name, model].model_copy(update={"epochs": STEPS * BATCH // N, "batch_size": BATCH})
    p = train_member(recipe, few, np.ones(N, bool), 0, setting=Setting(curve=True))
    assert np.isfinite(p.p_max).all()
    assert np.isfinite(list(p.curve["train_loss"].values())).all()
