"""The scripts explain themselves, and the benchmarks measure what they say on a small case."""

import csv
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run(*words):
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.py")), ids=lambda path: path.name)
def test_help(path, monkeypatch, capsys):
    """In this process: what the scripts import takes seconds, each time."""
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.syspath_prepend(str(path.parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.slow
def test_step_benchmark_prints_a_row_for_every_head():
    small = ("--length", 24, "--batch", 1, "--channels", 8, "--repeats", 1, "--threads", 1)
    done = run(SCRIPTS / "bench" / "step.py", *small)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.endswith("x")]
    assert len(rows) == 6
    assert rows[0].startswith("concatenation, TAPE")


@pytest.mark.slow
def test_training_benchmark_prints_a_row_for_both_sides():
    """Of two heads: each is a process of its own, and takes seconds to start."""
    small = ("--chains", 60, "--budget", 2000, "--crop", 32, "--rounds", 1, "--steps", 1)
    few = ("--sides", "Bilinear", "--precision", "32", "--warmup", 0, "--threads", 1)
    done = run(SCRIPTS / "bench" / "train.py", *small, *few)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.endswith("%")]
    assert [row[1] for row in rows] == ["PEER-style", "Bilinear"]
    assert rows[0][3] == "1.00x"


@pytest.mark.slow
def test_cost_benchmark_prints_a_row_for_every_tool():
    """Counts do not depend on the machine: light waits for nothing, sends and breaks nothing."""
    small = ("--width", 8, "--layers", 24, "--rounds", 1, "--steps", 10)
    done = run(SCRIPTS / "bench" / "gradflow_cost.py", *small)
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines()[3:]]
    waits = {row[0]: row[-3:] for row in rows}
    assert len(waits) == 5
    assert waits["GradientFlow, light"] == ["0.0", "0.0", "0"]
    assert waits["GradientFlow, full"] == ["0.0", "1.0", "eager"]
    assert float(waits["grad_norm + log_dict"][0]) > 40  # one for each tensor


@pytest.mark.slow
def test_probe_benchmark_prints_its_three_parts():
    """The states that are held are counted, not timed: they are the same on every machine."""
    small = ("--length", 16, "--batch", 1, "--rounds", 1, "--steps", 400, "--threads", 1)
    done = run(SCRIPTS / "bench" / "probes.py", *small)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("BiLSTM", "Transformer", "loop over LSTMCell"))
    rows = re.findall(r"T = +(\d+), K = +(\d+): +(\d+) ", done.stdout)
    assert [(int(T), int(K)) for T, K, _ in rows] == [(40, 6), (400, 20), (400, 8)]
    for T, K, held in (map(int, row) for row in rows):
        assert T / K + K <= held <= T / K + 2 * K + 20


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The table of the script that compares tools, and the folder of what was logged."""
    folder = tmp_path_factory.mktemp("truth")
    done = run(SCRIPTS / "bench" / "gradflow_truth.py", "--out", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


@pytest.mark.slow
def test_which_tools_log_the_gradient_that_is_used(truth):
    """DDP with accumulation, FSDP2 and a loss scale: only GradientFlow is right in all."""
    table = {}
    for line in truth[0].splitlines()[1:]:
        tool, *cells = re.split(r"\s{2,}", line.strip())
        table[tool] = cells[:4]
    assert table["GradientFlow"] == ["right"] * 4
    assert table["GradientFlow, max"] == ["right"] * 4
    assert all(cells[0] == "right" for cells in table.values())
    watch = table["wandb.watch"]
    assert watch[1].startswith("wrong") and watch[3].startswith("wrong")
    assert watch[2] == "silent"
    assert table["Lightning grad_norm"][1:3] == ["right", "raises RuntimeError"]
    assert table["p.grad.norm().item()"][2].startswith("wrong")


@pytest.mark.slow
@pytest.mark.parametrize("situation", ["ddp", "fsdp2", "fp16"])
def test_every_number_is_that_of_one_process(truth, situation):
    """Norms, updates, costates and dead units at three steps, to 1e-9 relative."""
    one, other = steps_of(truth[1] / "one"), steps_of(truth[1] / situation)
    assert len(one) == len(other) == 3
    for first, second in zip(one, other, strict=True):
        assert len(first) > 25
        for name, value in first.items():
            assert second[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.slow
def test_agreement_of_two_ranks_is_that_of_their_gradients(truth):
    """Each rank's accumulated gradient by hand, on its own rows, before they are averaged."""
    script = f"""
import json, sys
sys.path.insert(0, {str(SCRIPTS / "bench")!r})
import torch
from gradflow_truth import ROWS, WIDTH, Network
rows = torch.randn(3 * ROWS, WIDTH, generator=torch.Generator().manual_seed(1)).double()[:ROWS]
own = []
for rank in (0, 1):
    network = Network()
    network.training_step(rows[rank::2], 0).backward()
    own.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
print(json.dumps([float(own[0] @ own[1]), float(own[0] @ own[0]), float(own[1] @ own[1])]))
"""
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    across, first, second = json.loads(done.stdout)
    found = steps_of(truth[1] / "ddp")[0]
    mean = (first + second) / 2
    assert found["gradflow/rank/agreement"] == pytest.approx(across / mean, rel=1e-9)
    noise = (mean - across) / across  # trace of the covariance of one rank, over |G|^2
    assert found["gradflow/rank/noise_scale"] == pytest.approx(noise, rel=1e-9)
    assert found["gradflow/rank/max_rel_diff"] == 0.0


def steps_of(folder):
    """What GradientFlow has logged at each step, without costs."""
    with (folder / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("gradflow/global/norm_preclip")]
    return [
        {
            name: float(value)
            for name, value in row.items()
            if name.startswith("gradflow/") and "/meta/" not in name and value
        }
        for row in rows
    ]
