"""Code is known by its file and by every file of the user's that it imports, and by no other."""

import hashlib
import sys

import pytest

from memreg.errors import MemregError
from memreg.user_code import digest

FILES = {
    "named.py": "import os\nimport helper\nfrom package import part\n\ndef net():\n    from late import x\n",
    "helper.py": "import memreg, deeper\n",
    "deeper.py": "import named  # a ring\n",
    "late.py": "x = 1\n",
    "package/__init__.py": "",
    "package/part.py": "from . import sibling\nfrom .sibling import y as z\n",
    "package/sibling.py": "y = 1\n",
    "other.py": "",
    "package/unused.py": "",
    ".venv/lib/site-packages/library.py": "",
    "alone.py": "def net():\n    return 1\n",
}
PARTS = [
    name for name in FILES if name not in ("other.py", "package/unused.py", "alone.py") and "lib" not in name
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("named", "helper", "deeper", "late", "package", "alone", "broken"):
            del sys.modules[name]


@pytest.mark.parametrize("name", FILES)
def test_an_edit_counts_where_the_file_is_imported(here, name):
    before = digest("model", "named:net")
    (here / name).write_text(FILES[name] + "# edited\n")
    assert (digest("model", "named:net") != before) == (name in PARTS)


def test_a_file_by_itself_has_its_own_digest(here):
    assert digest("model", "alone:net") == hashlib.sha256(FILES["alone.py"].encode()).hexdigest()


def test_a_missing_helper_is_one_line(here):
    (here / "broken.py").write_text("import nowhere_at_all\n")
    with pytest.raises(MemregError, match="No module named 'nowhere_at_all'"):
        digest("model", "broken:net")


def test_a_function_made_of_a_librarys_is_known_by_the_file_that_names_it(here):
    text = "import functools, json\nnet = functools.wraps(json.loads)(lambda: {})\n"
    (here / "alone.py").write_text(text.format(1))
    before = digest("model", "alone:net")
    (here / "alone.py").write_text(text.format(2))
    assert digest("model", "alone:net") != before


def test_a_librarys_function_is_its_file_and_nothing_is_run(here):
    assert digest("optimizer", "torch.optim:AdamW") == digest("optimizer", "torch.optim:AdamW")
    (here / "broken.py").write_text("def (:\n")
    (here / "raising").mkdir()
    (here / "raising" / "__init__.py").write_text("raise RuntimeError\n")
    (here / "raising" / "part.py").write_text("")
    (here / "alone.py").write_text("def net():\n    import broken, raising.part, sklearn.linear_model\n")
    before = digest("model", "alone:net")
    (here / "raising" / "part.py").write_text("# edited\n")
    assert digest("model", "alone:net") != before
