"""Who notices that a process of a job is dead; with real jobs in test_two_processes.py."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy

from protcontact.training import rank_watch
from protcontact.training.rank_watch import RankWatch, _how


@pytest.fixture
def exits(monkeypatch):
    """Statuses with which the process would have ended."""
    statuses = []
    monkeypatch.setattr(rank_watch.os, "_exit", statuses.append)
    return statuses


def job(*programs, started=False):
    """A trainer whose launcher has started `programs`, unless it was started by one itself."""
    strategy = DDPStrategy(cluster_environment=LightningEnvironment())
    trainer = Trainer(accelerator="cpu", devices=3, strategy=strategy, logger=False)
    if started:  # Lightning gives it a launcher all the same
        strategy.cluster_environment.local_rank = lambda: 1
    else:
        strategy.launcher.procs = [
            subprocess.Popen([sys.executable, "-c", program]) for program in programs
        ]
    return trainer


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_dead_process_ends_the_job_and_the_others(exits, capsys):
    trainer = job("import time; time.sleep(60)", "raise SystemExit(3)")
    watch = RankWatch()
    watch.watch(trainer)
    wait_for(lambda: exits)
    with watch._lock:  # not while it looks: a look that outlives the test would end pytest
        watch._trainer = None
    assert exits[0] == 1
    died = trainer.strategy.launcher.procs[1].pid
    assert f"rank 2 (process {died}) has failed with status 3" in capsys.readouterr().err
    assert trainer.strategy.launcher.procs[0].wait(timeout=30) == -9


@pytest.mark.parametrize("program", ["", "raise SystemExit(130)"])
def test_an_end_and_ctrl_c_are_no_failures(exits, program):
    trainer = job(program)
    trainer.strategy.launcher.procs[0].wait(timeout=30)
    watch = RankWatch()
    watch._trainer = trainer
    watch._look()
    assert exits == []


@pytest.mark.parametrize("gone", [True, False])
def test_the_first_process_is_watched_by_the_others(exits, capsys, gone):
    watch = RankWatch()
    watch._trainer = job(started=True)
    watch._parent -= int(gone)  # as if this process had had another parent when it began
    watch._look()
    assert exits == [1] * gone
    assert ("rank 0 (process" in capsys.readouterr().err) == gone


def test_the_first_process_may_end_first_when_all_is_done(exits):
    watch, trainer = RankWatch(), job(started=True)
    watch._trainer = trainer
    watch._parent -= 1
    watch.teardown(trainer, None, "fit")
    watch._look()
    assert exits == []


def test_after_ctrl_c_lightning_ends_the_processes(exits):
    watch, trainer = RankWatch(), job("raise SystemExit(3)")
    trainer.strategy.launcher.procs[0].wait(timeout=30)
    watch._trainer = trainer
    watch.on_exception(trainer, None, KeyboardInterrupt())
    watch._look()
    assert exits == []


def test_a_broken_connection_gives_time_to_see_whose(exits, capsys, monkeypatch):
    """The process that has lost another one says what it met, and then who is dead."""
    monkeypatch.setattr(rank_watch, "GRACE", 0.0)
    watch, trainer = RankWatch(), job("raise SystemExit(3)")
    watch._trainer = trainer
    watch.on_exception(trainer, None, RuntimeError("connection closed by peer"))
    trainer.strategy.launcher.procs[0].wait(timeout=30)
    watch._look()
    assert exits == [1]
    told = capsys.readouterr().err
    assert told.index("connection closed by peer") < told.index("rank 1 (process")


def test_one_process_is_not_watched():
    watch = RankWatch()
    watch.watch(SimpleNamespace(strategy=object()))
    assert watch._trainer is None


def test_others_watch_the_processes_that_they_start():
    trainer = job()
    trainer.strategy.cluster_environment = TorchElasticEnvironment
    watch = RankWatch()
    watch.watch(trainer)
    assert watch._trainer is None


def test_statuses_are_explained():
    assert _how(-9) == "was killed by SIGKILL"
    assert _how(2).startswith("has failed with status 2")


@pytest.mark.parametrize(("backend", "waits"), [("gloo", [rank_watch.SETTLE]), ("nccl", [0])])
def test_a_process_does_not_end_with_its_last_exchange(monkeypatch, backend, waits):
    """Over gloo it would abort now and then: `all_gather_object` as the last line shows it."""
    slept, registered = [], []
    monkeypatch.setattr(rank_watch.time, "sleep", slept.append)
    monkeypatch.setattr(rank_watch.atexit, "register", registered.append)
    for _ in range(2):
        RankWatch().teardown(job(), None, "fit")
    assert registered == [rank_watch._settle] * 2
    rank_watch._settle()
    assert slept == []  # there is no group
    monkeypatch.setattr(rank_watch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(rank_watch.distributed, "get_backend", lambda: backend)
    rank_watch._settle()
    assert slept == waits
