import pytest
import yaml

from memreg import shipped
from memreg.errors import MemregError
from memreg.grid import FOLDER, load_grid, parse_grid

MINIMAL = {"name": "g", "members": 4, "cells": [{"dataset": "digits", "model": "vgg3-w8"}]}


def grid(**changes):
    return parse_grid({**MINIMAL, **changes}, "grid g")


def test_digits_has_the_paper_pattern_of_19_cells():
    cells = load_grid("digits").cells
    plain = [c for c in cells if c.dataset == "digits"]
    regularised = [c for c in plain if c.recipe.weight_decay > 0 and c.recipe.augmentation > 0]
    bare = [c for c in plain if c.recipe.weight_decay == 0 and c.recipe.augmentation == 0]
    assert (len(regularised), len(bare)) == (8, 6)
    assert len([c for c in cells if "noise" in c.dataset]) == 3
    assert len([c for c in cells if "subset" in c.dataset]) == 2
    assert len(cells) == 19
    assert {c.members for c in cells} == {40}


def test_lists_multiply_out_and_entries_override_defaults():
    g = grid(
        defaults={"epochs": 3},
        cells=[
            {"dataset": "digits", "model": ["vgg3-w8", "vgg3-w16"], "weight_decay": [0, "1e-4"]},
            {"dataset": "digits", "model": "vit-micro", "epochs": 5, "members": 2, "augmentation": False},
        ],
    )
    assert len(g.cells) == 5
    assert [c.recipe.epochs for c in g.cells] == [3, 3, 3, 3, 5]
    assert g.cells[1].recipe.weight_decay == 1e-4
    assert [c.members for c in g.cells] == [4, 4, 4, 4, 2]
    assert g.cells[4].recipe.augmentation == 0


def test_members_override(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    assert load_grid(str(path)).cells[0].members == 4
    assert load_grid(str(path), members=7).cells[0].members == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cels": []}, "unknown key 'cels': did you mean cells"),
        ({"cells": []}, "at least one cell"),
        ({"cells": "x"}, "at least one cell"),
        ({"cells": [3]}, "cell 1: must be a mapping"),
        ({"name": "../x"}, "name must be"),
        ({"name": None}, "name must be"),
        ({"defaults": 3}, "defaults must be a mapping"),
        ({"members": 0}, "greater than or equal to 1"),
        ({"members": "abc"}, "integer"),
        ({"cells": [{"dataset": "digits", "model": "vgg3-w8", "epocs": 1}]}, "did you mean epochs"),
        ({"cells": [{"dataset": "digits", "model": "vgg3-w8", "lr": 1}]}, "did you mean learning_rate"),
        (
            {"cells": [{"dataset": "digits", "model": "vgg3-w8", "epochs": -1}]},
            "epochs: should be greater than or equal to 1, not -1",
        ),
        ({"cells": [{"dataset": "digits", "model": "vgg3-w8", "learning_rate": "fast"}]}, "learning_rate"),
        ({"cells": [{"dataset": "digits", "model": "vgg3-w8", "r": 0.123}]}, "1 - d/q"),
        (
            {"cells": [{"dataset": "digits", "model": "vgg3-w8", "design": "tens"}]},
            "design: must be 'subsets', 'spread', 'candidates', 'all', package.module:function, not 'tens'",
        ),
        ({"cells": [{"dataset": "digits", "model": "vgg3-w8", "precision": "fp8"}]}, "precision"),
        ({"cells": [{"dataset": "digits"}]}, "model must name"),
        ({"cells": [{"model": "vgg3-w8"}]}, "dataset must name"),
        ({"cells": MINIMAL["cells"] * 2}, "listed twice"),
    ],
)
def test_bad_grids_say_what_would_be_right(changes, message):
    with pytest.raises(MemregError, match=message) as error:
        grid(**changes)
    assert "\n" not in str(error.value)


def test_files_that_are_no_grid(tmp_path):
    path = tmp_path / "g.yaml"
    with pytest.raises(MemregError, match="cannot be read"):
        load_grid(str(path))
    path.write_text("a: [1")
    with pytest.raises(MemregError, match="not YAML"):
        load_grid(str(path))
    path.write_text("- 1")
    with pytest.raises(MemregError, match="mapping"):
        load_grid(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MemregError, match="cannot be read"):
        load_grid(str(path))
    with pytest.raises(MemregError, match="digits"):
        load_grid("digit")


def test_every_shipped_grid_parses():
    assert {"digits", "smoke"} <= set(shipped.names(FOLDER))
    for name in shipped.names(FOLDER):
        assert load_grid(name).cells
