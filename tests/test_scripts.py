"""The scripts explain themselves, and the benchmarks measure what they say on a small case."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run(*words):
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.py")), ids=lambda path: path.name)
def test_help(path):
    done = run(path, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.slow
def test_step_benchmark_prints_a_row_for_every_head():
    small = ("--length", 24, "--batch", 1, "--channels", 8, "--repeats", 1, "--threads", 1)
    done = run(SCRIPTS / "bench" / "step.py", *small)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.endswith("x")]
    assert len(rows) == 6
    assert rows[0].startswith("concatenation, TAPE")
