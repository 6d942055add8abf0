"""What does a prepared data set consist of, and which of its files are whole?

``manifest.json`` is written last, so a folder that has one is complete. It holds no time and no
machine name: the same inputs and options give the same bytes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from protcontact.atomic import write_text
from protcontact.errors import InputError

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Shard:
    """One Parquet file.

    Attributes:
        name: File name inside the data set.
        chains: Number of chains (rows).
        size: Bytes.
        sha256: Of the file's bytes, hexadecimal.
    """

    name: str
    chains: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The table of contents of a data set.

    Attributes:
        shards: Parquet files in order; row i of the data set counts through them.
        counts: ``inputs = inputs_with_chains + inputs_rejected``, ``chains``, ``chains_rejected``.
        options: What was asked of ``prepare``, as far as it decides the content.
        inputs: sha256 over entry, file name and size of all inputs, in order.
        package: Version of protcontact that wrote the data set.
        format: Version of this layout; another one is refused.
    """

    shards: tuple[Shard, ...]
    counts: dict[str, int]
    options: dict[str, object]
    inputs: str
    package: str
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` atomically."""
        write_text(folder / NAME, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Args:
        folder: A data set written by ``protcontact prepare``.

    Returns:
        The manifest.

    Raises:
        InputError: If the folder is absent, not (completely) prepared, or of another format.
    """
    if not folder.is_dir():
        raise InputError(f"data set {folder} does not exist; make it with `protcontact prepare`")
    path = folder / NAME
    if not path.is_file():
        raise InputError(
            f"{folder} is not a prepared data set (no {NAME}); "
            "finish or start `protcontact prepare ... --out` with this folder"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); prepare with --overwrite") from error
    if found != FORMAT:
        raise InputError(
            f"{path} has format {found!r}, this protcontact reads format {FORMAT}; "
            "prepare with --overwrite"
        )
    try:
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        return Manifest(shards=shards, **content)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); prepare with --overwrite") from error


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
