import numpy as np
import pyarrow.feather
import pytest

from memreg.errors import MemregError
from memreg.margins import stored
from memreg.members import Members, Prediction
from memreg.registry.shards import read_shard, write_shard

CELL, DATA = "c" * 64, "d" * 64


def prediction(member, n_train=21, n_test=10, dtype=np.uint8, old=False):
    """Of schema 1 if old."""
    rng = np.random.default_rng(member)
    n = n_train + n_test
    sure = {"p_label": rng.random(n).astype(np.float16)} if old else {"margin": stored(rng.normal(0, 9, n))}
    return Prediction(
        member,
        int(rng.integers(2**62)),
        rng.random(n_train) < 0.7,
        rng.integers(0, np.iinfo(dtype).max, n).astype(dtype),
        rng.random(n).astype(np.float16),
        1.0,
        **sure,
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("old", [(), (7,), (7, 2, 5)])
def test_what_is_written_is_read(tmp_path, dtype, old):
    members = [prediction(m, dtype=dtype, old=m in old) for m in (7, 2, 5)]
    write_shard(tmp_path / "000002.arrow", Members.of(members), CELL, DATA)
    read = read_shard(tmp_path / "000002.arrow", CELL, DATA)
    assert read.member.tolist() == [2, 5, 7]
    for row, p in enumerate(sorted(members, key=lambda p: p.member)):
        assert read.exact[row] == (p.margin is not None)
        for name in ("included", "predicted", "p_max", "margin" if read.exact[row] else "p_label"):
            assert (getattr(read, name)[row] == getattr(p, name)).all()
            assert getattr(read, name).dtype == getattr(p, name).dtype
        assert read.seed[row] == p.seed


def test_a_shard_is_the_contract_for_readers_without_memreg(tmp_path):
    write_shard(tmp_path / "s.arrow", Members.of([prediction(0), prediction(1)]), CELL, DATA)
    table = pyarrow.feather.read_table(tmp_path / "s.arrow")
    assert table.column_names == ["member", "seed", "included", "predicted", "margin", "p_other"]
    types = {field.name: str(field.type) for field in table.schema}
    assert types["member"] == "int32"
    assert types["seed"] == "int64"
    assert types["included"].startswith("fixed_size_list<")
    assert "bool" in types["included"]
    assert types["included"].endswith("[21]")
    assert "uint8" in types["predicted"]
    assert types["predicted"].endswith("[31]")
    assert "halffloat" in types["margin"]
    assert "halffloat" in types["p_other"]
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert metadata["memreg.cell"] == CELL
    assert metadata["memreg.dataset_fingerprint"] == DATA
    assert (metadata["n_train"], metadata["n_test"]) == ("21", "10")


def test_chosen_columns_only(tmp_path):
    write_shard(tmp_path / "s.arrow", Members.of([prediction(0)]), CELL, DATA)
    read = read_shard(tmp_path / "s.arrow", columns=("included", "predicted"))
    assert list(read.columns) == ["included", "predicted"]
    with pytest.raises(KeyError, match="p_max"):
        _ = read.p_max


def test_every_truncation_and_every_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "s.arrow"
    write_shard(path, Members.of([prediction(m) for m in range(3)]), CELL, DATA)
    whole = path.read_bytes()
    truth = read_shard(path)
    rng = np.random.default_rng(0)
    for size in [0, 1, 5, *rng.integers(8, len(whole) - 1, 40)]:
        path.write_bytes(whole[:size])
        with pytest.raises(MemregError):
            read_shard(path, CELL, DATA)
    for position in rng.integers(0, len(whole), 300):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            read = read_shard(path, CELL, DATA)
        except MemregError:
            continue
        assert all((array == truth.columns[name]).all() for name, array in read.columns.items())


def test_anothers_shard_is_refused(tmp_path):
    write_shard(tmp_path / "s.arrow", Members.of([prediction(0)]), CELL, DATA)
    with pytest.raises(MemregError, match="another cell"):
        read_shard(tmp_path / "s.arrow", "e" * 64, DATA)
    with pytest.raises(MemregError, match="another data set"):
        read_shard(tmp_path / "s.arrow", CELL, "e" * 64)


def test_an_arrow_file_that_is_no_shard_is_refused(tmp_path):
    pyarrow.feather.write_feather(pyarrow.table({"a": [1]}), tmp_path / "s.arrow")
    with pytest.raises(MemregError, match="not a prediction shard"):
        read_shard(tmp_path / "s.arrow")


def test_a_column_that_there_is_not_is_no_damage(tmp_path):
    write_shard(tmp_path / "s.arrow", Members.of([prediction(0)]), CELL, DATA)
    with pytest.raises(MemregError, match="members have no column typo: there are member, "):
        read_shard(tmp_path / "s.arrow", CELL, DATA, ("member", "typo"))
