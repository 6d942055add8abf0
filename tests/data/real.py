"""Some real chains, for tests of what the labels of proteins are like."""

import tarfile
from pathlib import Path

import pytest

from protcontact.structure.chain import Chain
from protcontact.structure.read import read_structure


def real_chains(shared_data: Path, count: int, longest: int) -> list[Chain]:
    """The first chains of the archive that are not longer than that, or skip."""
    file = shared_data / "chains.tar"
    if not file.is_file():
        pytest.skip(f"no real chains: {file} is absent; set PROTCONTACT_DATA")
    chains: list[Chain] = []
    with tarfile.open(file) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                found = read_structure(content.read(), name=member.name).chains
                chains += [chain for chain in found if 40 <= len(chain) <= longest]
            if len(chains) >= count:
                break
    return chains[:count]
