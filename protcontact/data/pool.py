"""How do many small tasks run on other processes, and what if one of them kills its process?

Both pools give `concurrent.futures` futures: a laptop's processes and a Dask cluster run the same
code. A file that exhausts the memory takes its process with it, and with a local pool all
unfinished tasks as well; `completed` tells which task did it, and the others do not suffer.
"""

import multiprocessing
import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for_sentinel
from pathlib import Path
from typing import Any, NamedTuple

from protcontact import __version__
from protcontact.errors import InputError

CONNECT_SECONDS = 15
START_SECONDS = 60


def usable_cores() -> int:
    """Cores that this process may use, which on a cluster are fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool(ABC):
    """An executor that can be used again after one of its workers died.

    Attributes:
        slots: Number of tasks that run at the same time.
        deaths: Exceptions that mean that a worker died, not that the task failed.
    """

    slots: int
    deaths: tuple[type[BaseException], ...]

    @abstractmethod
    def executor(self) -> Executor:
        """Return an executor that accepts tasks."""

    @abstractmethod
    def renew(self) -> None:
        """Forget workers after a death."""

    @abstractmethod
    def close(self) -> None:
        """Cancel what did not start, and leave."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class LocalPool(Pool):
    """Processes of this machine.

    They come from a fork server that has imported `modules` once, so a worker starts in
    milliseconds and inherits neither threads nor open files.

    Args:
        workers: Number of processes.
        modules: Modules that the tasks need.

    Raises:
        InputError: If `workers` is not positive.
    """

    deaths = (BrokenProcessPool,)

    def __init__(self, workers: int, modules: list[str]) -> None:
        if workers < 1:
            raise InputError(f"--workers must be at least 1, not {workers}")
        self.slots = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(modules)
        forkserver.ensure_running()  # it imports while this process does something else
        self._executor: ProcessPoolExecutor | None = None

    def executor(self) -> ProcessPoolExecutor:
        """Return the running pool, or start one.

        Raises:
            InputError: If processes cannot be started.
        """
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.slots, mp_context=self._context, initializer=_prepare_worker
            )
            try:
                self._executor.submit(os.getpid).result(timeout=START_SECONDS)
            except (BrokenProcessPool, TimeoutError) as error:
                self.close()
                raise InputError(
                    f"worker processes do not start ({error}); if a script of yours calls this, "
                    'put the call under `if __name__ == "__main__":`'
                ) from error
        return self._executor

    def renew(self) -> None:
        """Drop the broken pool; the next `executor` starts another."""
        self.close()

    def close(self) -> None:
        """Cancel waiting tasks and end the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


class DaskPool(Pool):
    """The workers of a Dask cluster, which see the same files under the same paths.

    Args:
        address: Of the scheduler, ``tcp://host:8786``.
        folder: The output, which every worker must see.

    Raises:
        InputError: If Dask is not installed, the scheduler does not answer, no worker appears, or
            a worker has another version of this package or does not see `folder`.
    """

    def __init__(self, address: str, folder: Path) -> None:
        try:
            import distributed
        except ImportError as error:
            raise InputError(
                "--scheduler needs Dask; install it with `pip install 'protcontact[cluster]'`"
            ) from error
        try:
            self._client = distributed.Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({type(error).__name__}); "
                "start one with `dask scheduler` and give the address that it prints"
            ) from error
        self.deaths = (distributed.KilledWorker,)
        try:
            self._client.wait_for_workers(1, timeout=START_SECONDS)
            self._check_workers(folder)
        except TimeoutError as error:
            self._client.close()
            raise InputError(
                f"the Dask scheduler at {address} has no workers; start some with "
                f"`dask worker {address}`"
            ) from error
        except BaseException:
            self._client.close()
            raise
        self.slots = sum(self._client.nthreads().values())
        self._executor = self._client.get_executor(pure=False)

    def _check_workers(self, folder: Path) -> None:
        marker = folder / f".seen-by-{os.getpid()}"
        marker.touch()
        try:
            for worker, found in self._client.run(_look, str(marker)).items():
                if found != (__version__, True):
                    raise InputError(
                        f"Dask worker {worker} has protcontact {found[0]} and "
                        f"{'sees' if found[1] else 'does not see'} {folder}; it needs "
                        f"protcontact {__version__} and a file system shared with this machine"
                    )
        except ImportError as error:
            raise InputError(
                f"the Dask workers cannot import protcontact ({error}); install it there"
            ) from error
        finally:
            marker.unlink()

    def executor(self) -> Executor:
        """Return the cluster's executor."""
        return self._executor

    def renew(self) -> None:
        """Do nothing: the scheduler gives a dead worker's tasks to the others itself."""

    def close(self) -> None:
        """Cancel what is unfinished and disconnect."""
        self._executor.shutdown(wait=False)
        self._client.close()


def _look(marker: str) -> tuple[str, bool]:
    """Say which version a worker runs and whether it sees a file."""
    return __version__, Path(marker).exists()


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone, even by SIGKILL."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


class Completed(NamedTuple):
    """A task with what it returned, or `died` if it killed the process that ran it."""

    task: tuple
    result: Any
    died: bool = False


def completed(
    pool: Pool, function: Callable[..., Any], tasks: Iterable[tuple]
) -> Iterator[Completed]:
    """Run ``function(*task)`` for each task, a bounded number at a time.

    When a worker dies, the tasks that were under way are suspects; each runs again with no other
    beside it, and the one that kills its worker when alone is reported as having `died`.

    Args:
        pool: Where to run.
        function: Importable by name.
        tasks: Tuples of picklable arguments.

    Yields:
        Each task once, as they finish. An exception of the function is raised here.

    Raises:
        InputError: If the executor gave up, as when the scheduler of a cluster is gone.
    """
    waiting, suspects = deque(tasks), deque[tuple]()
    running: dict[Future, tuple] = {}
    try:
        while waiting or running or suspects:
            if not suspects:
                _submit(pool, function, waiting, running)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                if isinstance(future.exception(), pool.deaths):
                    suspects.append(task)  # with a local pool, all of `running` will follow
                else:
                    yield Completed(task, future.result())
            if suspects and not running:
                pool.renew()
                while suspects:
                    yield _alone(pool, function, suspects.popleft())
    except CancelledError as error:
        raise InputError("the workers were taken away; start again to continue") from error


def _submit(
    pool: Pool, function: Callable[..., Any], waiting: deque[tuple], running: dict[Future, tuple]
) -> None:
    while waiting and len(running) < 2 * pool.slots:
        try:
            future = pool.executor().submit(function, *waiting[0])
        except pool.deaths:  # an idle worker was killed
            if not running:
                pool.renew()
            return
        running[future] = waiting.popleft()


def _alone(pool: Pool, function: Callable[..., Any], task: tuple) -> Completed:
    try:
        return Completed(task, pool.executor().submit(function, *task).result())
    except pool.deaths:
        pool.renew()
        return Completed(task, None, died=True)
