"""What do the probes of the gradient cost, beside the pass that they look at?

1. The curve of the gradient by distance: of a contact model on one chain, beside one forward and
   backward pass of that model on that chain, and of its encoder alone. `memory_curve` asks one
   residue; `distance_curve` asks eight at once, as eight copies of the chain.
2. The costates of an LSTM at every time step, beside its fused forward and backward pass and beside
   the plain way, a loop over `torch.nn.LSTMCell` with `retain_grad`. The probe is given what a
   training step leaves behind: inputs, outputs and the cotangents of the outputs.
3. Memory of the gradient over T steps, K of them at a time: the most states that exist at once,
   counted, beside T / K + K.

Both sides take turns in one run; medians are printed.

    python scripts/bench/probes.py [--length 400] [--batch 32] [--rounds 7] [--steps 50000]
        [--threads N]
"""

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from protcontact.batch import ContactBatch
from protcontact.gradflow import long_memory, memory_curve
from protcontact.gradflow.cost import LiveTensors
from protcontact.gradflow.distance import distance_curve, spread_evenly
from protcontact.gradflow.inputs import OnVectors
from protcontact.gradflow.recurrence import adjoint_scan, run_layer
from protcontact.models.contract import ContactModel, Encoder
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.resnet import ResNet

STEPS, CHANNELS = 1000, 128  # of the LSTM


def medians(rounds: int, functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each, in turns, after one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                found[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(times) for name, times in found.items()}


def distance(encoder: Encoder, L: int, rounds: int) -> dict[str, float]:
    """Times of a model, its encoder and the curves."""
    model = ContactModel(encoder, ResNet(encoder.out_channels, channels=64, blocks=10))
    tokens, index = torch.randint(0, 20, (1, L)), torch.arange(L)[None]
    coordinates, lengths = torch.randn(1, L, 3), torch.tensor([L])
    batch = ContactBatch(tokens, tokens >= 0, coordinates, index, lengths, ("chain",))
    generator, at = torch.Generator().manual_seed(0), spread_evenly(torch.tensor(L), 8)
    x = torch.randn(1, L, encoder.out_channels)
    return medians(
        rounds,
        {
            "model": lambda: model(batch).sum().backward(),
            "encoder": lambda: encoder(tokens, tokens >= 0, index).sum().backward(),
            "memory_curve": lambda: memory_curve(OnVectors(encoder), x, probes=1),
            "distance_curve": lambda: distance_curve(encoder, tokens[0], index[0], at, generator),
        },
    )


def costates(batch: int, rounds: int) -> dict[str, float]:
    """Times of one LSTM layer: fused, ours, cell by cell."""
    lstm = nn.LSTM(CHANNELS, CHANNELS, batch_first=True)
    cell = nn.LSTMCell(CHANNELS, CHANNELS)
    x = torch.randn(batch, STEPS, CHANNELS)
    zeros = torch.zeros(batch, CHANNELS)
    with torch.no_grad():
        hidden, _ = lstm(x)
    direct = torch.zeros(batch, STEPS, 2 * CHANNELS)
    direct[:, -1, :CHANNELS] = 1.0

    def fused() -> None:
        lstm(x)[0][:, -1].sum().backward()

    @torch.no_grad()
    def scan() -> None:
        adjoint_scan(run_layer(x, zeros, zeros, list(lstm.all_weights[0]), hidden), direct)

    def loop() -> None:
        state, kept = (zeros, zeros), []
        for now in x.unbind(1):
            state = cell(now, state)
            for part in state:
                part.retain_grad()
            kept.append(state)
        state[0].sum().backward()

    return medians(rounds, {"fused": fused, "scan": scan, "loop": loop})


def states_held(T: int, K: int) -> int:
    """The most states and costates at once."""
    rnn = nn.RNN(4, 33, batch_first=True)
    x, cotangent = torch.zeros(1, T, 4), torch.ones(1, 33)
    with LiveTensors(cotangent.shape) as live:
        long_memory(rnn, x, cotangent, K)
    return live.most


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=400, help="residues of the chain")
    parser.add_argument("--batch", type=int, default=32, help="chains that the LSTM reads")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--steps", type=int, default=50_000, help="of the long gradient")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(
        f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}; medians of "
        f"{options.rounds}\n\n1. one chain of {options.length} residues, ms (passes of the model)"
    )
    for encoder in (BiLSTM(channels=96), Transformer(channels=128, layers=4)):
        found = distance(encoder, options.length, options.rounds)
        cells = (f"{n} {t:.1f} ({t / found['model']:.2f})" for n, t in found.items())
        print(f"   {type(encoder).__name__:12}" + "   ".join(cells))
    found = costates(options.batch, options.rounds)
    print(
        f"\n2. LSTM, T = {STEPS}, H = {CHANNELS}, {options.batch} chains, ms: fused "
        f"{found['fused']:.0f}, costates {found['scan']:.0f} "
        f"({found['scan'] / found['fused']:.2f} of it), loop over LSTMCell {found['loop']:.0f} "
        f"({found['loop'] / found['scan']:.1f} times the costates)\n\n3. states held"
    )
    for T, K in (
        (options.steps // 10, math.isqrt(options.steps // 10)),
        (options.steps, math.isqrt(options.steps)),
        (options.steps, options.steps // 50),
    ):
        most = states_held(T, K)
        print(f"   T = {T:6,}, K = {K:5,}: {most:6,}   T/K + K = {T // K + K:6,}")


if __name__ == "__main__":
    main()
