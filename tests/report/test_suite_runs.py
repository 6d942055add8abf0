"""One run of a suite: its settings, its process, its failure; several at a time."""

import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from protcontact.errors import InputError
from protcontact.report.suite import read_suite
from protcontact.report.suite_runs import (
    Failed,
    Processes,
    Run,
    failed,
    merged,
    newest_config,
    note_of,
    settings,
    side_by_side,
    train,
)
from tests.report.suites import write_suite


def run_of(folder, name="seed_3"):
    return Run("one", folder / "one.yaml", 3, 70, folder / "out" / "one" / name)


def test_settings_choose_no_checkpoint_and_validate_nothing(tmp_path):
    suite = read_suite(write_suite(tmp_path, fit={"trainer": {"max_steps": 5, "precision": "32"}}))
    given = settings(suite, Path("/data"), run_of(tmp_path))
    trainer = given["trainer"]
    assert given["seed_everything"] == 3 and given["data"]["path"] == "/data"
    assert (trainer["max_steps"], trainer["precision"]) == (70, "32")  # the suite's steps win
    assert trainer["limit_val_batches"] == 0
    saved = [c["init_args"] for c in trainer["callbacks"] if "RunCheckpoint" in c["class_path"]]
    assert len(saved) == 1 and saved[0]["every_n_train_steps"] == 70
    assert "monitor" not in saved[0]


def test_measuring_saves_and_counts_nothing(tmp_path):
    suite = read_suite(write_suite(tmp_path))
    given = settings(suite, Path("/data"), run_of(tmp_path, "measure"))["trainer"]
    assert given["enable_checkpointing"] is False
    names = [callback["class_path"].rpartition(".")[2] for callback in given["callbacks"]]
    assert names == ["StepSeed", "TrainingCost"]


def test_nested_settings_are_joined():
    first = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merged(first, {"a": {"y": 4}, "b": {"z": 5}}) == {"a": {"x": 1, "y": 4}, "b": {"z": 5}}
    assert first == {"a": {"x": 1, "y": 2}, "b": 3}


def test_training_starts_from_nothing_and_in_its_own_environment(tmp_path):
    suite = read_suite(write_suite(tmp_path, wandb="offline", threads=2))
    run, seen = run_of(tmp_path), {}
    run.folder.mkdir(parents=True)
    for name in ("run.json", "cost.json", "last.ckpt"):
        (run.folder / name).write_text("{}")

    class Runner:
        def __call__(self, command, log, environment):
            seen.update(environment, command=list(command))
            seen["left"] = sorted(file.name for file in run.folder.iterdir())
            (run.folder / "cost.json").write_text('{"steps": 70}')
            return 0

        def stop(self):
            raise AssertionError

    assert train(suite, tmp_path, run, Runner()) == {"steps": 70}
    assert seen["left"] == ["run.yaml"]  # nothing of an earlier start can pass for a result
    assert (seen["OMP_NUM_THREADS"], seen["WANDB_MODE"]) == ("2", "offline")
    assert seen["command"][5] == str(run.config)
    assert yaml.safe_load(Path(seen["command"][7]).read_text())["trainer"]["max_steps"] == 70


def test_a_failure_keeps_the_end_of_the_log(tmp_path):
    run = run_of(tmp_path)
    run.folder.mkdir(parents=True)
    assert failed(run, "why").said == ""
    (run.folder / "log.txt").write_bytes(b"bar 1\rbar 2\r\n\n" + b"x\n" * 20 + b"\xff end\n")
    failure = failed(run, "why")
    assert failure.said.splitlines() == ["x"] * 11 + ["\ufffd end"]
    assert note_of(run.folder)["status"] == "failed" and note_of(run.folder)["reason"] == "why"
    assert note_of(tmp_path / "nowhere") == {}


def test_a_process_says_all_it_says_into_its_log(tmp_path):
    code = "import os, sys; print(os.environ['WORD']); print('oh', file=sys.stderr); sys.exit(3)"
    status = Processes()([sys.executable, "-Sc", code], tmp_path / "log", {"WORD": "hello"})
    assert status == 3
    assert sorted((tmp_path / "log").read_text().split()) == ["hello", "oh"]


def test_a_process_that_runs_is_stopped(tmp_path):
    processes, found = Processes(), []
    command = ["sleep", "100"]
    thread = threading.Thread(target=lambda: found.append(processes(command, tmp_path / "log", {})))
    thread.start()
    while not processes._running:
        time.sleep(0.01)
    processes.stop()
    thread.join(10)
    assert found == [-15]


class Quiet:
    """A runner that only counts how often it was stopped."""

    stops = 0

    def stop(self):
        self.stops += 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_as_many_at_a_time_as_asked_for(tmp_path, jobs):
    runs = [run_of(tmp_path, f"seed_{n}") for n in range(4)]
    active, most, told, lock = [0], [0], [], threading.Lock()

    def work(run):
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        time.sleep(0.05)
        with lock:
            active[0] -= 1
        return Failed(run, "r", "") if run.folder.name == "seed_2" else None

    failures = side_by_side(work, runs, jobs, Quiet(), lambda n, note: told.append(note))
    assert most == [jobs]
    assert [failure.run for failure in failures] == [runs[2]]
    assert sorted(told) == ["one/seed_0", "one/seed_1", "one/seed_2 FAILED", "one/seed_3"]


def test_a_defect_stops_all(tmp_path):
    started, runner = [], Quiet()

    def work(run):
        started.append(run)
        raise ZeroDivisionError

    runs = [run_of(tmp_path, f"seed_{n}") for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        side_by_side(work, runs, 1, runner, lambda n, note: None)
    assert runner.stops == 1 and len(started) < 20


def test_the_newest_config_of_a_run(tmp_path):
    for name in ("version_2", "version_10", "version_x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(name)
    assert newest_config(tmp_path).read_text() == "version_10"
    with pytest.raises(InputError, match="has no version_N/config"):
        newest_config(tmp_path / "version_2")
