"""How do RCSB entries become files, over a network that fails now and then?

Files are fetched with biotite, several at a time, each whole or not at all; those that are there
already are not fetched again. What could not be had stands in ``failed.tsv`` with the reason.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import requests
from biotite.database import RequestError, rcsb

from protcontact.atomic import write_bytes, write_text
from protcontact.data.lock import exclusive
from protcontact.data.progress import progress
from protcontact.errors import InputError

FORMATS = ("bcif", "cif", "pdb")
FAILED = "failed.tsv"
TRIES = 4
FIRST_PAUSE = 1.0
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0

_ID = re.compile(r"[0-9][a-z0-9]{3}|pdb_[0-9]{4}[a-z0-9]{4}")
_UNREACHABLE = (requests.ConnectionError, requests.Timeout)


@dataclass(frozen=True)
class DownloadReport:
    """What was fetched.

    Attributes:
        fetched: Number of new files.
        present: Files that were there before.
        failed: ``{id: reason}``.
    """

    fetched: int
    present: int
    failed: dict[str, str]

    def __str__(self) -> str:
        return (
            f"{self.fetched:,} fetched, {self.present:,} there before, {len(self.failed):,} failed"
        )


def read_ids(path: Path) -> list[str]:
    """Read PDB ids, separated by blanks, commas or line ends; ``#`` starts a comment.

    Args:
        path: Text file.

    Returns:
        Distinct ids in lower case, in order; ``pdb_00001abc`` becomes ``1abc``.

    Raises:
        InputError: If the file is absent, holds no id, or something that is none.
    """
    if not path.exists() or path.is_dir():  # a pipe will do
        raise InputError(f"--ids {path} is no file; give a text file with PDB ids")
    ids: dict[str, None] = {}
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
    ):
        for word in line.partition("#")[0].replace(",", " ").split():
            if not _ID.fullmatch(word.lower()):
                raise InputError(
                    f"{path} line {number}: {word!r} is no PDB id; expected 4 characters (1abc) "
                    "or pdb_00001abc, without a chain"
                )
            ids[word.lower().removeprefix("pdb_0000")] = None
    if not ids:
        raise InputError(f"--ids {path} holds no PDB id")
    return list(ids)


def download(
    ids: Sequence[str], out: Path, file_format: str = "bcif", workers: int = 8, base_url: str = ""
) -> DownloadReport:
    """Fetch entries as ``out/<id>.<format>`` and write ``failed.tsv``.

    Args:
        ids: PDB ids in lower case.
        out: Folder, made if absent.
        file_format: One of `FORMATS`.
        workers: Downloads at the same time.
        base_url: Folder on another server that has the same files; the RCSB if empty.

    Returns:
        What was fetched.

    Raises:
        InputError: If the server cannot be reached; what was fetched before is kept.
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
    with exclusive(out), _server(base_url), progress("entries", len(ids)) as advance:
        wanted = [one for one in ids if not (out / f"{one}.{file_format}").exists()]
        advance(len(ids) - len(wanted), "")
        fetcher = _Fetcher(out, file_format, workers)
        for _ in fetcher.fetch_all(wanted):
            advance(1, f"{len(fetcher.failed)} failed")
        failed = {one: fetcher.failed[one] for one in ids if one in fetcher.failed}
        lines = ["id\treason", *(f"{one}\t{reason}" for one, reason in failed.items())]
        write_text(out / FAILED, "\n".join(lines) + "\n")
    if fetcher.gone.is_set() or (failed and len(failed) == fetcher.unreachable):
        raise InputError(
            f"{base_url or 'the RCSB'} cannot be reached ({fetcher.last_error}); check the network "
            f"or the proxy (HTTPS_PROXY); {len(ids) - len(failed)} of {len(ids)} files are in "
            f"{out}, the same command fetches the others"
        )
    return DownloadReport(len(wanted) - len(failed), len(ids) - len(wanted), failed)


class _Fetcher:
    """What the downloading threads share.

    Attributes:
        failed: ``{id: reason}``.
        unreachable: Number of ids that failed because no server answered.
        gone: Set when so many of them failed in a row that trying on is useless.
        last_error: What the network said last.
    """

    def __init__(self, out: Path, file_format: str, workers: int) -> None:
        self.out = out
        self.file_format = file_format
        self.workers = workers
        self.failed: dict[str, str] = {}
        self.unreachable = 0
        self.gone = threading.Event()
        self.last_error = ""
        self._in_a_row = 0
        self._lock = threading.Lock()

    def fetch_all(self, ids: Sequence[str]) -> Iterator[None]:
        """Fetch entries with several threads.

        Yields:
            Nothing, once for each entry that is done with.
        """
        with ThreadPoolExecutor(self.workers) as executor:
            try:
                for done in as_completed([executor.submit(self.fetch, one) for one in ids]):
                    yield done.result()
            except BaseException:  # a full disk, or Ctrl-C: let the threads end
                self.gone.set()
                raise

    def fetch(self, one: str) -> None:
        """Fetch one entry, with retries, and account for it."""
        for attempt in range(TRIES):
            if attempt:
                self.gone.wait(FIRST_PAUSE * 2 ** (attempt - 1))
            if self.gone.is_set():
                self.failed[one] = "not tried: the server was not reached"
                return
            try:
                self._fetch_once(one)
            except RequestError:
                reason = f"not found: unknown or obsolete id, or no {self.file_format} file of it"
                break
            except requests.RequestException as error:
                reason = self._explain(error)
                reachable = not isinstance(error, _UNREACHABLE)
            else:
                self._in_a_row = 0
                return
        else:
            self._count(reachable)
        self.failed[one] = reason

    def _fetch_once(self, one: str) -> None:
        content = rcsb.fetch(one, self.file_format).read()
        if isinstance(content, str):
            content = content.encode("utf-8")
        write_bytes(self.out / f"{one}.{self.file_format}", content)

    def _explain(self, error: requests.RequestException) -> str:
        if isinstance(error, requests.HTTPError):
            reason = str(error).split(" for url")[0]
        else:
            reason = type(error).__name__
        self.last_error = reason
        return f"{reason} ({TRIES} tries)"

    def _count(self, reachable: bool) -> None:
        with self._lock:
            if reachable:
                self._in_a_row = 0
                return
            self.unreachable += 1
            self._in_a_row += 1
            if self._in_a_row >= self.workers:
                self.gone.set()


class _Session:
    """What biotite needs of a session, with time limits; tells a busy server from a missing file.

    Args:
        base_url: Folder on another server; "" for the address that is asked for.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")

    def get(self, url: str) -> requests.Response:
        """Get an address; raise `requests.HTTPError` for errors that may pass.

        Raises:
            RequestError: If the error will not pass; not every biotite looks at the status.
        """
        if self._base_url:
            url = f"{self._base_url}/{url.rsplit('/', 1)[-1]}"
        response = requests.get(url, timeout=(CONNECT_SECONDS, READ_SECONDS))
        if response.status_code == 429 or response.status_code >= 500:
            response.raise_for_status()
        if response.status_code >= 400:
            raise RequestError(f"{url}: status {response.status_code}")
        return response


@contextmanager
def _server(base_url: str) -> Iterator[None]:
    """Let biotite fetch with our sessions.

    Its `fetch` has no time limit, reports a busy server as an unknown id, and knows one server
    only. It calls ``requests.get`` (biotite 1.0) or makes a ``requests.Session`` for each call
    (later), which is the place to mend all three; all else of `requests` is left as it is.
    """
    module = rcsb.download
    original = module.requests
    session = _Session(base_url)
    ours = {"get": session.get, "Session": lambda: session}
    module.requests = SimpleNamespace(**{**vars(requests), **ours})
    try:
        yield
    finally:
        module.requests = original
