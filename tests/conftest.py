"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before torch is loaded, here and in what tests start: the tensors are tiny, and threads of several
# workers that wait for each other in a loop took most of the time of the whole suite.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real structures, or skip."""
    folder = Path(os.environ.get("PROTCONTACT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real structures: {folder} is absent; set PROTCONTACT_DATA")
    return folder
