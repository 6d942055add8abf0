"""How does a heap of structure files become a data set, whatever happens on the way?

Inputs are cut into shards; one task reads the inputs of one shard (see `shards`). What is on disk
is always either whole or not there, so a run that was killed starts again where it stopped and
ends with the same bytes; shards whose inputs were modified meanwhile are made anew. Inputs that
kill their worker are found and rejected. The account balances:
``inputs = inputs_with_chains + inputs_rejected``.
"""

import errno
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from protcontact import __version__
from protcontact.atomic import write_text
from protcontact.data import manifest, splitfile
from protcontact.data.inputs import Input, find_inputs
from protcontact.data.lock import exclusive
from protcontact.data.manifest import Manifest, read_manifest
from protcontact.data.pool import DaskPool, LocalPool, Pool, completed
from protcontact.data.progress import Advance, progress
from protcontact.data.shards import (
    WORK_FOLDER,
    Account,
    ReadOptions,
    ShardTask,
    finished,
    prepare_shard,
    read_input,
)
from protcontact.data.store import refuse_duplicates
from protcontact.errors import InputError

REJECTED = "rejected.tsv"
_PLAN = "plan.json"
_KILLED = "reading it killed the worker process (out of memory?)"
_DERIVED = (splitfile.NAME, "split.json", "audit.tsv")


@dataclass(frozen=True)
class Where:
    """Which processes do the work.

    Attributes:
        workers: Number of processes of this machine.
        scheduler: Address of a Dask scheduler whose workers are used instead; "" for none.
    """

    workers: int = 1
    scheduler: str = ""

    def pool(self, folder: Path) -> Pool:
        """Start the workers, who will write to `folder`."""
        if self.scheduler:
            return DaskPool(self.scheduler, folder)
        return LocalPool(self.workers, ["protcontact.data.shards"])


@dataclass(frozen=True)
class Report:
    """What was prepared.

    Attributes:
        counts: As in the manifest.
        reasons: How many inputs were rejected for each reason.
        continued: Shards that an earlier run had finished.
    """

    counts: dict[str, int]
    reasons: Counter[str]
    continued: int

    def __str__(self) -> str:
        counts = self.counts
        lines = [
            f"inputs         {counts['inputs']:>9,}",
            f"  with chains  {counts['inputs_with_chains']:>9,}",
            f"  rejected     {counts['inputs_rejected']:>9,}",
            f"chains         {counts['chains']:>9,}",
            f"  rejected     {counts['chains_rejected']:>9,}",
        ]
        if self.continued:
            lines.append(f"{self.continued} shards were finished by an earlier run")
        lines += [f"  {count:>6,} x {reason}" for reason, count in self.reasons.most_common(5)]
        return "\n".join(lines)


def prepare(
    sources: Sequence[str],
    out: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
    shard_size: int = 256,
    where: Where = Where(),  # noqa: B008 (frozen)
    overwrite: bool = False,
) -> Report:
    """Read structures and write a data set, or continue an interrupted run.

    Args:
        sources: Folders, glob patterns, tar archives and files.
        out: Folder of the data set.
        options: Which chains to take.
        shard_size: Inputs per Parquet file.
        where: Which processes do the work.
        overwrite: Replace a data set of other inputs or options.

    Returns:
        What was prepared.

    An `InputError` tells that there is nothing to read, that nothing could be read, that the
    folder holds another data set or is in use, or that the disk is full.
    """
    _check(options, shard_size)
    with (
        exclusive(out),
        _explaining_full_disk(out),
        where.pool(out) as pool,  # first: its processes start while the inputs are listed
        _spool(out) as spool,
    ):
        inputs = find_inputs(sources, spool, leave_out=out)
        plan = _make_plan(inputs, options, shard_size)
        _claim(out, plan, overwrite)
        _sweep(out)
        tasks = _cut(inputs, out, plan, options, shard_size)
        ready = {task.number: account for task in tasks if (account := finished(task))}
        unfinished = [task for task in tasks if task.number not in ready]
        if unfinished:  # a folder with a manifest is complete, also if this run is killed
            (out / manifest.NAME).unlink(missing_ok=True)
        with progress("inputs", len(inputs)) as advance:
            advance(sum(account.inputs for account in ready.values()), "")
            _run(pool, unfinished, advance)
        return _finish(out, plan, tasks, len(ready))


def _check(options: ReadOptions, shard_size: int) -> None:
    if shard_size < 1:
        raise InputError(f"--shard-size must be at least 1, not {shard_size}")
    if options.max_length is not None and options.max_length < options.min_length:
        raise InputError(
            f"--max-length {options.max_length} is below --min-length {options.min_length}"
        )


def _run(pool: Pool, tasks: list[ShardTask], advance: Advance) -> None:
    """Prepare shards; find and leave out inputs that kill their worker."""
    chains = 0
    rejected = 0
    for task, result, died in completed(pool, prepare_shard, [(task,) for task in tasks]):
        if died:
            result = _without_killers(pool, task[0])
        inputs, with_chains, more = result
        chains += more
        rejected += inputs - with_chains
        advance(inputs, f"{chains} chains, {rejected} inputs rejected")


def _without_killers(pool: Pool, task: ShardTask) -> tuple[int, int, int]:
    trials = [(one, task.options) for one in task.inputs]
    deadly = {trial[0] for trial, _, died in completed(pool, read_and_forget, trials) if died}
    inputs = tuple(replace(one, problem=_KILLED) if one in deadly else one for one in task.inputs)
    again = [(replace(task, inputs=inputs),)]
    for _, result, died in completed(pool, prepare_shard, again):
        if died:
            raise InputError(
                f"workers die of shard {task.number}, though of no single file in it; give them "
                "more memory, or use a smaller --shard-size"
            )
        return result
    raise AssertionError("completed() lost a task")


def read_and_forget(one: Input, options: ReadOptions) -> None:
    """Read an input only to see whether the process survives it."""
    read_input(one, options)


def _make_plan(inputs: list[Input], options: ReadOptions, shard_size: int) -> dict:
    """What decides the content of the data set. An input is known by name and size.

    Times are kept with the shards (`ShardTask.modified`): equal content has equal manifests.
    """
    names = "".join(f"{one.entry}\t{one.source}\t{one.size}\n" for one in inputs)
    return {
        "inputs": hashlib.sha256(names.encode()).hexdigest(),
        "options": {**asdict(options), "shard_size": shard_size},
        "package": __version__,
    }


def _claim(out: Path, plan: dict, overwrite: bool) -> None:
    """Check that what lies in `out` belongs to the plan, or make room.

    Raises:
        InputError: If it belongs to another plan, or does not tell to which.
    """
    if overwrite:
        _remove(out)
    plan_file = out / WORK_FOLDER / _PLAN
    if (out / manifest.NAME).exists():
        found = asdict(read_manifest(out))
    elif plan_file.exists():
        found = _read_plan(plan_file)
    else:
        plan_file.parent.mkdir(exist_ok=True)
        write_text(plan_file, json.dumps(plan) + "\n")
        return
    different = [name for name, value in plan.items() if found.get(name) != value]
    if different:
        raise InputError(
            f"{out} holds a data set, or part of one, with other {' and '.join(different)}; "
            "choose another --out or replace it with --overwrite"
        )
    plan_file.parent.mkdir(exist_ok=True)
    write_text(plan_file, json.dumps(plan) + "\n")  # a copied data set may lack it


def _read_plan(plan_file: Path) -> dict:
    """Read the plan of a run that was interrupted.

    Raises:
        InputError: If it is damaged.
    """
    try:
        return dict(json.loads(plan_file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{plan_file} is damaged ({error}), so the interrupted run cannot be continued; start "
            "anew with --overwrite"
        ) from error


def _sweep(out: Path) -> None:
    """Remove temporary files of a run that was killed."""
    for folder in (out, out / WORK_FOLDER):
        for part in folder.glob(".*.part"):
            part.unlink(missing_ok=True)


def _remove(out: Path) -> None:
    """Remove what `prepare` and what is derived from it wrote, and nothing else."""
    for name in (manifest.NAME, REJECTED, *_DERIVED):
        (out / name).unlink(missing_ok=True)
    for shard in out.glob("shard-?????.parquet"):
        shard.unlink()
    for account in (out / WORK_FOLDER).glob("*.json"):
        account.unlink()


def _cut(
    inputs: list[Input], out: Path, plan: dict, options: ReadOptions, shard_size: int
) -> list[ShardTask]:
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    folder = str(out.resolve())
    starts = range(0, len(inputs), shard_size)
    return [
        ShardTask(folder, number, key, tuple(inputs[start : start + shard_size]), options)
        for number, start in enumerate(starts)
    ]


def _finish(out: Path, plan: dict, tasks: list[ShardTask], continued: int) -> Report:
    """Write ``rejected.tsv``, check, and write the manifest last.

    Raises:
        InputError: If there is no chain, or two have the same id.
    """
    accounts = [_account(task) for task in tasks]
    rows, reasons = _rejections(tasks, accounts)
    write_text(out / REJECTED, "\n".join(["input\tchain\treason", *rows]) + "\n")
    inputs = sum(account.inputs for account in accounts)
    with_chains = sum(account.inputs_with_chains for account in accounts)
    rejected = sum(reasons.values())
    assert inputs == with_chains + rejected, "the account does not balance"
    ids = [chain for account in accounts for chain in account.ids]
    counts = {
        "inputs": inputs,
        "inputs_with_chains": with_chains,
        "inputs_rejected": rejected,
        "chains": len(ids),
        "chains_rejected": len(rows) - rejected,
    }
    if not ids:
        reason, count = reasons.most_common(1)[0]
        raise InputError(
            f"none of {inputs} inputs gave a chain; {out / REJECTED} tells why, mostly "
            f"({count} times): {reason}"
        )
    refuse_duplicates(ids)
    shards = tuple(account.shard for account in accounts)
    Manifest(shards=shards, counts=counts, **plan).write(out)
    return Report(counts, reasons, continued)


def _account(task: ShardTask) -> Account:
    account = finished(task)
    if account is None:
        raise InputError(
            f"shard {task.number} in {task.folder} changed while it was written; start again"
        )
    return account


def _rejections(tasks: list[ShardTask], accounts: list[Account]) -> tuple[list[str], Counter[str]]:
    rows = []
    reasons: Counter[str] = Counter()
    for task, account in zip(tasks, accounts, strict=True):
        for place, chain, reason in account.rejections:
            cells = (task.inputs[place].name, chain, reason)
            rows.append("\t".join(" ".join(cell.split()) for cell in cells))
            if not chain:
                reasons[reason] += 1
    return rows, reasons


@contextmanager
def _spool(out: Path) -> Iterator[Path]:
    """Make room for unpacked archives.

    Yields:
        A folder that need not exist yet; a killed run leaves it for the next one.
    """
    folder = out / WORK_FOLDER / "spool"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explaining_full_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"the disk of {out} is full; make room and run the same command again: "
                "finished shards are kept"
            ) from error
        raise
