"""A process of a job has died: who notices, and who says which one?

The others wait for it at the next exchange of gradients, over NCCL until the timeout, half an hour.
Lightning looks after its processes every five seconds and ends the job with SIGKILL, without saying
which one it was; nobody looks after the first process. Here the first process watches those that it
started, and they watch it. Under torchrun and SLURM that is their business.

Nor may a process die of its own end. Over gloo a thread of torch lets go of the last exchange, for
which it needs the interpreter; if that is ending, the thread aborts the process (one in ten where
the exchange is the last thing that it does), and a job that is done would count as failed.
"""

import atexit
import os
import signal
import sys
import threading
import time
import traceback

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import ParallelStrategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.states import TrainerFn
from torch import distributed

PERIOD = 0.2  # seconds between two looks; a look is a system call for each process
GRACE = 3.0  # seconds in which a process that has failed should have ended
SETTLE = 0.2  # seconds between the last exchange and the end of a process
STATUS = 1  # of the job
INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)  # Ctrl-C, which all processes get


class RankWatch(pl.Callback):
    """Ends the job, with a message, as soon as a process of it that Lightning started is dead.

    Watching starts with `watch`, before the processes do, so that one that fails at once is noticed
    as well.
    """

    def __init__(self) -> None:
        self._trainer: pl.Trainer | None = None  # None: nothing to watch, or no more
        self._exception: RuntimeError | None = None  # that this process is about to end with
        self._parent = os.getppid()
        self._lock = threading.Lock()

    def watch(self, trainer: pl.Trainer) -> None:
        """Look again and again, in a thread that ends with the process."""
        strategy = trainer.strategy
        if not isinstance(strategy, ParallelStrategy):
            return
        if isinstance(strategy.cluster_environment, LightningEnvironment):
            self._trainer = trainer
            atexit.register(self._look)  # where this process fails because another one is dead
            threading.Thread(target=self._run, name="rank-watch", daemon=True).start()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Wait a little: what a collective raises says that a process is dead, but not which one.

        After Ctrl-C Lightning itself ends the processes.
        """
        if isinstance(exception, KeyboardInterrupt):
            self._trainer = None
        elif isinstance(exception, RuntimeError) and self._trainer is not None:
            self._exception = exception
            time.sleep(GRACE)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """From here on the first process may end before the others."""
        if trainer.local_rank > 0:
            self._trainer = None
        atexit.unregister(_settle)  # once, however many trainers there were
        atexit.register(_settle)

    def _run(self) -> None:
        while self._trainer is not None:
            self._look()
            time.sleep(PERIOD)

    def _look(self) -> None:
        with self._lock:
            trainer = self._trainer
            if trainer is None or trainer.received_sigterm:
                return
            died = _dead_child(trainer) or _dead_parent(trainer, self._parent)
            if died is not None:
                if self._exception is not None:
                    traceback.print_exception(self._exception)
                _end(died, trainer)


def _settle() -> None:
    """Give torch's thread the time to let go."""
    if distributed.is_available() and distributed.is_initialized():
        time.sleep(SETTLE if distributed.get_backend() == "gloo" else 0)


def _dead_child(trainer: pl.Trainer) -> str | None:
    """Which of the processes that this one has started has failed, and how."""
    strategy = trainer.strategy
    launcher = strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return None
    for local_rank, process in enumerate(launcher.procs, 1):
        status = process.poll()
        if status and status not in INTERRUPTED:
            rank = trainer.node_rank * trainer.num_devices + local_rank
            return f"rank {rank} (process {process.pid}) {_how(status)}"
    return None


def _dead_parent(trainer: pl.Trainer, parent: int) -> str | None:
    """Whether the process that started this one for Lightning is gone."""
    if trainer.local_rank == 0 or os.getppid() == parent:
        return None
    return f"rank {trainer.node_rank * trainer.num_devices} (process {parent}) is gone"


def _how(status: int) -> str:
    """What a status of `subprocess` means."""
    if status > 0:
        return f"has failed with status {status}; what it said stands above"
    return f"was killed by {signal.Signals(-status).name}"


def _end(died: str, trainer: pl.Trainer) -> None:
    """Say it, kill what this process has started, and end it whatever it is waiting for."""
    fitting = trainer.state.fn == TrainerFn.FITTING
    remedy = "; the same command with --ckpt_path last goes on" if fitting else ""
    print(f"\nprotcontact: error: {died}: the job ends{remedy}", file=sys.stderr, flush=True)
    launcher = trainer.strategy.launcher
    for process in launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else []:
        process.kill()  # a process that waits for the others hears nothing milder
    os._exit(STATUS)
