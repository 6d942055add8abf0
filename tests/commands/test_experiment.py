"""``protcontact experiment`` as the user meets it."""

import os
import signal
import time
from pathlib import Path

import pytest

from protcontact.cli import main
from protcontact.commands import experiment
from protcontact.report.suite import read_suite
from tests.report.suites import Pretender, write_data, write_suite


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("experiment") / "data")


def go(tmp_path, data, monkeypatch, *more, **faults):
    monkeypatch.setattr(experiment, "Processes", lambda: Pretender(data, **faults))
    suite = str(write_suite(tmp_path))
    return main(["experiment", suite, "--out", str(tmp_path / "out"), *more])


def test_a_table_is_printed(tmp_path, data, monkeypatch, capsys):
    assert go(tmp_path, data, monkeypatch, "--data", str(data), "--jobs", "2") == 0
    printed = capsys.readouterr()
    assert "| one | 1,000 | 20 |" in printed.out and "| separation null |" in printed.out
    assert "runs 4/4" in printed.err


def test_failures_are_printed_and_end_with_status_1(tmp_path, data, monkeypatch, capsys):
    assert go(tmp_path, data, monkeypatch, "--data.path", str(data), two_seed_0=3) == 1
    printed = capsys.readouterr().out
    assert "FAILED two/seed_0: protcontact fit ended with status 3\nline 19" in printed
    assert "1 runs failed; the same command makes them again" in printed
    assert "tables and figure in" in printed


def test_without_a_result_no_tables_are_promised(tmp_path, data, monkeypatch, capsys):
    faults = {"one_measure": 2, "two_measure": 2}
    assert go(tmp_path, data, monkeypatch, "--data", str(data), **faults) == 1
    assert "tables and figure" not in capsys.readouterr().out


class Killer:
    """Is ended by SIGTERM, as batch systems do."""

    def __init__(self):
        self.stopped = False

    def __call__(self, command, log, environment):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return 0

    def stop(self):
        self.stopped = True


def test_sigterm_ends_the_trainings_too(tmp_path, data, monkeypatch):
    killer, before = Killer(), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(experiment, "Processes", lambda: killer)
    suite = str(write_suite(tmp_path))
    assert main(["experiment", suite, "--out", str(tmp_path / "o"), "--data", str(data)]) == 130
    assert killer.stopped and signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c(tmp_path, data, monkeypatch, capsys):
    fault = {"two_measure": KeyboardInterrupt()}
    assert go(tmp_path, data, monkeypatch, "--data", str(data), **fault) == 130
    assert "interrupted; the same command continues" in capsys.readouterr().err


def test_mistakes(tmp_path, data, monkeypatch, capsys):
    assert go(tmp_path, data, monkeypatch, "--data", str(data), "--jobs", "0") == 2
    assert "--jobs must be at least 1" in capsys.readouterr().err
    assert go(tmp_path, data, monkeypatch, "--data", str(tmp_path / "none")) == 2
    assert "none" in capsys.readouterr().err
    file = write_suite(tmp_path, sedes=[1])
    assert main(["experiment", str(file), "--data", str(data)]) == 2
    assert "no setting 'sedes'" in capsys.readouterr().err


def test_the_suite_of_this_repository_has_every_config_beside_it():
    file = Path(__file__).parents[2] / "configs" / "experiment" / "suite.yaml"
    suite = read_suite(file)
    beside = set(file.parent.glob("*.yaml")) - {file}
    costly = {file.parent / "axial.yaml"}  # as the suite and the README say
    assert set(suite.configs.values()) == beside - costly and costly <= beside
    assert len(suite.seeds) >= 3
