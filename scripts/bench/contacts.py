"""What do the contacts of a protein language model cost, beside fair-esm and transformers?

The same random weights in the published shapes; all sides predict the contacts of one protein of L
residues. Each number is of a process of its own (memory that a library keeps does not help the
next), rounds take turns; medians of the seconds, largest extra memory: the high-water mark of the
process during the prediction, less what it held before, weights included.

On the CPU also what attention and matrix products alone take: the floor.

    python scripts/bench/contacts.py [--shapes 8M 35M 150M] [--lengths 256 512 1024] [--rounds 3]
        [--sides fair-esm transformers ours] [--device cuda]
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time

import torch

SHAPES = {  # layers, channels, heads
    "8M": (6, 320, 20),
    "35M": (12, 480, 20),
    "150M": (30, 640, 20),
    "650M": (33, 1280, 20),
}
SIDES = ("fair-esm", "transformers", "ours", "floor")


def high_water():
    """Of this process, in bytes, and reset."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return [1024 * int(lines[name].split()[0]) for name in ("VmHWM", "VmRSS")]


def fair_esm(shape, ids):
    import esm

    model = esm.ESM2(*shape).eval()
    return lambda: model.predict_contacts(ids)


def transformers(shape, ids):
    from transformers import EsmConfig, EsmForMaskedLM

    layers, channels, heads = shape
    config = EsmConfig(
        vocab_size=33,
        hidden_size=channels,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * channels,
        position_embedding_type="rotary",
        token_dropout=True,
        mask_token_id=32,
        pad_token_id=1,
        layer_norm_eps=1e-5,
        attn_implementation="eager",
    )
    model = EsmForMaskedLM(config).eval()
    mask = torch.ones_like(ids)
    return lambda: model.predict_contacts(ids, mask)


def ours(shape, ids):
    from protcontact.models.encoders.esm2 import ESM2

    layers, channels, heads = shape
    model = ESM2(channels, layers, heads).eval()
    mask = torch.ones(len(ids), ids.shape[1] - 2, dtype=torch.bool, device=ids.device)
    return lambda: model.contact_logits_of_ids(ids, mask).sigmoid()


def floor(shape, ids):
    """Only the products, of all layers and heads, and nothing in between."""
    layers, channels, heads = shape
    T = ids.shape[1]
    x = torch.randn(T, channels, device=ids.device)
    weights = [
        torch.randn(n, m, device=ids.device) / n**0.5
        for n, m in 4 * [(channels, channels)] + [(channels, 4 * channels)]
    ]
    back = torch.randn(4 * channels, channels, device=ids.device) / (4 * channels) ** 0.5
    q, k, v = (torch.randn(heads, T, channels // heads, device=ids.device) for _ in range(3))
    scores = torch.empty(T, T, device=ids.device)

    def run():
        for _ in range(layers):
            for weight in weights:
                y = x @ weight
            y @ back
            for head in range(heads):
                torch.mm(q[head], k[head].T, out=scores)
                scores @ v[head]

    return run


def prepared(side, shape, length, device):
    """One side's prediction of a random protein, to be called."""
    torch.manual_seed(0)
    letters = torch.randint(4, 24, (1, length))
    ids = torch.cat([torch.tensor([[0]]), letters, torch.tensor([[2]])], dim=1).to(device)
    make = {"fair-esm": fair_esm, "transformers": transformers, "ours": ours, "floor": floor}[side]
    with torch.device(device):
        make((1, *shape[1:]), ids[:, :10])()  # what happens at the first call alone
        return make(shape, ids)


def on_the_cpu(side, shape, length):
    """Seconds and extra bytes of one prediction."""
    run = prepared(side, shape, length, "cpu")
    high_water()
    _, before = high_water()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    after, _ = high_water()
    return seconds, after - before


def on_the_gpu(side, shape, length, rounds):
    """Median seconds and extra bytes, after one call that is not counted."""
    run = prepared(side, shape, length, "cuda")
    run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), torch.cuda.max_memory_allocated() - before


def in_a_process(side, shape, length, threads):
    command = [sys.executable, __file__, "--one", side, shape, str(length), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None  # killed for memory, or the library's own error
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["8M", "35M", "150M"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[256, 512, 1024])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        side, shape, length, threads = args.one
        torch.set_num_threads(int(threads))
        with torch.no_grad():
            print(json.dumps(on_the_cpu(side, SHAPES[shape], int(length))))
        return
    where = platform.machine() if args.device == "cpu" else torch.cuda.get_device_name()
    print(f"{where}, {args.threads} threads, torch {torch.__version__}; float32")
    columns = f"{'seconds':>9}{'of ours':>9}{'extra GB':>10}{'of ours':>9}"
    print(f"{'shape':6}{'L':>6}  {'side':14}{columns}")
    for shape in args.shapes:
        for length in args.lengths:
            table(args, shape, length)


def table(args, shape, length):
    found = {side: [] for side in args.sides}
    if args.device == "cuda":
        for side in args.sides:
            with torch.no_grad():
                found[side].append(on_the_gpu(side, SHAPES[shape], length, args.rounds))
    else:
        for _ in range(args.rounds):
            for side in args.sides:
                found[side].append(in_a_process(side, shape, length, args.threads))
    medians = {}
    for side, rows in found.items():
        rows = [row for row in rows if row is not None]
        if rows:
            seconds, extra = zip(*rows, strict=True)
            medians[side] = statistics.median(seconds), max(extra)
    ours_seconds, ours_extra = medians.get("ours", (float("nan"), float("nan")))
    for side in args.sides:
        if side not in medians:
            print(f"{shape:6}{length:6}  {side:14}   did not end (memory?)", flush=True)
            continue
        seconds, extra = medians[side]
        print(
            f"{shape:6}{length:6}  {side:14}{seconds:9.2f}{seconds / ours_seconds:8.1f}x"
            f"{extra / 1e9:10.3f}{extra / ours_extra:8.1f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
