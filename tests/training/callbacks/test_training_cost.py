"""What a training cost."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from protcontact.training.callbacks.training_cost import (
    WARM_UP,
    TrainingCost,
    peak_memory,
    trimmed_mean,
)


class Module(torch.nn.Linear):
    device = torch.device("cpu")


def work(seconds):
    """Keep the processor busy."""
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass


def test_only_processor_time_of_optimizer_steps_counts(tmp_path):
    file = tmp_path / "new" / "cost.json"
    cost, module, trainer = (
        TrainingCost(str(file)),
        Module(3, 2),
        SimpleNamespace(global_step=0, loggers=[]),
    )
    cost.on_train_start(trainer, module)
    for step in range(WARM_UP + 3):
        for micro in range(2):  # two batches for each optimizer step
            work(0.03 if step < WARM_UP else 0.01)
            time.sleep(0.002)
            trainer.global_step = step + micro
            cost.on_train_batch_end(trainer, module, None, None, 0)
    cost.on_train_end(trainer, module)
    found = json.loads(file.read_text())
    assert found["steps"] == WARM_UP + 3 and found["parameters"] == 8
    assert found["seconds_per_step"] == pytest.approx(0.02, rel=0.25)
    assert found["wall_seconds"] > found["cpu_seconds"] >= found["step_seconds"] * 0.99
    assert (found["device"], found["device_memory"]) == ("cpu", 0)


def test_mean_without_the_extremes():
    assert trimmed_mean([5.0]) == 5.0
    assert trimmed_mean([]) is None
    assert trimmed_mean([1000.0, *[2.0] * 8, -7.0]) == 2.0
    assert trimmed_mean([1.0, 2.0, 6.0]) == 3.0  # no median


def test_peak_memory_is_that_of_this_process_at_its_highest():
    before = peak_memory()
    block = torch.ones(before // 4 + 50_000_000)  # four bytes each: more than there was
    assert peak_memory() >= before + 100_000_000
    del block
    assert peak_memory() >= before + 100_000_000
