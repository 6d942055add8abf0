"""What does one worker do? A few hundred inputs -> one Parquet shard and the account of it.

The account (``.prepare/shard-00000.json``) is written after the shard and holds its hash, so a
shard whose account fits is whole, and everything about it is known without reading it. It also
holds when the inputs were last modified: a shard of inputs that were corrected since is made anew.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from protcontact.atomic import write_text
from protcontact.data.inputs import Input, first_line
from protcontact.data.manifest import Shard, file_sha256
from protcontact.data.store import shard_name, write_shard
from protcontact.errors import InputError
from protcontact.structure.chain import Chain
from protcontact.structure.read import StructureRecord, read_structure

WORK_FOLDER = ".prepare"


@dataclass(frozen=True)
class ReadOptions:
    """Which chains are taken.

    Attributes:
        min_length: Residues of the full sequence; shorter chains are rejected.
        max_length: Longer chains are rejected; None for no limit.
        allow_ca_only: Take chains that have only CA atoms. Their contacts are CA-CB mixtures of
            another definition, so a data set should not hold both.
    """

    min_length: int = 20
    max_length: int | None = None
    allow_ca_only: bool = False


class Rejection(NamedTuple):
    """Why an input (``chain == ""``) or one chain of it is not in the data set."""

    input: int
    chain: str
    reason: str


@dataclass(frozen=True)
class ShardTask:
    """Work for one worker.

    Attributes:
        folder: The data set.
        number: Of the shard.
        plan: Fingerprint of the whole run; an account of another plan does not count.
        inputs: What to read.
        options: Which chains to take.
    """

    folder: str
    number: int
    plan: str
    inputs: tuple[Input, ...]
    options: ReadOptions

    @property
    def account_file(self) -> Path:
        """Where the account lies."""
        return Path(self.folder, WORK_FOLDER, f"shard-{self.number:05d}.json")

    @property
    def modified(self) -> list[int]:
        """When the inputs were last modified; decides, unlike `plan`, about this shard only."""
        return [one.modified for one in self.inputs]


@dataclass(frozen=True)
class Account:
    """What became of the inputs of one shard.

    Attributes:
        shard: The Parquet file.
        inputs: Number of inputs.
        inputs_with_chains: Inputs that gave at least one chain.
        ids: Chain ids in order.
        rejections: `Rejection.input` counts from 0 within the shard.
    """

    shard: Shard
    inputs: int
    inputs_with_chains: int
    ids: tuple[str, ...]
    rejections: tuple[Rejection, ...]


def prepare_shard(task: ShardTask) -> tuple[int, int, int]:
    """Read the inputs of a task, write shard and account.

    Returns:
        Numbers of inputs, inputs with chains and chains: small, for the way back.
    """
    chains: list[Chain] = []
    rejections: list[Rejection] = []
    with_chains = 0
    for place, one in enumerate(task.inputs):
        taken, refused = read_input(one, task.options)
        chains += taken
        rejections += [Rejection(place, chain, reason) for chain, reason in refused]
        with_chains += bool(taken)
    shard = write_shard(Path(task.folder, shard_name(task.number)), chains)
    account = Account(
        shard,
        len(task.inputs),
        with_chains,
        tuple(chain.id for chain in chains),
        tuple(rejections),
    )
    content = {"plan": task.plan, "modified": task.modified, **asdict(account)}
    write_text(task.account_file, json.dumps(content, sort_keys=True) + "\n")
    return account.inputs, with_chains, len(chains)


def read_input(one: Input, options: ReadOptions) -> tuple[list[Chain], list[tuple[str, str]]]:
    """Read one input.

    Args:
        one: The input.
        options: Which chains to take.

    Returns:
        Chains, and ``(chain id, reason)`` of what was rejected. An input without any chain has
        exactly one reason under the chain id ``""``.
    """
    try:
        record = read_record(one, options.allow_ca_only)
    except InputError as error:
        return [], [("", str(error))]
    refused = [(rejected.chain_id, rejected.reason) for rejected in record.rejected]
    taken = []
    for chain in record.chains:
        reason = _refusal(chain, options)
        if reason:
            refused.append((chain.chain_id, reason))
        else:
            taken.append(chain)
    if not taken:
        refused.append(("", _nothing_left(refused)))
    return taken, refused


def read_record(one: Input, allow_ca_only: bool) -> StructureRecord:
    """Read all chains of one input, whatever their length.

    Args:
        one: The input.
        allow_ca_only: Take chains that have only CA atoms.

    Returns:
        Its chains, and those that cannot be used.

    Raises:
        InputError: If it cannot be read, for whatever reason; the message does not name it.
    """
    if one.problem:
        raise InputError(one.problem)
    try:
        return read_structure(
            one.read(), name=one.source, entry=one.entry, allow_ca_only=allow_ca_only
        )
    except (InputError, OSError, MemoryError) as error:
        raise InputError(first_line(error).removeprefix(f"{one.source}: ")) from error
    except Exception as error:  # a defect of a parser must not cost the other 200,000 files
        reason = f"reading failed unexpectedly: {type(error).__name__}: {error}"
        raise InputError(reason) from error


def _refusal(chain: Chain, options: ReadOptions) -> str:
    if len(chain) < options.min_length:
        return f"length {len(chain)} is below --min-length {options.min_length}"
    if options.max_length is not None and len(chain) > options.max_length:
        return f"length {len(chain)} is above --max-length {options.max_length}"
    if chain.resolved.sum() < 2:
        return "fewer than 2 resolved residues: nothing is known about any pair"
    return ""


def _nothing_left(refused: Iterable[tuple[str, str]]) -> str:
    reasons = [f"{chain}: {reason}" for chain, reason in refused]
    if not reasons:
        return "no protein chain"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"every protein chain was rejected; {reasons[0]}{more}"


def finished(task: ShardTask) -> Account | None:
    """Return the account of a task if its shard is whole and its inputs unchanged, else None."""
    shard = Path(task.folder, shard_name(task.number))
    try:
        content = json.loads(task.account_file.read_text(encoding="utf-8"))
        if content.pop("plan") != task.plan or content.pop("modified") != task.modified:
            return None
        if file_sha256(shard) != content["shard"]["sha256"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Account(
        Shard(**content.pop("shard")),
        content["inputs"],
        content["inputs_with_chains"],
        tuple(content["ids"]),
        tuple(Rejection(*rejection) for rejection in content["rejections"]),
    )
