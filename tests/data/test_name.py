"""The grammar of data set names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreg.data.name import Options, canonical, parse
from memreg.errors import MemregError


def test_a_bare_name_has_no_options() -> None:
    assert parse("digits") == ("digits", Options())


def test_all_options() -> None:
    base, options = parse(
        "cifar10+seed=3+noise=.2+classes=2.0.1+subset=2000+planted=4+planted_sizes=8.1+noise_kind=pairwise"
    )
    assert base == "cifar10"
    assert options == Options(0, (2, 0, 1), 2000, 4, (1, 8), 0.2, "pairwise", 3)


@pytest.mark.parametrize(
    "name",
    [
        "folder:/a+b/c",
        "folder:/a+noise/c",
        "npz:x=1+y=2.npz",
        "npz:a+noise=0.5.npz+old",
        "here.mine:make",
    ],
)
def test_a_path_may_contain_a_plus_sign(name: str) -> None:
    assert parse(f"{name}+noise=0.5") == (name, Options(noise=0.5))
    assert parse(name) == (name, Options())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits+noise=0.20", "digits+noise=0.2"),
        ("digits+noise=0+noise_kind=pairwise+seed=4", "digits"),
        ("digits+seed=7+subset=0300", "digits+subset=300+seed=7"),
        ("digits+seed=0+subset=300", "digits+subset=300"),
        ("digits+noise=1e-3+noise_kind=symmetric", "digits+noise=0.001"),
        ("digits+noise=-0", "digits"),
        ("digits+planted=2+planted_sizes=5.1.1", "digits+planted=2+planted_sizes=1.1.5"),
        ("digits+planted=2+planted_sizes=1.2.3.5.8.15", "digits+planted=2"),
        ("digits+planted=0+planted_sizes=1", "digits"),
    ],
)
def test_the_canonical_name(name: str, expected: str) -> None:
    assert canonical(*parse(name)) == expected


options = st.builds(
    Options,
    classes=st.just(()) | st.lists(st.integers(0, 99), min_size=2, unique=True).map(tuple),
    subset=st.integers(0, 10**6),
    planted=st.integers(0, 9),
    planted_sizes=st.lists(st.integers(1, 99), min_size=1).map(sorted).map(tuple),
    noise=st.floats(0, 1),
    noise_kind=st.sampled_from(["symmetric", "pairwise"]),
    seed=st.integers(0, 2**32 - 1),
)


@given(options)
def test_a_canonical_name_is_its_own(wanted: Options) -> None:
    name = canonical("digits", wanted)
    assert canonical(*parse(name)) == name
    again = parse(name)[1]
    assert (again.classes, again.subset, again.planted, again.noise) == (
        wanted.classes,
        wanted.subset,
        wanted.planted,
        wanted.noise,
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits+noise=2", "noise=2 should be a fraction from 0 to 1, as 0.2"),
        ("digits+noise=nan", "noise=nan should be a fraction"),
        ("digits+noise=", "noise= should be a fraction"),
        ("digits+noise=0.1+noise_kind=random", "noise_kind=random should be symmetric or pairwise"),
        ("digits+subset=-3", "subset=-3 should be a number of training examples"),
        ("digits+subset=1e3", "subset=1e3 should be"),
        ("digits+subset=99999999999999999999", "subset=99999999999999999999 should be"),
        ("digits+classes=1", "classes=1 should be two or more different class numbers"),
        ("digits+classes=1.1", "classes=1.1 should be"),
        ("digits+classes=1,2", "classes=1,2 should be"),
        ("digits+planted=many", "planted=many should be a number of sub-populations"),
        ("digits+planted=1+planted_sizes=0.2", "planted_sizes=0.2 should be sizes"),
        ("digits+subset=30+seed=4294967296", "seed=4294967296 should be a whole number from 0 to"),
        ("digits+noise=0.1+noise=0.1", "noise is given twice"),
        ("digits+seed=3", "seed needs subset or planted or noise beside it"),
        ("digits+noise_kind=pairwise", "noise_kind needs noise beside it"),
        ("digits+planted_sizes=3", "planted_sizes needs planted beside it"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name: str, said: str) -> None:
    with pytest.raises(MemregError) as error:
        parse(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
