"""``protcontact fit | validate | test`` as called by users: results, refusals, kill and resume."""

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
import yaml

from protcontact.cli import main
from protcontact.commands.lightning import _last
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.training.checkpoint import FORMAT, KEY
from protcontact.training.module import ContactModule
from tests.data.chains import random_chain
from tests.data.copying import write_first_chain

ROOT = Path(__file__).parents[2]
STRATEGY = {"class_path": "protcontact.training.sharding.ShardedStrategy"}
FSDP = ["--trainer.strategy", json.dumps(STRATEGY), "--trainer.devices", "1"]
SMALL = {
    "model": {
        "encoder": {
            "class_path": "protcontact.models.encoders.recurrent.BiLSTM",
            "init_args": {"channels": 4, "layers": 1, "dropout": 0.1, "corruption": 0.1},
        },
        "head": {"class_path": "protcontact.models.heads.bilinear.Bilinear"},
        "warmup_steps": 2,
    },
    "data": {"pair_budget": 8000, "crop_size": 40},
    "trainer": {
        "accelerator": "cpu",
        "precision": "32-true",
        "max_steps": 12,
        "val_check_interval": 5,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    chains = [random_chain(f"c{n:02d}", 30 + n, seed=n) for n in range(30)]
    write_store(folder, chains)
    splits = ["train"] * 20 + ["val"] * 5 + ["test"] * 5
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "splits.tsv", rows)
    return folder


@pytest.fixture(autouse=True)
def no_open_run():
    """What another test has left open would take the logs of this one."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()


@pytest.fixture
def config(tmp_path):
    """A small experiment on the package's own base.yaml, less its progress bar."""
    base = yaml.safe_load((ROOT / "configs" / "base.yaml").read_text())
    base["trainer"]["callbacks"] = [
        callback
        for callback in base["trainer"]["callbacks"]
        if "ProgressBar" not in callback["class_path"]
    ]
    for callback in base["trainer"]["callbacks"]:
        if callback.get("init_args", {}).get("filename") == "last":
            callback["init_args"]["every_n_train_steps"] = 1
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return tmp_path / "small.yaml"


def words(verb, config, data, run, *more):
    common = ["--data.path", data, "--trainer.default_root_dir", run]
    return [str(word) for word in (verb, "--config", config, *common, *more)]


def losses(folder):
    """Training loss by step, from all starts of a run, later starts winning."""
    found = {}
    for version in sorted(folder.glob("version_*")):
        with (version / "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                if row.get("train/loss"):
                    found[int(row["step"])] = float(row["train/loss"])
    return found


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}


@contextmanager
def started(arguments, output):
    """Run a verb beside this test; its whole group ends with the block, whatever happens there."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "protcontact", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(),
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_to_the_end(arguments, output):
    with started(arguments, output) as process:
        assert process.wait(timeout=250) == 0, output.read_text()


@pytest.mark.slow
def test_killed_run_goes_on_with_the_same_numbers(config, data, tmp_path):
    """SIGKILL in the middle of an epoch; then the loss curve of a run that was not killed."""
    output = tmp_path / "output.txt"
    run_to_the_end(words("fit", config, data, tmp_path / "whole"), output)

    last = tmp_path / "killed" / "version_0" / "checkpoints" / "last.ckpt"
    with started(words("fit", config, data, tmp_path / "killed"), output) as killed:
        deadline = time.monotonic() + 200
        while True:
            assert time.monotonic() < deadline
            assert killed.poll() is None, output.read_text()
            if last.is_file() and torch.load(last, weights_only=True)["global_step"] >= 3:
                break
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
    reached = torch.load(last, weights_only=True)["global_step"]
    assert reached < 12

    resumed = words("fit", config, data, tmp_path / "killed", "--ckpt_path", "last")
    run_to_the_end(resumed, output)
    expected, found = losses(tmp_path / "whole"), losses(tmp_path / "killed")
    assert set(expected) == set(range(12))
    assert set(found) >= set(range(reached, 12))
    for step, loss in found.items():
        assert loss == pytest.approx(expected[step], rel=1e-6), step
    for run in ("whole", "killed"):
        version = sorted((tmp_path / run).glob("version_*"))[-1]
        state = torch.load(version / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        if run == "whole":
            truth = state
        assert (version / "checkpoints" / "best.ckpt").is_file()
    for name, value in state.items():
        torch.testing.assert_close(value, truth[name], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_training_that_is_terminated_is_no_success(config, data, tmp_path):
    """As by a cluster, whose next job would go on as if it were trained."""
    output, last = tmp_path / "output.txt", tmp_path / "run/version_0/checkpoints/last.ckpt"
    endless = words("fit", config, data, tmp_path / "run", "--trainer.max_steps", 100_000)
    with started(endless, output) as process:
        deadline = time.monotonic() + 200
        while not last.is_file():
            assert time.monotonic() < deadline and process.poll() is None, output.read_text()
            time.sleep(0.02)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert "terminated; --ckpt_path last goes on" in output.read_text()


@pytest.mark.slow
def test_two_processes_write_one_run(config, data, tmp_path):
    """DDP over gloo through the command line."""
    more = ["--trainer.devices", 2, "--trainer.strategy", "ddp"]
    run_to_the_end(words("fit", config, data, tmp_path / "run", *more), tmp_path / "output.txt")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["version_0"]
    version = tmp_path / "run" / "version_0"
    assert set(losses(tmp_path / "run")) == set(range(12))
    assert (version / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
def test_fit_then_test_without_any_config(config, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "run"
    with pytest.warns(UserWarning, match="last 2 of 12 batches come after the last validation"):
        assert main(words("fit", config, data, run)) == 0
    version = run / "version_0"
    names = {path.name for path in version.iterdir()}
    assert {"config.yaml", "metrics.csv", "checkpoints", "contact_maps", "wandb"} <= names
    with (version / "metrics.csv").open() as file:
        logged = {name for row in csv.DictReader(file) for name, value in row.items() if value}
    assert {"train/loss", "val/long/P@L", "val/null/long/P@L", "val/loss"} <= logged

    best = version / "checkpoints" / "best.ckpt"
    assert main(["test", "--ckpt_path", str(best)]) == 0
    told = capsys.readouterr().out
    assert "expected calibration error" in told and "checkpoint's temperature" in told
    assert "mean over 5 chains" in told and f"`protcontact templates {data}` adds a null" in told
    scores = json.loads((run / "version_1" / "test_scores.json").read_text())
    assert set(scores) == {"about", "model", "separation", "random"}
    # the run of the checkpoint has them as well, beside those of its best validation
    assert json.loads((version / "test_scores.json").read_text()) == scores
    own = json.loads((version / "val_scores.json").read_text())
    assert own["about"]["step"] == scores["about"]["step"] > 0
    assert own["about"]["fingerprint"] != scores["about"]["fingerprint"]
    table = (run / "version_1" / "test_chains.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["id", *(f"c{n}" for n in range(25, 30))]
    assert not (run / "version_1" / "checkpoints").exists()  # `last` would go on from a copy there

    write_first_chain(data)
    assert main(["test", "--ckpt_path", str(best)]) == 0
    (data / "templates.parquet").unlink()
    assert "protcontact templates" not in capsys.readouterr().out
    more = json.loads((run / "version_2" / "test_scores.json").read_text())
    assert more.pop("copy")["chains"] == 5 and more == scores
    header = (run / "version_2" / "test_chains.tsv").read_text().splitlines()[0]
    assert {"separation:long/P@L", "copy:long/P@L"} <= set(header.split("\t"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.crop_size", "0"], "crop_size"),
        (["--model.warmup_steps", "-1"], "warmup_steps"),
        (["--model.encoder.init_args.channels", "0"], "channels"),
        (["--model.encodr", "x"], "--model.encodr"),
        (["--model.encoder.init_args.chanels", "8"], "chanels"),
        (["--model.encoder", "protcontact.models.heads.bilinear.Bilinear"], "Bilinear"),
        (["--trainer.max_stepz", "3"], "max_stepz"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--seed_everything", "-1"], "seed_everything must lie between 0 and"),
        (["--model.optimizer.init_args.lr", "-1"], "Invalid learning rate: -1"),
        ([*FSDP, "--model.compile", "true"], "leave out --model.compile"),
    ],
)
def test_mistakes_are_one_line_and_end_with_2(more, message, config, data, tmp_path, capsys):
    assert main(words("fit", config, data, tmp_path / "run", *more)) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("protcontact fit: error: ")
    assert message in error[-1]
    assert not (tmp_path / "run").exists()


def test_misspelt_key_in_a_file(config, data, tmp_path, capsys):
    settings = yaml.safe_load(config.read_text())
    settings["trainer"]["max_stepz"] = 3
    config.write_text(yaml.safe_dump(settings))
    assert main(words("fit", config, data, tmp_path / "run")) == 2
    assert "max_stepz" in capsys.readouterr().err


def test_data_that_is_not_there(config, tmp_path, capsys):
    assert main(words("fit", config, tmp_path / "nowhere", tmp_path / "run")) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nowhere" in error
    assert "protcontact prepare" in error


def test_scoring_needs_a_checkpoint(config, data, tmp_path, capsys):
    assert main(words("test", config, data, tmp_path / "run")) == 2
    assert "--ckpt_path is missing" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "validate", "test"])
def test_foreign_checkpoints_are_refused(verb, config, data, tmp_path, capsys):
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": {}}, path)
    assert main(words(verb, config, data, tmp_path / "run", "--ckpt_path", path)) == 2
    assert "not one of protcontact" in capsys.readouterr().err


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("verb", ["fit", "validate", "test"])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, bomb: path.write_bytes(pickle.dumps(bomb)), "cannot be read"),
        (lambda path, bomb: torch.save({"state_dict": bomb}, path), "refused"),
        (lambda path, bomb: path.write_bytes(b""), "it is empty"),
        (lambda path, bomb: path.write_text("hello"), "cannot be read"),
    ],
    ids=["pickle", "checkpoint with code", "empty", "text"],
)
def test_no_verb_runs_or_stumbles_over_a_bad_checkpoint(
    verb, write, message, config, data, tmp_path, capsys
):
    """Lightning's command line loaded the file itself, to look for settings, before we did."""
    path, mark = tmp_path / "bad.ckpt", tmp_path / "was_run"
    write(path, Bomb(mark))
    capsys.readouterr()
    assert main(words(verb, config, data, tmp_path / "run", "--ckpt_path", path)) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "rror" in line]
    assert error.startswith(f"protcontact {verb}: error: checkpoint {path}")
    assert message in error
    assert not mark.exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_weights_without_their_training_are_refused(verb, config, data, tmp_path, capsys):
    """`predict` takes such a file, the trainer ended in a KeyError."""
    description = {"class_path": "protcontact.X", "init_args": {}}
    ours = {"format": FORMAT, "encoder": description, "head": description}
    torch.save({KEY: ours, "state_dict": {}}, tmp_path / "half.ckpt")
    half = ["--ckpt_path", tmp_path / "half.ckpt"]
    assert main(words(verb, config, data, tmp_path / "run", *half)) == 2
    assert "holds a model without its training (no global_step" in capsys.readouterr().err


def test_a_config_that_is_no_text(config, data, tmp_path, capsys):
    config.write_bytes(b"model: \xff\xfe")
    assert main(words("fit", config, data, tmp_path / "run")) == 2
    assert f"--config {config} is not UTF-8 text" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_a_refused_start_leaves_no_folder(verb, config, data, tmp_path, capsys):
    run = tmp_path / "run"
    unsplit = tmp_path / "unsplit"
    shutil.copytree(data, unsplit)
    (unsplit / "splits.tsv").unlink()
    more = ["--ckpt_path", tmp_path / "absent.ckpt"] if verb == "test" else []
    assert main(words(verb, config, unsplit, run, *more)) == 2
    assert not run.exists()


def interrupting(monkeypatch, name):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(ContactModule, name, interrupt)


def test_an_interrupted_fit_says_so(config, data, tmp_path, capsys, monkeypatch):
    """Lightning ends with status 1 and without a word."""
    interrupting(monkeypatch, "training_step")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    handler = signal.getsignal(signal.SIGINT)
    try:
        assert main(words("fit", config, data, tmp_path / "run")) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    assert capsys.readouterr().err.splitlines()[-1] == "protcontact fit: interrupted"


def test_last_takes_the_newest_start(tmp_path):
    for name in ("version_2", "version_10", "version_11", "version_12_backup"):
        (tmp_path / name).mkdir()
    for name in ("version_2", "version_10", "version_12_backup"):
        (tmp_path / name / "checkpoints").mkdir()
        (tmp_path / name / "checkpoints" / "last.ckpt").write_text("")
    assert _last(tmp_path) == tmp_path / "version_10" / "checkpoints" / "last.ckpt"


def test_steps_that_end_before_a_validation(config, data, tmp_path, capsys):
    assert main(words("fit", config, data, tmp_path / "run", "--trainer.max_steps", 3)) == 2
    assert "--trainer.val_check_interval 3" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_a_checkpoint_knows_of_its_run(config, data, tmp_path, capsys, monkeypatch):
    """Another model, a finished run, another split: each is refused with the reason."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "run"
    assert main(words("fit", config, data, run)) == 0
    best = run / "version_0" / "checkpoints" / "best.ckpt"
    wider = ["--model.encoder.init_args.channels", 6]
    assert main(words("test", config, data, run, "--ckpt_path", best, *wider)) == 2
    assert "another encoder than the config: channels 4, not 6" in capsys.readouterr().err
    faster = ["--model.optimizer.init_args.lr", 0.5, "--trainer.max_steps", 20]
    assert main(words("fit", config, data, run, "--ckpt_path", "last", *faster)) == 2
    assert "was started with the optimizer's lr" in capsys.readouterr().err
    older = torch.load(best, weights_only=True)
    del older["state_dict"]["model.head.left.weight"]
    torch.save(older, tmp_path / "older.ckpt")
    assert main(words("test", config, data, run, "--ckpt_path", tmp_path / "older.ckpt")) == 2
    error = capsys.readouterr().err
    assert "other weights than its Bilinear" in error and "model.head.left.weight" in error
    assert main(words("fit", config, data, run, "--ckpt_path", "last")) == 2
    assert "has done all of its 12 steps" in capsys.readouterr().err

    other = tmp_path / "other"
    shutil.copytree(data, other)
    splits = (other / "splits.tsv").read_text()
    swapped = splits.replace("c00\ttrain", "c00\tTMP").replace("c29\ttest", "c29\ttrain")
    (other / "splits.tsv").write_text(swapped.replace("c00\tTMP", "c00\ttest"))
    assert main(words("test", config, other, run, "--ckpt_path", best)) == 2
    assert "1 sequences of the test split" in capsys.readouterr().err
    more = ["--ckpt_path", best, "--trainer.max_steps", 20]
    assert main(words("fit", config, other, run, *more)) == 2
    assert "is not the one this run was started with" in capsys.readouterr().err


def test_nothing_to_go_on_with(config, data, tmp_path, capsys):
    assert main(words("fit", config, data, tmp_path / "run", "--ckpt_path", "last")) == 2
    assert "no last.ckpt" in capsys.readouterr().err


def test_folder_that_cannot_be_written(config, data, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(words("fit", config, data, tmp_path / "file" / "run")) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("protcontact fit: error: ")
    assert str(tmp_path / "file") in error
