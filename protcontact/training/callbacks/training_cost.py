"""What did a training cost: seconds, memory, weights?

Time per optimizer step is that of the processor (all threads of the training process), which other
programs on the machine hardly change, or on a GPU the time on the clock, with everything that was
queued done. It is read where the number of optimizer steps rises, so batches, accumulation and
loading in the process itself are in it; processes that load beside it (``data.workers``) are not.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from protcontact.atomic import write_text
from protcontact.training.module import count_parameters

WARM_UP = 5  # first steps, in which memory is taken and kernels are chosen
TRIMMED = 0.1  # share of the fastest and of the slowest steps that the mean leaves out


class TrainingCost(pl.Callback):
    """Logs what a training cost below ``cost/`` when it ends; of a resumed run its last start.

    Args:
        file: Where to write it as JSON as well; its folder is made.
    """

    def __init__(self, file: str | None = None) -> None:
        self.file = None if file is None else Path(file)
        self._steps: list[float] = []
        self._last = self._cpu = self._wall = 0.0

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Start the clocks."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self._steps = []
        self._done = trainer.global_step
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._last = _clock(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: "pl.Trainer",
        pl_module: "pl.LightningModule",
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Read the clock where the optimizer has made a step."""
        if trainer.global_step == self._done:
            return
        self._done = trainer.global_step
        now = _clock(pl_module.device)
        self._steps.append(now - self._last)
        self._last = now

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Log, and write the file."""
        device = pl_module.device
        cost: dict[str, Any] = {
            "steps": len(self._steps),
            "seconds_per_step": trimmed_mean(self._steps[WARM_UP:]),
            "step_seconds": sum(self._steps),
            "cpu_seconds": time.process_time() - self._cpu,
            "wall_seconds": time.perf_counter() - self._wall,
            "peak_memory": peak_memory(),
            "device_memory": 0,
            "parameters": count_parameters(pl_module),
            "device": device.type,
        }
        if device.type == "cuda":
            cost["device_memory"] = torch.cuda.max_memory_allocated(device)
        if self.file is not None:
            _write(self.file, cost)
        numbers = {f"cost/{name}": value for name, value in cost.items() if _is_number(value)}
        for logger in trainer.loggers:  # each of them writes on rank 0 only
            logger.log_metrics(numbers, step=trainer.global_step)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


@rank_zero_only
def _write(file: Path, cost: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(cost, indent=1) + "\n")


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def trimmed_mean(values: list[float]) -> float | None:
    """Mean without the lowest and the highest tenth; None without values.

    Not the median: batches differ in size, and their mean is what a budget is spent on.
    """
    ranked = sorted(values)
    cut = int(TRIMMED * len(ranked))
    kept = ranked[cut : len(ranked) - cut]
    return sum(kept) / len(kept) if kept else None


def peak_memory() -> int:
    """Bytes of memory that this process has held at most.

    From Linux's own count of the running program: that of ``getrusage`` starts with the memory of
    the process that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
