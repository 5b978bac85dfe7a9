"""What needs no GPU of training several members in one process: without one, a step is not recorded."""

from contextlib import contextmanager
from threading import Event
from weakref import ref

import numpy as np
import pytest
import torch

from memreg import together
from memreg.data import load
from memreg.members import no_class
from memreg.recipe import Recipe
from memreg.recording import recorded
from memreg.together import at_once, let_go, train_together
from memreg.training import Setting, train_member

CUDA = Setting(device="cuda")


@pytest.fixture(autouse=True)
def _one_thread_and_an_empty_room():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    together._rooms.clear()
    yield
    together._rooms.clear()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images():
    return load("digits+subset=120+size=32")


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=300")


def recipe(**changes):
    return Recipe(**{"model": "vgg6-w16", "epochs": 2, "batch_size": 32, "learning_rate": 0.1, **changes})


def members(n, dataset, share=0.5):
    masks = [np.random.default_rng(seed).random(dataset.n_train) < share for seed in range(n)]
    return [(mask, seed) for seed, mask in enumerate(masks)]


def same(a, b):
    return (a.predicted == b.predicted).all() and (a.margin == b.margin).all() and (a.p_max == b.p_max).all()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_members_together_have_the_bits_of_members_alone(images, precision):
    """Six of them: two rounds of four places, the second one not full."""
    asked = recipe(precision=precision)
    given = members(6, images)
    found = train_together(asked, images, given, 60, "cpu")
    for (included, seed), prediction in zip(given, found, strict=True):
        alone = train_member(asked, images, included, seed, 60)
        assert prediction.seed == seed
        assert prediction.included is included
        assert same(alone, prediction)


def test_the_host_begins_the_next_while_these_are_trained(images, monkeypatch):
    given, fifth = members(6, images), Event()
    begin, train = together.Room._begin, together.Room._train

    def beginning(room, included, seed):
        if seed == 4:
            fifth.set()
        return begin(room, included, seed)

    def training(room, now, beginnings):
        assert fifth.wait(60)
        return train(room, now, beginnings)

    monkeypatch.setattr(together.Room, "_begin", beginning)
    monkeypatch.setattr(together.Room, "_train", training)
    assert len(train_together(recipe(), images, given, 60, "cpu")) == 6


def test_of_another_cell_nothing_is_left(images):
    train_together(recipe(), images, members(2, images), 60, "cpu")
    other = recipe(model="resnet8-w4", learning_rate=0.2)
    [(included, seed)] = given = members(1, images)
    assert same(
        train_together(other, images, given, 60, "cpu")[0], train_member(other, images, included, seed, 60)
    )


def test_one_cell_has_room_at_a_time(images):
    train_together(recipe(), images, members(2, images), 60, "cpu")
    assert list(together._rooms) == [(recipe(), images, 4)]
    train_together(recipe(), images, members(2, images), 30, "cpu")
    assert list(together._rooms) == [(recipe(), images, 2)]
    few = images.first(40)
    train_together(recipe(), few, members(2, few), 30, "cpu")
    assert list(together._rooms) == [(recipe(), few, 2)]
    let_go()
    assert not together._rooms


def test_memory_that_runs_out_is_asked_for_by_fewer_at_a_time(images, monkeypatch):
    """An allocator that refuses the third place: the bits are those of members that had room."""
    made = []
    place = together._Place

    def refusing(*given):
        if len(made) == 2:
            made.clear()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        made.append(1)
        return place(*given)

    given = members(5, images)
    sound = train_together(recipe(), images, given, 60, "cpu")
    together._rooms.clear()
    monkeypatch.setattr(together, "_Place", refusing)
    found = train_together(recipe(), images, given, 60, "cpu")
    assert all(same(a, b) for a, b in zip(sound, found, strict=True))


def test_what_ran_out_of_memory_is_gone_before_fewer_are_made(images, monkeypatch):
    """Whether it ran out in training or in prediction."""
    place, known, alive = together._Place, [], []

    def counted(*given):
        alive.append(sum(one() is not None for one in known))
        made = place(*given)
        known.append(ref(made))
        return made

    def refused(*_):
        monkeypatch.undo()
        monkeypatch.setattr(together, "_Place", counted)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    given = members(4, images)
    sound = train_together(recipe(), images, given, 60, "cpu")
    for passes in ("advance", "predict"):
        together._rooms.clear()
        known.clear()
        alive.clear()
        monkeypatch.setattr(together, "_Place", counted)
        monkeypatch.setattr(place, passes, refused)
        found = train_together(recipe(), images, given, 60, "cpu")
        assert alive == [0, 1, 2, 3, 0, 1]
        assert all(same(a, b) for a, b in zip(sound, found, strict=True))


@pytest.mark.parametrize("rounds_otherwise", [True, False])
def test_whether_images_have_room_beside_others_chooses_no_bits(images, monkeypatch, rounds_otherwise):
    """A card that others have filled: fused members wait for room, and others read from the host."""
    monkeypatch.setattr(together.memory, "train_images", lambda *_: torch.empty(0, device="meta"))
    monkeypatch.setattr(together.memory, "fits", lambda *_: True)
    monkeypatch.setattr(together, "places_for", lambda *_: together.Places(fused=rounds_otherwise))
    if rounds_otherwise:
        with pytest.raises(torch.OutOfMemoryError, match="too little of cpu is free"):
            train_together(recipe(), images, members(1, images), 60, "cpu")
    else:
        monkeypatch.setattr(together, "train_member", lambda *_: "alone")
        assert train_together(recipe(), images, members(1, images), 60, "cpu") == ["alone"]


def test_where_not_even_one_has_room_the_error_is_torchs(images, monkeypatch):
    def refusing(*given):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(together, "_Place", refusing)
    with pytest.raises(torch.OutOfMemoryError, match="Tried to allocate"):
        train_together(recipe(), images, members(2, images), 60, "cpu")


@pytest.mark.parametrize("name", ["vgg3-w8", "resnet8-w8"])
def test_stacked_members_are_as_good_as_members_alone(digits, name, monkeypatch):
    """Within two standard errors of the difference of test accuracies; the seeds are the same."""
    monkeypatch.setattr(together, "STACK", 8)
    asked = recipe(model=name, epochs=8)
    given = members(12, digits)
    stacked = train_together(asked, digits, given, 150, "cpu")
    alone = [train_member(asked, digits, included, seed, 150) for included, seed in given]
    labels = digits.test_labels
    right = [[np.mean(p.predicted[-len(labels) :] == labels) for p in found] for found in (stacked, alone)]
    difference = np.subtract(*right)
    assert np.mean(right) > 0.5
    assert abs(difference.mean()) <= 2 * difference.std(ddof=1) / np.sqrt(12)


def test_a_stack_is_always_full(digits, monkeypatch):
    """So that a member has the same bits in the last one."""
    monkeypatch.setattr(together, "STACK", 4)
    asked = recipe(model="vgg3-w4")
    given = members(6, digits)
    six = train_together(asked, digits, given, 150, "cpu")
    assert all(
        same(a, b) for a, b in zip(six[4:], train_together(asked, digits, given[4:], 150, "cpu"), strict=True)
    )


def test_a_member_that_diverges_beside_others_has_no_class(digits, monkeypatch):
    monkeypatch.setattr(together, "STACK", 2)
    found = train_together(
        recipe(model="vgg3-w4", learning_rate=1e6, augmentation=0), digits, members(2, digits), 150, "cpu"
    )
    assert all((p.predicted == no_class(digits.classes)).all() for p in found)


def test_how_many_at_once_is_said_by_model_and_device(images, digits):
    assert at_once(recipe(), images, Setting()) == 1
    assert (
        at_once(recipe(), images, CUDA)
        == at_once(recipe(model="vit-micro"), digits, CUDA)
        == together.STREAMS
    )
    assert at_once(recipe(model="vgg3-w4"), digits, CUDA) == together.TURNS * together.STACK
    assert at_once(recipe(model="vgg3-w4"), images, CUDA) == together.STREAMS
    assert at_once(recipe(), images, Setting(device="cuda:1", loader="ffcv")) == 1


def dropout(image_shape, classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(64, classes))


def test_a_network_that_draws_is_trained_alone(digits):
    assert at_once(recipe(model="timm:test_vit"), load("digits+subset=100+size=32"), CUDA) == together.STREAMS
    assert together._draws("tests.test_together:dropout", (1, 8, 8), 10)
    assert at_once(recipe(model="tests.test_together:dropout"), digits, CUDA) == 1


class Recording:
    """In a CUDA graph's place, which cannot be had here: what replays, and how a recording ends."""

    def __init__(self, monkeypatch, replays, error=None):
        @contextmanager
        def graph(*_, **__):
            yield
            if error:
                raise error

        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        self.replay = replays

    def synchronize(self):
        """As a stream has it."""


def loaded_step(dataset):
    room = together.Room(recipe(), dataset, 4, torch.device("cpu"), together.Places(1))
    room.begin(members(1, dataset))
    return room._places[0]._step


def test_a_recording_with_the_bits_of_its_step_is_replayed(images, monkeypatch):
    step = loaded_step(images)
    recording = Recording(monkeypatch, step)
    assert recorded(step, recording) == recording.replay


def test_a_recording_with_other_bits_is_not_used(images, monkeypatch):
    step = loaded_step(images)

    def off_by_one_rounding():
        step()
        with torch.no_grad():
            step.state[0].view(-1)[0].mul_(1 + 1e-6)

    recording = Recording(monkeypatch, off_by_one_rounding)
    assert recorded(step, recording) is step


def test_nor_is_what_cannot_be_recorded_but_memory_that_ran_out_is_told(images, monkeypatch):
    step = loaded_step(images)
    refused = RuntimeError("CUDA error: operation not permitted when stream is capturing")
    recording = Recording(monkeypatch, step, refused)
    assert recorded(step, recording) is step
    recording = Recording(monkeypatch, step, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(torch.OutOfMemoryError):
        recorded(step, recording)
