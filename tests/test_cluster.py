"""The Slurm script of docs/cluster.md, in a shell that stands in for the scheduler."""

import os
import re
import signal
import subprocess
import time

from mlflow import MlflowClient
from parts import ROOT

import memreg

GRID = """
name: mine
members: 200
defaults: {dataset: digits, epochs: 4, batch_size: 64}
cells: [{model: vgg3-w4}]
"""
STANDS_IN = """
scontrol() { echo node-1; }
srun() { sleep 600 & }  # of the cluster's steps, which get no signal
sleep() { command sleep 0.1; }
SLURM_JOB_NODELIST=node-[1-8] SLURM_NNODES=8
"""


def script(directory):
    """The script as it is in docs, with a smaller grid on this machine."""
    (text,) = re.findall(r"## On Slurm\n\n```sh\n(.*?)```", (ROOT / "docs/cluster.md").read_text(), re.DOTALL)
    assert "#SBATCH --signal=B:TERM@" in text
    for there, here in (
        (r"memreg corr_grid .* &", "memreg corr_grid --grid mine.yaml --workers 1 &"),
        (r"source .*", STANDS_IN),
        (r"export RAY_ADDRESS.*", ""),
    ):
        text, found = re.subn(there, lambda _, here=here: here, text)
        assert found == 1
    (directory / "mine.yaml").write_text(GRID)
    (directory / "job.sh").write_text(text)


def submit(directory):
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db",
    }
    output = (directory / "output").open("w")
    return subprocess.Popen(
        ["bash", "job.sh"],
        cwd=directory,
        env=environment,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def test_a_job_at_its_time_limit_stores_what_it_has_and_goes_on_when_it_is_submitted_again(tmp_path):
    script(tmp_path)
    job = submit(tmp_path)
    try:
        deadline = time.monotonic() + 90
        while "to train" not in (tmp_path / "output").read_text():
            assert time.monotonic() < deadline
            assert job.poll() is None, (tmp_path / "output").read_text()
            time.sleep(0.2)
        time.sleep(4)
        os.kill(job.pid, signal.SIGTERM)  # the batch shell alone, as B: says
        assert job.wait(60) == 130, (tmp_path / "output").read_text()
    finally:
        os.killpg(job.pid, signal.SIGKILL)
    assert "what was trained is kept" in (tmp_path / "output").read_text()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert list(tmp_path.glob("**/predictions/*.arrow"))
    job = submit(tmp_path)
    try:
        assert job.wait(120) == 0
    finally:
        os.killpg(job.pid, signal.SIGKILL)
    assert " 0 already" not in (tmp_path / "output").read_text()
    assert memreg.Registry(f"sqlite:///{tmp_path}/mlflow.db").cells("mine")["members"].tolist() == [200]
