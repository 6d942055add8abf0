"""``protcontact prepare`` as the user meets it: killed, on a cluster, and with bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from protcontact.cli import main
from protcontact.data.store import ChainStore
from tests.data.files import write_structures

SHARDS = 24
PROTCONTACT = [
    sys.executable,
    "-c",
    "import sys; from protcontact.cli import main; sys.exit(main())",
]


def command(structures: Path, out: Path, *more: str) -> list[str]:
    return [*PROTCONTACT, "prepare", str(structures), "--out", str(out), "--shard-size", "4", *more]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def wait_for(folder: Path, shards: int, process: subprocess.Popen) -> int:
    """Wait until some shards are finished, and return how many are."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        count = len(list(folder.glob("shard-*.parquet")))
        if count >= shards:
            return count
        assert process.poll() is None, f"ended with {process.returncode} before it was interrupted"
        time.sleep(0.002)
    raise AssertionError(f"no {shards} shards within 90 s")


@pytest.fixture(scope="module")
def structures(tmp_path_factory) -> Path:
    folder = write_structures(tmp_path_factory.mktemp("prepare") / "in", 4 * SHARDS, length=200)
    (folder / "broken.pdb").write_text("nothing")
    return folder


@pytest.fixture(scope="module")
def whole(structures, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(command(structures, out, "--workers", "1"), check=True, capture_output=True)
    return content(out)


def test_prepares_and_tells_what_became_of_the_inputs(tmp_path, capsys):
    structures = write_structures(tmp_path / "in", 3)
    (structures / "broken.pdb").write_text("nothing")
    out = tmp_path / "out"
    assert main(["prepare", str(structures), "--out", str(out), "--workers", "1"]) == 0
    captured = capsys.readouterr()
    assert "with chains          3" in captured.out
    assert "rejected             1" in captured.out
    assert "next: protcontact split" in captured.out
    assert "inputs 4/4" in captured.err
    assert len(ChainStore(out)) == 3


def test_options_reach_the_reader(tmp_path, capsys):
    structures = write_structures(tmp_path / "in", 1, length=30)
    arguments = ["prepare", str(structures), "--workers", "1", "--out"]
    assert main([*arguments, str(tmp_path / "short"), "--max-length", "29"]) == 2
    assert "length 30 is above --max-length 29" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "long"), "--min-length", "31"]) == 2
    assert "length 30 is below --min-length 31" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_in_the_middle_it_continues_to_the_same_bytes(structures, whole, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(structures, out, "--workers", "1"), start_new_session=True, stderr=subprocess.PIPE
    )
    wait_for(out, 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = len(list((out / ".prepare").glob("shard-*.json")))
    assert 0 < done < SHARDS
    assert not (out / "manifest.json").exists()
    result = subprocess.run(
        command(structures, out, "--workers", "1"), check=True, capture_output=True, text=True
    )
    assert f"{done} shards were finished by an earlier run" in result.stdout
    assert content(out) == whole


@contextmanager
def dask_process(*arguments: str) -> Iterator[subprocess.Popen]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_makes_the_same_bytes(structures, whole, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    file, out = tmp_path / "scheduler.json", tmp_path / "out"
    here = ("--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file))
    worker = ("worker", *here, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path))
    with ExitStack() as stack:
        stack.enter_context(dask_process("scheduler", *here, "--port", "0"))
        victim, _ = (stack.enter_context(dask_process(*worker)) for _ in range(2))
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address, timeout=30) as client:
            client.wait_for_workers(2, timeout=60)
        process = subprocess.Popen(
            command(structures, out, "--scheduler", address), stderr=subprocess.PIPE
        )
        wait_for(out, 3, process)
        os.killpg(victim.pid, signal.SIGKILL)
        assert len(list(out.glob("shard-*.parquet"))) < SHARDS
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    assert {name: data for name, data in content(out).items() if name[-5:] != ".part"} == whole


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: None, "no files found in"),
        (lambda folder: (folder / "a.pdb").write_text("x"), "none of 1 inputs gave a chain"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, make, reason):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    out = str(tmp_path / "out")
    assert main(["prepare", str(tmp_path / "in"), "--out", out, "--workers", "1"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("protcontact prepare: error: ")
    assert reason in last


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    text = capsys.readouterr().out
    for word in ("--scheduler", "(default: 20)", "(default: 256)", "Examples:", "rejected.tsv"):
        assert word in text
