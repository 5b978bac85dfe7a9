import pytest

from memreg.wording import counted


@pytest.mark.parametrize(
    ("n", "words", "said"),
    [
        (0, ["member"], "0 members"),
        (1, ["member"], "1 member"),
        (1200.0, ["member"], "1,200 members"),
        (2, ["process", "processes"], "2 processes"),
    ],
)
def test_one_is_said_of_one_alone(n, words, said):
    assert counted(n, *words) == said
