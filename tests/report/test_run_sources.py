"""Runs by the names that users give."""

import pytest

from protcontact.errors import InputError
from protcontact.report import run_sources
from protcontact.report.run_sources import read_run, read_runs
from tests.report.stored_runs import write_run


def test_a_folder(tmp_path):
    assert read_run(str(write_run(tmp_path / "a", [0.1]))).name == "a"


def test_a_path_of_wandb_is_asked_for_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_sources, "read_online_run", lambda name: f"asked for {name}")
    assert read_run("lab/protcontact/x1") == "asked for lab/protcontact/x1"


@pytest.mark.parametrize("name", ["runs/absent", "a/b/c/d", "absent"])
def test_nothing_there(name):
    with pytest.raises(InputError, match=f"{name} does not exist.*entity/project/run"):
        read_run(name)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        read_run(str(tmp_path))


def test_the_same_run_twice(tmp_path):
    folder = write_run(tmp_path / "a" / "version_0", [0.1])
    (folder / "checkpoints").mkdir()
    with pytest.raises(InputError, match="named twice"):
        read_runs([str(folder), str(folder.parent)])
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(InputError, match="named twice"):
        read_runs([str(folder), str(tmp_path / "link")])
