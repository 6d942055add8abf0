"""How is a folder kept from being written by two programs at once?

The operating system drops the lock when its holder ends, even by SIGKILL; no stale lock stays.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protcontact.errors import InputError

NAME = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def exclusive(folder: Path, remedy: str = "choose another --out") -> Iterator[None]:
    """Hold `folder` for this process, and make it if it is absent.

    File systems without locks (some cluster mounts) are used unlocked.

    Args:
        folder: The folder.
        remedy: What to do if it cannot be written.

    Raises:
        InputError: If another process holds it, or it cannot be made or written.
        OSError: If locking fails for another reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(
            f"output folder {folder} cannot be written ({error.strerror}); {remedy}"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another protcontact writes to {folder} now; wait for it or choose another folder"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)
