"""How is every run of a suite made once, whatever happens to the others?

A run is a process of ``protcontact fit`` with a folder of its own:

    run.yaml      what the suite sets on top of the config; with it the run can be repeated by hand
    log.txt       what the process said
    cost.json     steps, seconds and memory (`TrainingCost`)
    last.ckpt     the weights after the last step, which are what is scored
    chains.csv    scores of every chain
    run.json      how it ended; written last, so a run without it is made again

Nothing is validated during training and no checkpoint is chosen. A run that fails is told, and the
others go on.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml

from protcontact.atomic import write_text
from protcontact.errors import InputError
from protcontact.report.suite import Suite
from protcontact.training.loggers import starts_of

MEASURE = "measure"
SAID_LAST = 12  # lines of a log that are shown when a run fails
PATIENCE = 20.0  # seconds that an interrupted training has to end by itself


class Run(NamedTuple):
    """One training.

    Attributes:
        name: Of the config.
        config: Its file.
        seed: Of the training.
        steps: Optimizer steps.
        folder: Of the run.
    """

    name: str
    config: Path
    seed: int
    steps: int
    folder: Path

    @property
    def label(self) -> str:
        """As it is called in messages."""
        return f"{self.name}/{self.folder.name}"


class Runner(Protocol):
    """Runs a command to its end."""

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Write what the command says to `log`.

        Returns:
            Exit status; negative the signal that ended it.
        """

    def stop(self) -> None:
        """End what runs, from another thread."""


class Processes:
    """Runs commands as processes, several at a time from several threads."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()

    def __call__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Run one; see `Runner`."""
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )
            self._running.add(process)
            try:
                return process.wait()
            finally:
                self._running.discard(process)

    def stop(self) -> None:
        """Ask each to end, and end those that do not."""
        running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


class Failed(NamedTuple):
    """A run that did not come to its end.

    Attributes:
        run: Which.
        reason: In a line.
        said: End of its log.
    """

    run: Run
    reason: str
    said: str


def settings(suite: Suite, data: Path, run: Run) -> dict[str, Any]:
    """What a suite sets on top of a config: the only callbacks are those without a choice in them.

    Args:
        suite: Its ``fit`` comes first.
        data: A prepared and split data set.
        run: The training.
    """
    callbacks = "protcontact.training.callbacks"
    checkpoint = {"dirpath": str(run.folder), "filename": "last", "every_n_train_steps": run.steps}
    kept = [
        {"class_path": f"{callbacks}.step_seed.StepSeed"},
        {
            "class_path": f"{callbacks}.training_cost.TrainingCost",
            "init_args": {"file": str(run.folder / "cost.json")},
        },
    ]
    if run.folder.name != MEASURE:
        kept += [
            {"class_path": f"{callbacks}.separation_null.SeparationNull"},
            {
                "class_path": f"{callbacks}.checkpoints.RunCheckpoint",
                "init_args": checkpoint | {"enable_version_counter": False},
            },
        ]
    own: dict[str, Any] = {
        "seed_everything": run.seed,
        "data": {"path": str(data)},
        "trainer": {
            "max_steps": run.steps,
            "max_epochs": -1,
            "limit_val_batches": 0,
            "val_check_interval": 1,
            "num_sanity_val_steps": 0,
            "enable_checkpointing": run.folder.name != MEASURE,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(run.folder),
            "callbacks": kept,
        },
    }
    return merged(suite.fit, own)


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Join nested settings; the second wins."""
    joined = dict(first)
    for key, value in second.items():
        old = joined.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        joined[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return joined


def train(suite: Suite, data: Path, run: Run, runner: Runner) -> dict[str, Any] | Failed:
    """Train once, from the beginning, unless it was trained and only not scored any more.

    Args:
        suite: What is compared.
        data: A prepared and split data set.
        run: The training.
        runner: Runs ``protcontact fit``.

    Returns:
        What `TrainingCost` wrote, or why there is nothing to score.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    if _is_trained(run):
        return _cost(run)
    for name in ("run.json", "chains.csv", "cost.json", "last.ckpt"):
        (run.folder / name).unlink(missing_ok=True)
    own = run.folder / "run.yaml"
    text = yaml.safe_dump(settings(suite, data.absolute(), run), sort_keys=False)
    write_text(own, f"# Written by protcontact experiment, on top of {run.config.name}.\n{text}")
    command = [sys.executable, "-m", "protcontact", "fit"]
    command += ["--config", str(run.config), "--config", str(own)]
    environment = {
        "OMP_NUM_THREADS": str(suite.threads),
        "MKL_NUM_THREADS": str(suite.threads),
        "WANDB_MODE": suite.wandb,
    }
    status = runner(command, run.folder / "log.txt", environment)
    if status != 0:
        return failed(run, _reason(status))
    if not (run.folder / "cost.json").is_file():
        return failed(run, "it ended without a training")
    return _cost(run)


def _is_trained(run: Run) -> bool:
    """Whether an earlier start came to the last step, and no further."""
    files = [run.folder / name for name in ("last.ckpt", "cost.json")]
    ended = (run.folder / "run.json").is_file()  # scored, or failed
    return not ended and all(f.is_file() for f in files) and _cost(run)["steps"] == run.steps


def _cost(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "cost.json").read_text(encoding="utf-8"))
    return found


def failed(run: Run, reason: str) -> Failed:
    """A failure with the end of the run's log, noted in its folder."""
    log = run.folder / "log.txt"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    note = {"status": "failed", "reason": reason, "config": run.name, "seed": run.seed}
    write_text(run.folder / "run.json", json.dumps(note, indent=1) + "\n")
    return Failed(run, reason, "\n".join(lines[-SAID_LAST:]))


def _reason(status: int) -> str:
    if status >= 0:
        return f"protcontact fit ended with status {status}"
    name = signal.Signals(-status).name
    memory = ", as a system out of memory does" if -status == signal.SIGKILL else ""
    return f"protcontact fit was ended by {name}{memory}"


def newest_config(folder: Path) -> Path:
    """The settings of a run's last start, as `protcontact fit` resolved them.

    Raises:
        InputError: If there are none.
    """
    configs = [start / "config.yaml" for start in starts_of(folder)]
    configs = [config for config in configs if config.is_file()]
    if not configs:
        raise InputError(f"{folder} has no version_N/config.yaml of the training")
    return configs[-1]


def note_of(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says of a run; empty if it has not ended."""
    file = folder / "run.json"
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def side_by_side(
    work: Callable[[Run], Failed | None],
    runs: Sequence[Run],
    jobs: int,
    runner: Runner,
    advance: Callable[[int, str], None],
) -> list[Failed]:
    """Work on runs, some at a time; at Ctrl-C end those that run and start no other.

    Args:
        work: Makes one run.
        runs: In the order in which they start.
        jobs: How many at a time.
        runner: Stopped at Ctrl-C.
        advance: Told after each run.

    Returns:
        Those that failed. What `work` raises, and Ctrl-C, comes through once nothing runs any more.
    """
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(work, run): run for run in runs}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    run, failure = waiting.pop(future), future.result()
                    if failure is not None:
                        failures.append(failure)
                    advance(1, f"{run.label}{' FAILED' if failure else ''}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            runner.stop()
            raise
    return failures
