"""docs/tutorial.md: its commands and its Python, in their order."""

import os
import re
import subprocess
import sys

import pytest
from parts import ROOT
from studies import uri

from memreg.registry import Registry

BLOCK = re.compile(r"```(sh|python|yaml)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path):
    environment = dict(os.environ)
    environment.pop("MLFLOW_TRACKING_URI", None)
    python, said = "", ""
    for kind, text in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if kind == "yaml":
            (tmp_path / "mine.yaml").write_text(text)
            continue
        if "CELL" in text:
            text = text.replace("CELL", Registry(uri(tmp_path)).cells("tour")["cell"].iloc[0][:8])
        if kind == "python":
            python += text
            program = [sys.executable, "-c", python]
        else:
            program = ["bash", "-ec", text]
        process = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert process.returncode == 0, (text, process.stderr)
        said += process.stdout
    (share,) = set(re.findall(r"(\d+)% of the 30 highest scores have a wrong label", said))
    assert int(share) >= 80
    assert "shrunk" in said
    assert "r = " in said.split("Memorized fraction")[-1]
    assert (tmp_path / "figure.pdf").stat().st_size > 5000
    assert len(Registry(uri(tmp_path)).cells("tour")) == 8
