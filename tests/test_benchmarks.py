import json
import subprocess
import sys

import pytest
from parts import ROOT

FOLDER = ROOT / "benchmarks"
RUN = """
import contextlib, io, json, runpy, sys
said = {}
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            said[path] = [end.code, out.getvalue()]
print(json.dumps(said))
"""


@pytest.mark.slow
def test_every_benchmark_starts_and_says_what_it_takes():
    """All in one process: most of the time goes into imports that they share."""
    scripts = [str(path) for path in sorted(FOLDER.glob("*.py")) if "__main__" in path.read_text()]
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{RUN}"
    done = subprocess.run([sys.executable, "-c", code, *scripts], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert [*said] == scripts
    for path, (status, text) in said.items():
        assert status == 0, path
        assert text.startswith("usage: "), path
