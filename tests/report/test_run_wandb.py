"""Runs of wandb: offline folders, which wandb itself writes here, and a server that is played."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from protcontact.errors import InputError
from protcontact.report.run_folder import read_run_folder
from protcontact.report.run_wandb import STEP, offline_log, read_offline_run, read_online_run
from tests.report.stored_runs import CURVES, settings, tables, write_offline, write_run

pytest.importorskip("wandb", reason="wandb is not installed")


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return write_offline(tmp_path_factory.mktemp("offline"), [0.1, 0.3], seed=7)


def test_an_offline_run_is_the_same_as_the_folder_of_the_training(offline, tmp_path):
    local = read_run_folder(write_run(tmp_path / "a" / "version_0", [0.1, 0.3], seed=7))
    run = read_offline_run(offline)
    assert run.config == local.config and run.facts == local.facts
    assert (run.name, run.seed, run.finished) == (local.name, 7, True)
    assert run.history == local.history
    assert run.scored == local.scored


def test_a_table_that_is_no_text_is_named(offline, tmp_path):
    folder = shutil.copytree(offline, tmp_path / "copy")
    (folder / "files" / "val_chains.tsv").write_bytes(b"id\xff")
    with pytest.raises(InputError, match=r"val_chains.tsv cannot be read .*score"):
        read_offline_run(folder)


def test_the_file_itself_may_be_named(offline):
    (log,) = offline.glob("*.wandb")
    assert offline_log(log) == log == offline_log(offline)
    assert read_offline_run(log).seed == 7


def test_a_folder_without_a_log(tmp_path):
    assert offline_log(tmp_path) is None and offline_log(tmp_path / "no") is None
    with pytest.raises(InputError, match=r"no \.wandb file"):
        read_offline_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a log at all" * 40])
def test_a_corrupt_log_is_named(tmp_path, content):
    (tmp_path / "run-x.wandb").write_bytes(content)
    with pytest.raises(InputError, match=r"run-x\.wandb"):
        read_offline_run(tmp_path)


def test_a_log_that_was_cut_keeps_what_was_before(offline, tmp_path):
    (log,) = offline.glob("*.wandb")
    whole = log.read_bytes()
    (tmp_path / log.name).write_bytes(whole[: len(whole) - 200])
    run = read_offline_run(tmp_path)
    assert run.seed == 7 and run.scored == {}  # the tables of chains are files beside the log


class Server:
    """Plays `wandb.Api`."""

    def __init__(self, files):
        self.held = files

    def run(self, path):
        if path != "lab/protcontact/x1":
            raise ValueError(f"Could not find run {path}")
        rows = [
            {key: value for key, value in row.items() if key != "step"} | {STEP: row["step"]}
            for row in CURVES
        ]
        return SimpleNamespace(
            name="a",
            config=settings(seed=7) | {"_wandb": {"version": 1}},
            scan_history=lambda: iter([*rows, {"_step": 9, "lr": 1.0}, {STEP: 20, "loss": "NaN"}]),
            files=lambda: [
                SimpleNamespace(name=name, download=self.saver(name)) for name in self.held
            ],
        )

    def saver(self, name):
        def download(root, replace):
            (Path(root) / name).write_text(self.held[name])
            return (Path(root) / name).open()

        return download


def test_a_run_on_a_server_is_the_same(tmp_path):
    local = read_run_folder(write_run(tmp_path / "a" / "version_0", [0.1, 0.3], seed=7))
    run = read_online_run("lab/protcontact/x1", Server(tables([0.1, 0.3]) | {"output.log": "x"}))
    assert run.config == local.config and run.scored == local.scored and run.name == "a"
    loss = run.history.pop("loss")
    assert run.history == local.history and loss[0][1] != loss[0][1]


def test_a_run_that_the_server_does_not_have(tmp_path):
    with pytest.raises(InputError, match="lab/protcontact/no: Could not find"):
        read_online_run("lab/protcontact/no", Server({}))
