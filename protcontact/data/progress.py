"""How far is it? A bar on a terminal, a line every few seconds in a log file. On stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0
Advance = Callable[[int, str], None]


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show progress until the block ends.

    Args:
        what: Named before the bar.
        total: Number of items.

    Yields:
        ``advance(items, note)``; the note stands behind the bar.
    """
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda items, note: bar.update(task, advance=items, note=note)


def _lines(what: str, total: int) -> Advance:
    done = 0
    last = time.monotonic()

    def advance(items: int, note: str) -> None:
        nonlocal done, last
        done += items
        now = time.monotonic()
        if done >= total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{what} {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)

    return advance
