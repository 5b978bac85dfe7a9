"""How cells and studies are named, and what is said where a name does not fit."""

import pytest
from mlflow import MlflowClient

from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.registry.api import Api
from memreg.registry.holding import KEY
from memreg.registry.sql import sql_reader

HASHES = ["a" * 64, "ab" + "c" * 62, "ab" + "d" * 62]


@pytest.fixture
def registry(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("memreg")
    for place, hash_ in enumerate(HASHES):
        tags = {"memreg.kind": "cell", "memreg.cell": hash_, "memreg.status": "complete"}
        client.create_run(
            experiment, tags={**tags, KEY + "mine": f"run {place:06d}", KEY + "min": "run 000000"}
        )
    return Registry(uri)


def test_a_cell_is_named_by_as_many_digits_as_tell_it_apart(registry):
    assert registry.cell("aa").hash == HASHES[0]
    assert registry.cell("abc").hash == HASHES[1]
    assert registry.cell(HASHES[2]).hash == HASHES[2]


def test_an_ambiguous_name_is_refused_with_what_it_could_be(registry):
    with pytest.raises(MemregError, match=r"ab is ambiguous: 2 cells begin with it \(abcccccc, abdddddd\)"):
        registry.cell("ab")


@pytest.mark.parametrize("name", ["f", "_", "a_", "nothing"])
def test_a_name_that_fits_none_is_refused(registry, name):
    with pytest.raises(MemregError, match=f"there is no cell '{name}'"):
        registry.cell(name)


def test_both_readers_know_alike_what_a_study_holds(registry):
    uri = registry.tracking_uri
    ways = [Api(MlflowClient(uri)), sql_reader(uri)]
    held = [sorted(way.held("mine", "run"), key=lambda each: each[1]) for way in ways]
    assert held[0] == held[1]
    assert [value for _, value in held[0]] == ["run 000000", "run 000001", "run 000002"]
    assert not any(way.held("mine", "other") for way in ways)
