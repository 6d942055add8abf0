"""Runs in their own folders."""

from pathlib import Path

import pytest

from protcontact.errors import InputError
from protcontact.report.run_folder import is_run_folder, read_curves, read_run_folder
from tests.report.stored_runs import write_run


def test_settings_curves_and_scores(tmp_path):
    folder = write_run(tmp_path / "runs" / "a" / "version_0", [0.1, 0.3], seed=7)
    run = read_run_folder(folder)
    assert (run.name, run.seed, run.finished) == ("a", 7, True)
    assert run.history["train/loss"] == [(9, 0.5), (19, 0.25)]
    assert list(run.scored) == ["val"] and run.scored["val"].chains["c1"]["short/AUPRC"] == 0.3
    assert run.facts["parameters"] == 1234


def test_a_folder_of_starts_is_its_newest_training(tmp_path):
    for number in (0, 2, 10, 11):
        write_run(tmp_path / "a" / f"version_{number}", [number / 100])
        if number < 11:  # the newest start only scored
            (tmp_path / "a" / f"version_{number}" / "checkpoints").mkdir()
    run = read_run_folder(tmp_path / "a")
    assert run.name == "a/10" and run.scored["val"].chains["c0"]["long/P@L"] == 0.1


def test_where_nothing_was_trained_the_newest_start_that_scored_counts(tmp_path):
    """As of an ensemble, whose checkpoint was written by hand."""
    for number in (0, 1):
        write_run(tmp_path / "a" / f"version_{number}", [number / 100])
    (tmp_path / "a" / "version_2").mkdir()
    assert read_run_folder(tmp_path / "a").name == "a/1"


def test_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_run(tmp_path / "best" / "version_0", [0.1]))
    assert read_run_folder(Path()).name == "best"


def test_other_folders_are_refused(tmp_path):
    assert not is_run_folder(tmp_path)
    (tmp_path / "version_0").mkdir()
    with pytest.raises(InputError, match="holds no run.*protcontact fit"):
        read_run_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("hparams.yaml", "a: [", "no YAML"),
        ("hparams.yaml", "- 1\n", "no settings"),
        ("hparams.yaml", "a: \xff", "cannot be read"),
        ("metrics.csv", "step,loss\nx,1\n", "damaged"),
        ("metrics.csv", "step,loss\n1,one\n", "damaged"),
        ("metrics.csv", "loss\n1\n", "damaged"),
        ("metrics.csv", "step,loss\ninf,2\n", "damaged"),
        ("metrics.csv", "step,loss\n1,2,3\n", "damaged"),
        ("metrics.csv", None, "cannot be read .* written by `protcontact fit`$"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, said):
    folder = write_run(tmp_path / "a", [0.1])
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=rf"{name}.*{said}"):
        read_run_folder(folder)


def test_unfinished(tmp_path):
    folder = write_run(tmp_path / "a", [0.1], curves=[{"step": 1, "train/loss": 2.0}])
    assert not read_run_folder(folder).finished


def test_epochs_are_no_curve(tmp_path):
    (tmp_path / "m.csv").write_text("epoch,step,loss\n0,1,\n0,2,0.5\n")
    assert read_curves(tmp_path / "m.csv") == {"loss": [(2, 0.5)]}
