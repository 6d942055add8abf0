"""A folder has one writer, and a dead one leaves no lock behind."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from protcontact.data.lock import exclusive
from protcontact.errors import InputError


def test_only_one_writer(tmp_path):
    folder = tmp_path / "new" / "folder"
    with (
        exclusive(folder),
        pytest.raises(InputError, match="another protcontact writes to .*folder"),
        exclusive(folder),
    ):
        pass
    with exclusive(folder):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path):
    script = (
        "import sys, os, signal; from pathlib import Path\n"
        "from protcontact.data.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / ".lock").exists()
    with exclusive(tmp_path):
        pass


def test_a_file_system_without_locks_is_used_unlocked(tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with exclusive(tmp_path), exclusive(tmp_path):  # with locks the second is refused
        (tmp_path / "file").touch()
    assert (tmp_path / "file").exists()


def test_refuses_a_folder_that_cannot_be_made():
    with (
        pytest.raises(InputError, match="output folder /proc/x cannot be written"),
        exclusive(Path("/proc/x")),
    ):
        pass


def test_the_remedy_is_the_caller_s():
    with (
        pytest.raises(InputError, match=r"\(.*\); choose another --out$"),
        exclusive(Path("/proc/x")),
    ):
        pass
    with pytest.raises(InputError, match="; do that"), exclusive(Path("/proc/x"), "do that"):
        pass
