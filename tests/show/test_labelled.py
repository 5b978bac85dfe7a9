"""What a label is called, wherever its example is shown: with the true one where that is known to differ."""

import numpy as np
import pytest
from studies import run, tiny, uri

import memreg
from memreg.questions import privacy
from memreg.requests.privacy import Request
from memreg.show import figures
from memreg.show.labelled import label_in_words, truth


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Half of its labels are wrong."""
    directory = tmp_path_factory.mktemp("labelled")
    cells = [{"dataset": "digits+subset=300+noise=0.5", "augmentation": 0, "epochs": 8}]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        found = run(tiny(members=40, cells=cells), directory)
    return memreg.Registry(uri(directory)).cell(found.cells["cell"][0])


def test_a_wrong_label_stands_with_the_true_one(cell):
    known = cell.examples
    for row in range(len(known)):
        label, clean = known["label"][row], known["clean_label"][row]
        assert label_in_words(cell, row) == (f"{label}" if label == clean else f"{label}, truly {clean}")
        assert truth(cell, row) == ("" if label == clean else str(clean))


def test_images_of_examples_have_it_below_them(cell):
    answer = privacy.run(Request(cell=cell.hash), cell.registry)
    captions = [caption for kind in answer.pictures.values() for _, caption in kind]
    assert len(captions) >= 5
    assert any(", truly " in caption for caption in captions)
    drawn = [axes.get_xlabel() for axes in answer.figures()["privacy_memorization"].axes]
    assert set(captions) <= set(drawn)


def test_a_long_name_of_a_class_is_broken_into_lines():
    image = np.zeros((8, 8, 1), np.uint8)
    (axes,) = figures.subpopulations([((image, "aeroplane, truly automobile\n0.83"), [])]).axes
    assert axes.get_xlabel() == "aeroplane, truly\nautomobile\n0.83"
