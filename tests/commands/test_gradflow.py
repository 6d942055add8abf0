"""``protcontact gradflow`` as the user meets it."""

import csv
import dataclasses

import pytest

from protcontact.cli import main
from protcontact.commands import gradflow
from protcontact.gradflow.experiment import Check, Experiment, Result
from protcontact.gradflow.experiments import ORDER, experiment

SMALL = ["--depth", "4", "--width", "8"]


def test_one_experiment(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["gradflow", "activation", *SMALL, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "activation: 2 of 2 checks hold." in printed and str(out) in printed
    with (out / "readings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert max(float(row["index"]) for row in rows) == 4
    assert (out / "conclusion.txt").read_text().strip() in printed


def test_all_writes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gradflow, "ORDER", ("activation",))
    assert main(["gradflow", "all", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "experiments 1/1" in printed.err
    assert str(tmp_path / "index.html") in printed.out
    assert "activation/readings.csv" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "activation" / "figure.png").is_file()


class Wrong(Experiment):
    """Does not hold."""

    title = formula = explanation = source = "x"

    def measure(self):
        """Fail."""
        panels = experiment("activation")(depth=2, width=4).run().panels
        return Result([], [Check("1 = 2", 1.0, 0.1), Check("1 = 1", 0.0, 0.1)], panels, "A. B.")


@pytest.mark.parametrize("which", ["activation", "all"])
def test_a_check_that_fails_is_told_and_ends_with_status_1(tmp_path, capsys, monkeypatch, which):
    monkeypatch.setattr(gradflow, "ORDER", ("activation",))
    monkeypatch.setattr(gradflow, "experiment", lambda name: Wrong)
    assert main(["gradflow", which, "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "1 of 2 checks hold" in printed
    assert "FAILS: 1 = 2: 1.00e+00, allowed 1.00e-01" in printed


def test_mistakes(tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    for arguments, message in (
        (["activatoin", *out], "invalid choice: 'activatoin'"),
        (["activation", "--dept", "3", *out], "unrecognized arguments: --dept"),
        (["activation"], "the following arguments are required: --out"),
        (["activation", "--depth", "three", *out], "invalid int value: 'three'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["gradflow", *arguments])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["gradflow", "activation", "--depth", "0", *out]) == 2
    assert "depth" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["gradflow", "activation", *SMALL, "--out", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


def test_help_teaches(capsys):
    for arguments, words in (
        (["--help"], ["memory --length 2000", *ORDER]),
        (["activation", "--help"], ["--depth", "(default: 50)", "Glorot", "sigmoid' <= 1/4"]),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["gradflow", *arguments])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("name", ORDER)
def test_every_field_of_every_experiment_is_an_option(name):
    """So that a field of a type that the command cannot read is noticed."""
    for field in dataclasses.fields(experiment(name)):
        example = field.default[0] if isinstance(field.default, tuple) else field.default
        assert type(example) in (int, float, str), field.name
