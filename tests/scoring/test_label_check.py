"""Wrong labels of a trained cell: what was planted is found, and the proposed class is the true one."""

import pytest
from studies import run, tiny, uri

import memreg


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    directory = tmp_path_factory.mktemp("labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        dataset = {"dataset": "digits+subset=600+noise=0.1", "augmentation": 0, "epochs": 15}
        found = run(tiny(cells=[dataset], members=30), directory)
    return memreg.Registry(uri(directory)).cell(found.cells["cell"][0])


def test_planted_labels_come_first_with_their_true_class(cell):
    table = cell.label_check()
    planted = (table["label"] != table["clean_label"]).to_numpy()
    first = table.head(planted.sum() // 2)
    assert planted[: len(first)].mean() >= 0.95
    assert (first["proposed"] == first["clean_label"]).mean() >= 0.95
    likely = table["low"] > 0
    assert likely.is_monotonic_decreasing
    for part in (table[likely], table[~likely]):
        assert part["margin"].is_monotonic_increasing


def test_each_row_says_what_members_say(cell):
    table, members = cell.label_check(), cell.members()
    scores = cell.scores().set_index("example")["score"]
    assert sorted(table["example"]) == list(range(cell.n_train))
    for row in table.iloc[::97].itertuples():
        out = ~members.included[:, row.example]
        said = members.predicted[out, row.example]
        assert row.excluded_count == out.sum()
        assert row.label_agreement == pytest.approx((said == row.label).mean())
        assert row.agreement == pytest.approx(max((said == c).mean() for c in range(10) if c != row.label))
        odds = members.margin[out, row.example].astype(float)
        assert row.margin == pytest.approx(odds.mean())
        assert row.score == scores[row.example]


def test_a_cell_that_leaves_nothing_out_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    all_of_it = {"dataset": "digits+subset=300", "design": "all"}
    found = run(tiny(cells=[all_of_it], members=2), tmp_path)
    stored = memreg.Registry(uri(tmp_path)).cell(found.cells["cell"][0])
    with pytest.raises(memreg.MemregError, match="no member that leaves an example out"):
        stored.label_check()
