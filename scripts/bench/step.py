"""Training step: this package's pair heads against concatenating all pairs of residues.

Same encoder, same batch, same loss. The two rivals are written plainly below: the head of TAPE
(product and difference of each pair, then a linear layer) and that of PEER (both residues of each
pair concatenated, then a two-layer perceptron). Each head runs in a process of its own; peak memory
is what the step adds to that process (on CUDA: what the allocator hands out). Heads take turns, so
that a machine that slows down slows down all of them; medians are printed.

    python scripts/bench/step.py [--length 400] [--batch 2] [--repeats 7] [--device cpu]
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protcontact.batch import ContactBatch
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.contract import ContactModel, PairHead
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.attention_regression import AttentionRegression
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.resnet import ResNet


class TapeHead(PairHead):
    """``linear([x_i * x_j, x_i - x_j])``, symmetrised."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.linear = nn.Linear(2 * in_channels, 1)

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C) -> (B, L, L)``."""
        pairs = torch.cat([x[:, :, None] * x[:, None], x[:, :, None] - x[:, None]], dim=-1)
        logits = self.linear(pairs)[..., 0]
        return (logits + logits.transpose(1, 2)) / 2


class PeerHead(PairHead):
    """``mlp([x_i, x_j])``, symmetrised."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.mlp = nn.Sequential(
            nn.Linear(2 * in_channels, in_channels), nn.ReLU(), nn.Linear(in_channels, 1)
        )

    def forward(self, x: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """``(B, L, C) -> (B, L, L)``."""
        B, L, C = x.shape
        left = x[:, :, None].expand(B, L, L, C)
        right = x[:, None].expand(B, L, L, C)
        logits = self.mlp(torch.cat([left, right], dim=-1))[..., 0]
        return (logits + logits.transpose(1, 2)) / 2


HEADS: dict[str, Callable[[int], PairHead]] = {
    "concatenation, TAPE": TapeHead,
    "concatenation, PEER": PeerHead,
    "Bilinear": lambda channels: Bilinear(channels, rank=64),
    "AttentionRegression": AttentionRegression,
    "ResNet, 2 blocks, patch 2": lambda channels: ResNet(channels, 32, 2, patch=2),
    "ResNet, 10 blocks, patch 2": lambda channels: ResNet(channels, 64, 10, patch=2),
}


class Setting(NamedTuple):
    """What all heads share."""

    length: int
    batch: int
    channels: int
    threads: int
    device: str
    precision: str


def random_batch(setting: Setting) -> ContactBatch:
    """Chains that walk at random, 3.8 Angstrom a step."""
    B, L = setting.batch, setting.length
    torch.manual_seed(0)
    walk = nn.functional.normalize(torch.randn(B, L, 3), dim=-1).cumsum(dim=1) * 3.8
    return ContactBatch(
        torch.randint(0, 20, (B, L)),
        torch.ones(B, L, dtype=torch.bool),
        walk,
        torch.arange(L).expand(B, L),
        torch.full((B,), L),
        tuple(str(row) for row in range(B)),
    )


def serve(name: str, setting: Setting, pipe: Connection) -> None:
    """Take a step whenever asked; answer with its seconds and the peak memory so far."""
    torch.set_num_threads(setting.threads)
    encoder = BiLSTM(setting.channels // 2, layers=2)
    model = ContactModel(encoder, HEADS[name](encoder.out_channels)).to(setting.device)
    batch = random_batch(setting).to(setting.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    cuda = setting.device.startswith("cuda")
    low = setting.precision == "bf16"
    before = 0 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    while pipe.recv():
        start = time.perf_counter()
        with torch.autocast(setting.device.split(":")[0], torch.bfloat16, enabled=low):
            logits = model(batch)
        masked_contact_loss(logits, batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        pipe.send((seconds, torch.cuda.max_memory_allocated() if cuda else peak))


def measure(setting: Setting, repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds and peak bytes of a step, per head."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in HEADS:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, setting, theirs), daemon=True).start()
    seconds: dict[str, list[float]] = {name: [] for name in HEADS}
    peak: dict[str, float] = {}
    for turn in range(repeats + 2):  # the first two warm up
        for name, pipe in pipes.items():
            pipe.send(True)
            taken, peak[name] = pipe.recv()
            if turn >= 2:
                seconds[name].append(taken)
    for pipe in pipes.values():
        pipe.send(False)
    return {name: (statistics.median(seconds[name]), peak[name]) for name in HEADS}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--length", type=int, default=400, help="residues")
    parser.add_argument("--batch", type=int, default=2, help="chains")
    parser.add_argument("--channels", type=int, default=192, help="of the encoder")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    args = parser.parse_args()
    setting = Setting(
        args.length, args.batch, args.channels, args.threads, args.device, args.precision
    )
    results = measure(setting, args.repeats)
    pairs = args.batch * args.length**2
    reference_seconds = min(results[name][0] for name in list(HEADS)[:2])
    reference_peak = min(results[name][1] for name in list(HEADS)[:2])
    print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, torch "
        f"{torch.__version__}, {args.device}, {args.precision}; BiLSTM of {args.channels} "
        f"channels, batch of {args.batch} x {args.length} residues; medians of {args.repeats}"
    )
    print("ratios: against the better of the two concatenations\n")
    print(f"{'head':<28}{'pairs/s':>12}{'ratio':>8}{'peak MB':>10}{'1 / ratio':>11}")
    for name, (seconds, peak) in results.items():
        speed, thrift = reference_seconds / seconds, reference_peak / peak
        print(
            f"{name:<28}{pairs / seconds:>12.3g}{speed:>7.2f}x{peak / 1e6:>10.0f}{thrift:>10.2f}x"
        )


if __name__ == "__main__":
    main()
