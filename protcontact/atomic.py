"""How does a file appear either whole or not at all?

A program that is killed, or a disk that runs full, must not leave half a file under its final
name. The content goes into a temporary file of the same folder, reaches the disk (fsync), and is
then renamed, which POSIX makes atomic.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends without an exception.

    Args:
        path: The final file, in an existing folder.

    Yields:
        A path in the same folder, hidden by a leading dot; it is removed if the block raises.
    """
    with _naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            _to_disk(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _to_disk(path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let the system's refusals name the file that the caller knows, not the temporary one.

    Raises:
        OSError: As it came, with the other name.
    """
    try:
        yield
    except OSError as error:
        named = Path(str(error.filename)).name
        if error.errno and (error.filename is None or named.startswith(f".{path.name}.")):
            error.filename = str(path)
        raise


def file_name(text: str) -> str:
    """Make an id into a name that every file system takes; two ids may get the same one."""
    safe = "".join(c if c.isalnum() or c in "._-+" else "_" for c in text).lstrip(".")
    return safe[:120] or "unnamed"


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically, as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small binary file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _to_disk(path: Path) -> None:
    """Flush a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
