"""Training: this package against a plain PEER-style implementation, on the same chains.

Counted are pairs of residues whose truth is known, of the chains as they are: padding earns
nothing, neither does an unresolved residue. A step is forward, loss, backward, clipping and
optimizer step.

The rival is written below, plainly: batches of a fixed number of chains drawn at random and padded
to the longest, and both residues of each pair concatenated for a two-layer perceptron (L^2 x 2C
numbers are stored). Same encoder (the BiLSTM of configs/bilstm.yaml), same optimizer, same longest
crop, same threads, same precision. Its batches have as many chains as ours have on average.
Heads of ours:

    Bilinear   the least that compares two residues, as PEER's perceptron does
    pairs-MLP  PEER's perceptron itself, w relu(A x_i + B x_j + b): equal in function and weights.
               The linear layer of a concatenation is a sum of two, each computed per residue
    ResNet     of configs/bilstm.yaml, 20 convolutions on the map: computes far more, and can more

Every number is of a fresh process; sides take turns, so that a machine that slows down slows down
all of them; medians of the rounds. Peak memory: largest resident size, less what the process held
before its model was made (CUDA: what the allocator handed out at most).

    python scripts/bench/train.py [--data FOLDER] [--rounds 3] [--steps 8] [--precision 32 bf16]
        [--device cuda] [--compile]
"""

import argparse
import contextlib
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.sampling import PlannedBatch
from protcontact.data.splitfile import NAME, Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.compiled import compile_in_place
from protcontact.models.contract import ContactModel, PairHead
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.resnet import ResNet
from protcontact.structure.chain import Chain, ChainReport

RIVAL = "PEER-style"


class PeerHead(PairHead):
    """``mlp([x_i, x_j])``, symmetrised."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.mlp = nn.Sequential(
            nn.Linear(2 * in_channels, in_channels), nn.ReLU(), nn.Linear(in_channels, 1)
        )

    def forward(self, x, mask, index=None):
        """``(B, L, C) -> (B, L, L)``."""
        B, L, C = x.shape
        left = x[:, :, None].expand(B, L, L, C)
        right = x[:, None].expand(B, L, L, C)
        logits = self.mlp(torch.cat([left, right], dim=-1))[..., 0]
        return (logits + logits.transpose(1, 2)) / 2


class PairsMLP(PairHead):
    """The same function, its first layer applied to residues and not to pairs."""

    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.left = nn.Linear(in_channels, in_channels)
        self.right = nn.Linear(in_channels, in_channels, bias=False)
        self.out = nn.Linear(in_channels, 1)

    def forward(self, x, mask, index=None):
        """``(B, L, C) -> (B, L, L)``."""
        hidden = (self.left(x)[:, :, None] + self.right(x)[:, None]).relu_()
        logits = self.out(hidden)[..., 0]
        return (logits + logits.transpose(1, 2)) / 2


HEADS = {
    RIVAL: PeerHead,
    "pairs-MLP": PairsMLP,
    "Bilinear": Bilinear,
    "ResNet": lambda channels: ResNet(channels, 64, 10, patch=2, dropout=0.1),
}


def synthetic_chains(folder, count):
    """Random walks, as long as proteins are: log-normal, median 180, one in six beyond 350."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(180), 0.65, count), 30, 1000).astype(int)
    chains = []
    for number, length in enumerate(lengths.tolist()):
        steps = random.normal(size=(length, 3))
        walk = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
        chains.append(
            Chain(
                id=f"c{number:05d}",
                sequence="".join(random.choice(list("ACDEFGHIKLMNPQRSTVWY"), size=length)),
                coordinates=walk.astype(np.float32),
                ca=walk.astype(np.float32),
                numbering=tuple(map(str, range(1, length + 1))),
                chain_id="A",
                label_chain_id="A",
                entity_id="1",
                source=f"c{number:05d}.cif",
                method="none",
                resolution=1.0,
                release_date="2000-01-01",
                report=ChainReport(),
            )
        )
    write_store(folder, chains)
    rows = [Assignment(chain.id, "train", chain.id, len(chain)) for chain in chains]
    write_assignments(folder / NAME, rows)


def batches(side, setting, count):
    """List the first batches of an epoch, as this side makes them."""
    compiled = setting["compile"] and side != RIVAL
    data = ContactDataModule(
        setting["data"],
        pair_budget=setting["budget"],
        crop_size=setting["crop"],
        seed=setting["round"],
        length_multiple=8 if compiled else 1,
    )
    data.setup("fit")
    ours = data.train_dataloader()
    if side != RIVAL:
        return [batch for _, batch in zip(range(count), ours, strict=False)]
    rows = np.random.default_rng(setting["round"]).permutation(data.rows("train"))
    size = max(1, round(len(rows) / len(ours)))
    starts = range(0, min(count, len(rows) // size) * size, size)
    chosen = [tuple(rows[start : start + size].tolist()) for start in starts]
    return [ours.dataset[PlannedBatch(some, (setting["round"], 0))] for some in chosen]


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(side, setting):
    """Seconds, known and padded pairs, peak memory and FLOPs of some steps."""
    torch.set_num_threads(setting["threads"])
    torch.manual_seed(0)
    device = setting["device"]
    shown = batches(side, setting, setting["steps"] + setting["warmup"])
    before = resident()
    encoder = BiLSTM(96, 2, dropout=0.1, corruption=0.1)  # of configs/bilstm.yaml
    model = ContactModel(encoder, HEADS[side](encoder.out_channels)).to(device)
    if setting["compile"] and side != RIVAL:
        compile_in_place(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    sums = {"seconds": 0.0, "cpu": 0.0, "pairs": 0, "real": 0, "padded": 0, "flops": 0}
    for number, batch in enumerate(shown):
        start, cpu = time.perf_counter(), time.process_time()
        train(model, optimizer, batch.to(device), setting)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        if number < setting["warmup"]:
            continue
        sums["seconds"] += seconds
        sums["cpu"] += cpu
        sums["pairs"] += int(batch.known().sum())
        sums["real"] += int((batch.mask.sum(dim=1) ** 2).sum())
        sums["padded"] += batch.tokens.shape[0] * batch.tokens.shape[1] ** 2
    cuda = device == "cuda"
    sums["peak"] = torch.cuda.max_memory_allocated() if cuda else resident() - before
    if cuda:  # counted on the products and convolutions that the steps have, after the clock
        with FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
            for batch in shown[setting["warmup"] :]:
                train(model, optimizer, batch.to(device), setting)
        sums["flops"] = counter.get_total_flops()
    return sums


def train(model, optimizer, batch, setting):
    low = setting["precision"] == "bf16"
    with torch.autocast(setting["device"], torch.bfloat16) if low else contextlib.nullcontext():
        loss = masked_contact_loss(model(batch), batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def in_a_process(side, setting):
    command = [sys.executable, __file__, "--one", side, json.dumps(setting)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.splitlines() or ["killed, for memory as a rule"])[-1]
        print(f"{side}: did not end ({last})", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def table(sides, setting, rounds, peak_tflops):
    """Measure all sides at one precision and print a row for each."""
    found = {side: [] for side in sides}
    for turn in range(rounds):
        for side in sides:
            one = in_a_process(side, {**setting, "round": turn})
            if one is not None:
                found[side].append(one)
    speeds = {
        side: statistics.median(one["pairs"] / one[setting["clock"]] for one in ones)
        for side, ones in found.items()
        if ones
    }
    memory = {side: max(one["peak"] for one in found[side]) for side in speeds}
    for side, speed in speeds.items():
        ones = found[side]
        padding = 1 - sum(one["real"] for one in ones) / sum(one["padded"] for one in ones)
        flops = statistics.median(one["flops"] / one["seconds"] for one in ones)
        used = f"{flops / 1e12 / peak_tflops:8.1%}" if flops else ""
        print(
            f"{setting['precision']:6}{side:12}{speed:>12.3g}"
            f"{speed / speeds.get(RIVAL, float('nan')):>8.2f}x{memory[side] / 1e6:>9.0f}"
            f"{memory.get(RIVAL, float('nan')) / memory[side]:>9.2f}x{padding:>9.1%}{used}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="prepared and split chains; else made here")
    parser.add_argument("--chains", type=int, default=2000, help="to make, without --data")
    parser.add_argument("--budget", type=int, default=131_072, help="padded pairs of our batches")
    parser.add_argument("--crop", type=int, default=192, help="longest, for both sides")
    ours = [side for side in HEADS if side != RIVAL]
    parser.add_argument("--sides", nargs="+", choices=ours, default=ours, help="of ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="of each measurement")
    parser.add_argument("--warmup", type=int, default=2, help="steps before, not counted")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", nargs="+", choices=["32", "bf16"], default=["32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="ours, by torch.compile")
    parser.add_argument(
        "--clock",
        choices=["seconds", "cpu"],
        default="seconds",
        help="cpu: time of the processor, for a machine that others use too",
    )
    parser.add_argument(
        "--peak-tflops", type=float, default=989.0, help="of the GPU; bf16 of an H100 or H200: 989"
    )
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], json.loads(args.one[1]))))
        return
    names = ("data", "budget", "crop", "steps", "warmup", "threads", "device", "compile", "clock")
    setting = {name: getattr(args, name) for name in names}
    cuda = args.device == "cuda"
    where = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    print(
        f"{where}, {args.threads} threads, torch {torch.__version__}; BiLSTM 2 x 96, crops of at "
        f"most {args.crop}, {args.data or 'random walks'}; medians of {args.rounds} x {args.steps} "
        f"steps{', ours compiled' if args.compile else ''}; clock: {args.clock}"
    )
    print("ratios: against the PEER-style side of the same precision; padding: share of pairs\n")
    columns = f"{'pairs/s':>12}{'ratio':>9}{'peak MB':>9}{'1/ratio':>10}{'padding':>9}"
    print(f"{'':6}{'side':12}{columns}{'     MFU' if cuda else ''}")
    with tempfile.TemporaryDirectory() as folder:
        if not args.data:
            setting["data"] = folder
            synthetic_chains(Path(folder), args.chains)
        for precision in args.precision:
            table(
                [RIVAL, *args.sides],
                {**setting, "precision": precision},
                args.rounds,
                args.peak_tflops,
            )


if __name__ == "__main__":
    main()
