"""Which tools log the gradient that the optimizer uses? Each against the one-process truth.

A small network is trained for one optimizer step on eight rows: on one process, on two processes
with DDP and two accumulated batches each, on two processes with the weights sharded between them
(FSDP2), and on one process with a loss scale and a fused optimizer (fp16 training). The average of
the gradients is the same in all four. For each tool the table says whether its number equals that
of the one process to 1e-6, and what it says if it does not.

    python scripts/bench/gradflow_truth.py [--out DIR]
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch
import wandb
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities import grad_norm
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from protcontact.gradflow.presets import full
from protcontact.training.callbacks import GradientFlow

SITUATIONS = {
    "one": "one process",
    "ddp": "DDP, accumulation",
    "fsdp2": "FSDP2",
    "fp16": "fp16 scale, fused",
}
TOOLS = {
    "wandb.watch": "largest element of the first layer's gradient",
    "Lightning grad_norm": "norm of all gradients",
    "p.grad.norm().item()": "norm of all gradients",
    "GradientFlow": "norm of all gradients",
    "GradientFlow, max": "largest element of the first layer's gradient",
}
ROWS, WIDTH, SCALE = 8, 4, 1024.0
LEFT_OUT = "meta"  # costs differ


class Network(pl.LightningModule):
    """Linear layers in float64; every rank and every run makes the same."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)
        ).double()

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """Mean of squares: the mean over batches is that over all rows."""
        return self.net(batch).square().mean()

    def train_dataloader(self) -> DataLoader:
        """Each rank's share of the rows; all ranks and accumulated batches together make ROWS."""
        rows = torch.randn(3 * ROWS, WIDTH, generator=torch.Generator().manual_seed(1))
        ranks, accumulate = self.trainer.world_size, self.trainer.accumulate_grad_batches
        own = rows.double()[self.global_rank :: ranks]
        return DataLoader(own, batch_size=ROWS // ranks // accumulate)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Sharded(Network):
    """The same, each layer's weights divided between the ranks."""

    def configure_model(self) -> None:
        """Shard layer by layer."""
        for layer in (self.net[0], self.net[2], self.net[4], self):
            fully_shard(layer, mesh=self.device_mesh["data_parallel"])


class Fused(Network):
    """The same with an optimizer that takes the loss scale off in its own step."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain gradient descent, fused."""
        return torch.optim.SGD(self.parameters(), lr=0.1, fused=True)


class Witness(pl.Callback):
    """Notes what the other tools say of the first optimizer step."""

    def __init__(self) -> None:
        self.said: dict[str, object] = {}
        self._seen: dict[str, list[float]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let wandb watch."""
        folder = Path(trainer.log_dir)  # a collective: on every rank
        if not trainer.is_global_zero:
            return
        folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(mode="offline", dir=str(folder), settings={"silent": True})
        run._log = self._note  # what its hooks call
        wandb.watch(pl_module, log="gradients", log_freq=1)

    def _note(self, data: dict[str, object], **_: object) -> None:
        for name, value in data.items():
            if "net.0." in name:
                largest = max(abs(edge) for edge in (value.bins[0], value.bins[-1]))
                self._seen.setdefault(name, []).append(largest)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        """Ask Lightning, and the parameters one by one."""
        if trainer.global_step:
            return
        self.said["wandb.watch"] = _largest(self._seen) or "silent"
        try:
            self.said["Lightning grad_norm"] = float(grad_norm(pl_module, 2)["grad_2.0_norm_total"])
        except RuntimeError as error:
            self.said["Lightning grad_norm"] = f"raises {type(error).__name__}"
        norms = [p.grad.norm().item() for p in pl_module.parameters()]
        self.said["p.grad.norm().item()"] = math.sqrt(sum(norm**2 for norm in norms))


def _largest(seen: dict[str, list[float]]) -> list[float]:
    """Over the weight and the bias, for each time that they were looked at."""
    return [max(values) for values in zip(*seen.values(), strict=True)]


def work(situation: str, folder: Path) -> None:
    """Train in one situation and write what every tool has said."""
    module = {"fsdp2": Sharded, "fp16": Fused}.get(situation, Network)()
    ranks = 2 if situation in ("ddp", "fsdp2") else 1
    witness = Witness()
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    sharded = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    pl.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy={"ddp": "ddp", "fsdp2": sharded}.get(situation, "auto"),
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)] if situation == "fp16" else None,
        accumulate_grad_batches=1 if situation == "one" else 2,
        use_distributed_sampler=False,
        max_steps=3,
        logger=CSVLogger(folder / situation, name="", version=0),
        callbacks=[witness, GradientFlow(1, probes=full(), pictures=False)],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
    ).fit(module)
    if module.global_rank == 0:
        (folder / f"{situation}.json").write_text(json.dumps(witness.said))


def collect(folder: Path) -> dict[str, dict[str, object]]:
    """Run every situation in processes of its own: situation -> tool -> what it said."""
    said = {}
    for situation in SITUATIONS:
        command = [sys.executable, __file__, "--worker", situation, "--out", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        if done.returncode:
            sys.exit(f"{situation} failed:\n{done.stderr[-3000:]}")
        said[situation] = json.loads((folder / f"{situation}.json").read_text())
        first = read_steps(folder / situation)[0]
        said[situation]["GradientFlow"] = first["gradflow/global/norm_preclip"]
        said[situation]["GradientFlow, max"] = first["gradflow/layer/net.0/max"]
    return said


def read_steps(folder: Path) -> list[dict[str, float]]:
    """What GradientFlow has logged at each step, without costs."""
    import csv

    with (folder / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("gradflow/global/norm_preclip")]
    return [
        {
            name: float(value)
            for name, value in row.items()
            if name.startswith("gradflow/") and value and LEFT_OUT not in name
        }
        for row in rows
    ]


def verdict(value: object, truth: float) -> str:
    """``right``, or what was said instead."""
    if isinstance(value, str):
        return value
    values = value if isinstance(value, list) else [value]
    if any(abs(v - truth) <= 1e-6 * truth for v in values):
        return "right"
    return "wrong: " + ", ".join(f"{v:.4g}" for v in values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder for what was logged; else a temporary one")
    parser.add_argument("--worker", choices=SITUATIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        said = collect(options.out or Path(temporary))
    truth = said["one"]
    print(f"{'':22}" + "".join(f"{title:28}" for title in SITUATIONS.values()) + "truth")
    for tool in TOOLS:
        largest = TOOLS[tool].startswith("largest")
        reference = truth["GradientFlow, max" if largest else "p.grad.norm().item()"]
        row = [verdict(said[situation][tool], float(reference)) for situation in SITUATIONS]
        print(f"{tool:22}" + "".join(f"{cell:28}" for cell in row) + f"{reference:.4g}")


if __name__ == "__main__":
    main()
