"""Tasks come back once each; one that kills its process is found and costs the others nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future

import pytest

from protcontact.data import pool as pool_module
from protcontact.data.pool import DaskPool, LocalPool, completed
from protcontact.errors import InputError


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise OSError(28, "No space left on device")


def square_or_die(number: int) -> int:
    if number in (3, 11):
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_once(mark: str) -> int:
    """Killed from outside, or for memory that another task took."""
    if not os.path.exists(mark):
        os.mkdir(mark)
        os.kill(os.getpid(), signal.SIGKILL)
    return 5


def sleep(seconds: float) -> None:
    time.sleep(seconds)


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2, ["protcontact.data.pool"]) as pool:
        yield pool


def test_each_task_comes_back_once(pool):
    done = list(completed(pool, square, [(number,) for number in range(20)]))
    assert sorted(one.result for one in done) == [number**2 for number in range(20)]
    assert not any(one.died for one in done)


def test_no_tasks(pool):
    assert list(completed(pool, square, [])) == []


def test_an_exception_of_a_task_is_raised(pool):
    with pytest.raises(OSError, match="No space left"):
        list(completed(pool, fail, [(1,)]))


def test_a_task_that_kills_its_worker_is_found(pool):
    done = list(completed(pool, square_or_die, [(number,) for number in range(14)]))
    assert sorted(one.task[0] for one in done if one.died) == [3, 11]
    assert {one.task[0]: one.result for one in done if not one.died} == {
        number: number**2 for number in range(14) if number not in (3, 11)
    }


def test_a_task_that_dies_once_is_done_again(pool, tmp_path):
    (one,) = completed(pool, die_once, [(str(tmp_path / "mark"),)])
    assert (one.result, one.died) == (5, False)


def test_an_idle_worker_may_die(pool):
    os.kill(pool.executor().submit(os.getpid).result(), signal.SIGKILL)
    time.sleep(0.2)
    assert [one.result for one in completed(pool, square, [(4,)])] == [16]


def test_all_workers_may_die_at_once(pool):
    """As by `killall`, while one works and the others wait: the input is not at fault."""
    pids = [pool.executor(slot).submit(os.getpid).result() for slot in range(pool.slots)]
    killer = threading.Timer(0.3, lambda: [os.kill(pid, signal.SIGKILL) for pid in pids])
    killer.start()
    (one,) = completed(pool, sleep, [(0.6,)])
    killer.join()
    assert not one.died


def test_deaths_never_hang(pool):
    """One executor for all workers did, once in some hundred times.

    CPython 3.11 starts further workers when tasks are submitted. A worker that dies meanwhile
    leaves its executor waiting for the one that was just started, for ever.
    """
    for _ in range(10):
        done = list(completed(pool, square_or_die, [(number,) for number in range(14)]))
        assert sorted(one.task[0] for one in done if one.died) == [3, 11]
        assert len(done) == 14


class Losing(Executor):
    """Loses the first task while its worker dies, as CPython 3.11 does in a race of the two."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.lost = 0

    def submit(self, function, /, *arguments, **options):
        if self.lost:
            return self.executor.submit(function, *arguments, **options)
        self.lost += 1
        os.kill(self.executor.submit(os.getpid).result(), signal.SIGKILL)
        return Future()


def test_a_lost_task_is_done_again(monkeypatch):
    monkeypatch.setattr(pool_module, "LOOK_SECONDS", 0.1)
    with LocalPool(1, []) as pool:
        losing = Losing(pool.executor())
        real = pool.executor
        monkeypatch.setattr(pool, "executor", lambda slot: real(slot) if losing.lost else losing)
        assert [one.result for one in completed(pool, square, [(4,), (5,)])] == [25, 16]


def test_leaving_does_not_wait_for_a_worker_that_goes_on_working(monkeypatch):
    monkeypatch.setattr(pool_module, "END_SECONDS", 0.3)
    pool = LocalPool(2, [])
    before = set(multiprocessing.active_children())
    pool.executor(0).submit(sleep, 60)
    pool.executor(1)
    workers = set(multiprocessing.active_children()) - before
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 5
    for worker in workers:
        worker.join(10)
    assert len(workers) == 2 and not any(worker.is_alive() for worker in workers)


def test_each_worker_is_a_process_of_its_own(pool):
    assert len({pool.executor(slot).submit(os.getpid).result() for slot in range(2)}) == 2


def test_workers_end_with_a_parent_that_was_killed():
    """They would wait for work for ever: each holds the other end of its own queue open."""
    script = (
        "import os, time\n"
        "from protcontact.data.pool import LocalPool\n"
        "if __name__ == '__main__':\n"
        "    pool = LocalPool(1, [])\n"
        "    print(pool.executor().submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{worker}")


def test_refuses_no_workers():
    with pytest.raises(InputError, match="--workers must be at least 1, not 0"):
        LocalPool(0, [])


def test_dask_must_be_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="pip install dask distributed"):
        DaskPool("tcp://127.0.0.1:1", tmp_path)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1"])
def test_a_scheduler_must_answer(monkeypatch, tmp_path, address):
    monkeypatch.setattr("protcontact.data.pool.CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match="no Dask scheduler answers at "):
        DaskPool(address, tmp_path)


MASKS = """
import signal
from multiprocessing import forkserver
from protcontact.data.pool import LocalPool

with LocalPool(1, ["protcontact.data.pool"]):
    status = open(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    print(bool(blocked & 1 << signal.SIGINT - 1))
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the mask of a process in /proc")
def test_ctrl_c_waits_until_the_workers_have_imported():
    """Else each of them prints a traceback. The pool's own process is interrupted as ever."""
    done = subprocess.run([sys.executable, "-c", MASKS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
