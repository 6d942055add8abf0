"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real structures, or skip."""
    folder = Path(os.environ.get("PROTCONTACT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real structures: {folder} is absent; set PROTCONTACT_DATA")
    return folder
