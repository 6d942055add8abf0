"""What does it cost to watch the gradient? Each tool at every step, in one run.

A residual network of 72 layers (144 parameter tensors) is trained without any logging, with
GradientFlow (light and full), with `wandb.watch(log="gradients")`, and with Lightning's `grad_norm`
and `log_dict`, all into an offline wandb run. The tools take turns, so that a machine that slows
down slows down all of them; medians of the time from the start of one batch to the start of the
next are printed. Then the same steps are counted on two processes with DDP: operations that make
the host wait for a number (`item`), messages between processes beyond those of training, and, on
one process, breaks that the tool makes in a compiled graph (`eager`: the measured step runs as it
was written, as hooks on compiled code never fire). On a GPU every wait beside the one copy is an
error: `torch.cuda.set_sync_debug_mode("error")` is on while GradientFlow measures.

wandb writes from a process of its own. So that its work is not taken for ours or the training's,
torch is left one core less than there are; `--threads` says otherwise.

    python scripts/bench/gradflow_cost.py [--width 160] [--layers 72] [--rounds 3] [--steps 60]
"""

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import grad_norm
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from protcontact.gradflow.presets import full
from protcontact.training.callbacks import GradientFlow

BATCH, WARM_UP = 128, 5
TOOLS = (
    "nothing",
    "GradientFlow, light",
    "GradientFlow, full",
    "wandb.watch",
    "grad_norm + log_dict",
)
WAITS = ("aten::item", "aten::_local_scalar_dense")
MESSAGES = ("c10d::allreduce_", "c10d::allgather_", "c10d::_allgather_base_", "c10d::broadcast_")


class Block(nn.Module):
    """``x + linear(relu(x))``."""

    residual = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, width) -> (B, width)``."""
        return x + self.linear(torch.relu(x))


class Network(pl.LightningModule):
    """Residual layers under AdamW."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.width = width
        self.net = nn.Sequential(*(Block(width) for _ in range(layers)))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """Mean of squares."""
        return self.net(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-4)

    def train_dataloader(self) -> DataLoader:
        """The same random rows for every tool."""
        rows = torch.randn(16 * BATCH, self.width, generator=torch.Generator().manual_seed(1))
        return DataLoader(rows, batch_size=BATCH)


class GradNorm(pl.Callback):
    """Lightning's own way, as its documentation shows it."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        """Log the norm of each parameter's gradient."""
        pl_module.log_dict(grad_norm(pl_module, norm_type=2))


class Clock(pl.Callback):
    """Seconds from the start of one batch to the start of the next."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Note the time."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.starts.append(time.perf_counter())

    def times(self) -> list[float]:
        """Of the steps after warming up."""
        pairs = zip(self.starts[WARM_UP:-1], self.starts[WARM_UP + 1 :], strict=True)
        return [after - before for before, after in pairs]


class NeverWaits(GradientFlow):
    """Refuses to let the host wait for a GPU while it measures."""

    def on_before_optimizer_step(self, *arguments) -> None:
        """Measure, with waiting forbidden."""
        torch.cuda.set_sync_debug_mode("error")
        try:
            super().on_before_optimizer_step(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def _after_update(self, *arguments) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            super()._after_update(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")


class Profiled(pl.Callback):
    """Counts operations of all steps after the first two."""

    def __init__(self) -> None:
        self.profile = profile(activities=[ProfilerActivity.CPU])
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Begin at the third step, when DDP has settled its buckets."""
        if trainer.global_step == 2:
            self.profile.start()
        self.steps += trainer.global_step >= 2

    def on_train_end(self, trainer, pl_module) -> None:
        """Stop counting."""
        self.profile.stop()

    def counts(self) -> Counter[str]:
        """Name of an operation -> how often per step."""
        return Counter({e.key: e.count / self.steps for e in self.profile.key_averages()})


def train(tool: str, options: argparse.Namespace, steps: int, *extra: pl.Callback, **more) -> None:
    """Train with one of the tools."""
    kind = NeverWaits if options.device == "cuda" else GradientFlow
    callbacks = {
        "GradientFlow, light": [kind(1, pictures=False)],
        "GradientFlow, full": [kind(1, full(), pictures=False)],
        "grad_norm + log_dict": [GradNorm()],
    }.get(tool, [])
    module = more.pop("module", None) or Network(options.width, options.layers)
    with tempfile.TemporaryDirectory() as folder:
        logger = WandbLogger(save_dir=folder, offline=True, settings={"silent": True})
        if tool == "wandb.watch":
            logger.watch(module, log="gradients", log_freq=1, log_graph=False)
        pl.Trainer(
            accelerator=options.device,
            max_steps=steps,
            logger=logger,
            callbacks=[*callbacks, *extra],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            log_every_n_steps=1,
            **({"devices": 1} | more),
        ).fit(module)
        if tool == "wandb.watch":
            logger.experiment.unwatch(module)
        logger.experiment.finish()


def timings(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step with each tool."""
    found: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    for _ in range(options.rounds):
        for tool in TOOLS:
            clock = Clock()
            train(tool, options, options.steps, clock)
            found[tool] += clock.times()
    return {tool: statistics.median(times) for tool, times in found.items()}


def counted(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Waits and messages per step with each tool, on two processes."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "counts.json"
        command = [sys.executable, __file__, "--out", str(result)]
        command += ["--width", str(options.width), "--layers", str(options.layers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            sys.exit(f"counting failed on two processes:\n{done.stderr[-3000:]}")
        return json.loads(result.read_text())


def count(options: argparse.Namespace) -> None:
    """Count on two processes, and write what rank 0 has counted."""
    found = {}
    for tool in TOOLS:
        profiled = Profiled()
        train(tool, options, 8, profiled, devices=2, strategy="ddp")
        counts = profiled.counts()
        messages = sum(counts[name] for name in MESSAGES)
        found[tool] = {"waits": counts[WAITS[1]], "messages": messages}
    if torch.distributed.get_rank() == 0:
        options.out.write_text(json.dumps(found))


def graph_breaks(tool: str, options: argparse.Namespace) -> str:
    """How many graphs beyond one the compiled network falls into; ``eager`` if it is not used."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    module = Network(options.width, options.layers)
    module.net = torch.compile(module.net, backend="aot_eager")
    train(tool, options, 4, module=module)
    graphs = counters["stats"]["unique_graphs"]
    return str(graphs - 1 + sum(counters["graph_break"].values())) if graphs else "eager"


def quiet() -> None:
    """No word from the libraries: the table is what is wanted."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=160, help="of the network")
    parser.add_argument("--layers", type=int, default=72, help="of the network")
    parser.add_argument("--rounds", type=int, default=3, help="times that each tool has its turn")
    parser.add_argument("--steps", type=int, default=60, help="of each turn")
    parser.add_argument(
        "--threads", type=int, default=max((os.cpu_count() or 2) - 1, 1), help="of torch"
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(options.threads)
    if options.out:
        options.device = "cpu"
        count(options)
        return
    seconds, counts = timings(options), counted(options)
    broken = {tool: graph_breaks(tool, options) for tool in TOOLS}
    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{options.device}; {2 * options.layers} parameter tensors of width {options.width}; "
        f"medians of {options.rounds * (options.steps - WARM_UP - 1)} steps, all of them logged\n"
    )
    base, watch = seconds["nothing"], seconds["wandb.watch"] - seconds["nothing"]
    head = ("ms/step", "ratio", "added ms", "of watch's", "waits", "messages", "breaks")
    print(f"{'':22}" + "".join(f"{title:>12}" for title in head))
    for tool in TOOLS:
        added = seconds[tool] - base
        cells = (
            f"{1e3 * seconds[tool]:.2f}",
            f"{seconds[tool] / base:.3f}x",
            f"{1e3 * added:.2f}",
            f"1/{watch / added:.0f}" if 0 < added < watch else "",
            f"{counts[tool]['waits'] - counts['nothing']['waits']:.1f}",
            f"{counts[tool]['messages'] - counts['nothing']['messages']:.1f}",
            broken[tool],
        )
        print(f"{tool:22}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
