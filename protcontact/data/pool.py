"""How do many small tasks run on other processes, and what if one of them kills its process?

Both pools give `concurrent.futures` executors: a laptop's processes and a Dask cluster run the same
code. A file that exhausts the memory takes its process with it; `completed` tells which task did
it, and the others do not suffer.

A local pool is one single-process executor per slot, each given one task at a time. So a death
names its task, and CPython 3.11's way of starting further workers while another dies, which can
hang, is never used. What remains is that an executor may lose a task submitted in the moment of a
death: its future never completes, so nothing here waits without looking whether the process lives.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
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
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait as wait_for_sentinel
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from protcontact import __version__
from protcontact.errors import InputError

CONNECT_SECONDS = 15
START_SECONDS = 60
LOOK_SECONDS = 2.0  # how long nothing may finish before the processes are looked at
END_SECONDS = 3.0  # how long processes may take to end by themselves


def usable_cores() -> int:
    """Cores that this process may use, which on a cluster are fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool(ABC):
    """Executors that can be used again after one of their workers died.

    Attributes:
        slots: Number of tasks that are handed out at the same time, each to a slot of its own.
        deaths: Exceptions that mean that a worker died, not that the task failed.
    """

    slots: int
    deaths: tuple[type[BaseException], ...]

    @abstractmethod
    def executor(self, slot: int = 0) -> Executor:
        """Return an executor that accepts the task of a slot."""

    @abstractmethod
    def alive(self, slot: int) -> bool:
        """Whether the task of a slot may still come back."""

    @abstractmethod
    def renew(self, slot: int) -> None:
        """Forget the worker of a slot."""

    @abstractmethod
    def close(self) -> None:
        """Cancel what did not start, and leave within seconds."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Worker(NamedTuple):
    """One process, and the executor that has no other."""

    executor: ProcessPoolExecutor
    process: BaseProcess


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
        resource_tracker.ensure_running()  # here, as it ends with Ctrl-C let through
        with _ctrl_c_waits():  # it would not understand one before it has imported the modules
            forkserver.ensure_running()  # it imports while this process does something else
        self._workers: dict[int, Worker] = {}

    def executor(self, slot: int = 0) -> ProcessPoolExecutor:
        """Return the executor of a slot; its process runs."""
        if slot not in self._workers:
            self._workers[slot] = self._start()
        return self._workers[slot].executor

    def _start(self) -> Worker:
        """Start a process now: an executor that has its only one starts no other later.

        Raises:
            InputError: If it does not start.
        """
        executor = ProcessPoolExecutor(1, mp_context=self._context, initializer=_prepare_worker)
        before = set(multiprocessing.active_children())
        first = executor.submit(os.getpid)
        started = set(multiprocessing.active_children()) - before
        try:
            pid = first.result(timeout=START_SECONDS)
            process = next(process for process in started if process.pid == pid)
        except (BrokenProcessPool, TimeoutError, StopIteration) as error:
            _end([Worker(executor, process) for process in started], 0)
            raise InputError(
                f"worker processes do not start ({error}); if a script of yours calls this, "
                'put the call under `if __name__ == "__main__":`'
            ) from error
        return Worker(executor, process)

    def alive(self, slot: int) -> bool:
        """Whether the process of a slot runs."""
        return slot in self._workers and self._workers[slot].process.is_alive()

    def renew(self, slot: int) -> None:
        """End the process of a slot; the next `executor` starts another."""
        if slot in self._workers:
            _end([self._workers.pop(slot)], 0)

    def close(self) -> None:
        """Cancel waiting tasks and end the processes, by force where one goes on working."""
        workers, self._workers = [*self._workers.values()], {}
        _end(workers, END_SECONDS)


def _end(workers: list[Worker], seconds: float) -> None:
    """End processes; none of them is waited for any longer than `seconds`, all together."""
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.executor.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()  # nothing happens to a process that has ended


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
                "--scheduler needs Dask; install it with `pip install dask distributed`"
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
        self.slots = 2 * sum(self._client.nthreads().values())  # the next task waits beside it
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

    def executor(self, slot: int = 0) -> Executor:
        """Return the cluster's executor, the same for all slots."""
        return self._executor

    def alive(self, slot: int) -> bool:
        """Whether the task may come back: the scheduler itself tells what it lost."""
        return True

    def renew(self, slot: int) -> None:
        """Do nothing: the scheduler gives a dead worker's tasks to the others itself."""

    def close(self) -> None:
        """Cancel what is unfinished and disconnect."""
        self._executor.shutdown(wait=False)
        self._client.close()


def _look(marker: str) -> tuple[str, bool]:
    """Say which version a worker runs and whether it sees a file."""
    return __version__, Path(marker).exists()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold back Ctrl-C from this thread, and for good from the processes that start meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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

    A task whose worker dies is a suspect: the worker may have been killed from outside, or for
    memory that another task took. It runs again after all others, alone and in a fresh process,
    and is reported as having `died` if that process dies too.

    Args:
        pool: Where to run.
        function: Importable by name; may run twice for a task.
        tasks: Tuples of picklable arguments.

    Yields:
        Each task once, as they finish. An exception of the function is raised here.

    Raises:
        InputError: If the executor gave up, as when the scheduler of a cluster is gone.
    """
    suspects = []
    try:
        for one in _each_once(pool, function, deque(tasks)):
            if one.died:
                suspects.append(one.task)
            else:
                yield one
        for task in suspects:
            pool.renew(0)
            yield from _each_once(pool, function, deque([task]))
    except CancelledError as error:
        raise InputError("the workers were taken away; start again to continue") from error


def _each_once(
    pool: Pool, function: Callable[..., Any], waiting: deque[tuple]
) -> Iterator[Completed]:
    free = list(reversed(range(pool.slots)))
    running: dict[Future, tuple[int, tuple]] = {}
    while waiting or running:
        while waiting and free:
            slot, task = free.pop(), waiting.popleft()
            running[_submit(pool, slot, function, task)] = (slot, task)
        done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        lost = [one for one, (slot, _) in running.items() if not (done or pool.alive(slot))]
        for future in [*done, *lost]:
            slot, task = running.pop(future)
            free.append(slot)
            died = not future.done() or isinstance(future.exception(), pool.deaths)
            if died:
                pool.renew(slot)
            yield Completed(task, None if died else future.result(), died)


def _submit(pool: Pool, slot: int, function: Callable[..., Any], task: tuple) -> Future:
    """Hand a task out; of a worker that was killed while idle, the task dies at once."""
    executor = pool.executor(slot)
    try:
        return executor.submit(function, *task)
    except pool.deaths as error:
        future: Future = Future()
        future.set_exception(error)
        return future
