"""The examples run, with less of everything."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder, name, *words):
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    return folder, run(folder, "train.py", "out", 2)


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "train.py",
        "compare.py",
        "import_checkpoint.py",
    }


@pytest.mark.slow
def test_train(trained):
    _, told = trained
    assert "test: mean over" in told and "the likeliest long-range contact: places" in told


@pytest.mark.slow
def test_compare(trained):
    folder, _ = trained
    told = run(folder, "compare.py", "out/data", "compared", 2)
    assert "transformer: long/P@L" in told and "2 trainings, the reference" in told
    assert (folder / "compared" / "page.html").stat().st_size > 1e6


@pytest.mark.slow
def test_import_checkpoint(tmp_path):
    pytest.importorskip("transformers", reason="the small model is made by the published libraries")
    from tests.models.pretrained.foreign import fair_esm2, save_fair_esm

    save_fair_esm(fair_esm2(), tmp_path / "small.pt")
    told = run(tmp_path, "import_checkpoint.py", "small.pt", "out")
    assert "logits (2, 76, 76)" in told
    assert {path.suffix for path in (tmp_path / "out" / "maps").iterdir()} >= {".rr", ".npz"}
