"""Callbacks that the tests on two processes put into a run."""

import json
import os
import signal
import time
from pathlib import Path

import pytorch_lightning as pl


class Losses(pl.Callback):
    """Writes the loss of every batch of this rank to ``rank_N.json`` in the run's folder."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_train_end(self, trainer, pl_module):
        file = Path(trainer.default_root_dir) / f"rank_{trainer.global_rank}.json"
        file.write_text(json.dumps(self.losses))


class Die(pl.Callback):
    """Kills the process of one rank at the end of a step, and writes when that was."""

    def __init__(self, rank: int, step: int):
        self.rank = rank
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            file = Path(trainer.default_root_dir) / "died.json"
            file.write_text(json.dumps([os.getpid(), time.time()]))
            os.kill(os.getpid(), signal.SIGKILL)
