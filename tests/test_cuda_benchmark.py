import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "cuda.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=False, timeout=900
    )


def test_every_path_of_the_gpu_benchmark_runs_on_a_cpu():
    done = run("--dry-run")
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert {key.partition(":")[0] for key in figures} >= {"vgg6", "small", "resnet18", "vit-tiny"}
    assert all(value > 0 for value in figures.values()), figures
    assert done.stdout.count("equal, ") == done.stdout.count(": pass") - 1 == 9
    assert "not judged in a dry run" in done.stdout


def test_without_a_gpu_it_says_what_can_be_run():
    import torch

    if torch.cuda.is_available():
        return
    done = run()
    assert done.returncode == 1
    assert done.stderr.strip() == "torch sees no GPU here: --dry-run runs every path on the CPU"


def test_a_file_called_cuda_does_not_hide_the_package_that_torch_imports():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import torch, cuda; print(cuda.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(BENCHMARK.parent)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(BENCHMARK), done.stderr[-500:]
