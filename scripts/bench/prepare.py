"""``protcontact prepare`` on several processes against one, on the same files, in turn.

    python scripts/bench/prepare.py STRUCTURES... [--workers 2] [--repeats 3]

Prints the median seconds of the whole command, start-up included, and the ratio.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def prepare(structures: list[str], workers: int) -> float:
    """Seconds of one run into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "protcontact", "prepare", *structures]
        command += ["--out", str(Path(folder) / "data"), "--workers", str(workers)]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("structures", nargs="+", help="folders, globs, tar archives, files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], args.workers: []}
    for _ in range(args.repeats):
        for workers, taken in seconds.items():
            taken.append(prepare(args.structures, workers))
    print(f"{platform.machine()}, Python {platform.python_version()}; medians of {args.repeats}\n")
    print(f"{'processes':>9}{'seconds':>10}{'ratio':>8}")
    one = statistics.median(seconds[1])
    for workers, taken in seconds.items():
        print(
            f"{workers:>9}{statistics.median(taken):>10.1f}{one / statistics.median(taken):>7.2f}x"
        )


if __name__ == "__main__":
    main()
