"""``protcontact gradflow`` as the user meets it."""

import csv
import dataclasses

import pytest
import torch

from protcontact.cli import main
from protcontact.commands import gradflow
from protcontact.commands.gradflow import LOOKS
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.gradflow.experiment import Check, Experiment, Result
from protcontact.gradflow.experiments import ORDER, experiment
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.checkpoint import KEY
from protcontact.training.module import ContactModule
from tests.data.chains import random_chain

SMALL = ["--depth", "4", "--width", "8"]


def test_one_experiment(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["gradflow", "activation", *SMALL, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "activation: 3 of 3 checks hold." in printed and str(out) in printed
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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five chains of 50 to 90 residues in the test split."""
    folder = tmp_path_factory.mktemp("data")
    chains = [random_chain(f"c{n}", 50 + 10 * n, seed=n) for n in range(5)]
    write_store(folder, chains)
    rows = [Assignment(c.id, "test", c.id, len(c)) for c in chains]
    write_assignments(folder / "splits.tsv", rows)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    module = ContactModule(encoder, Bilinear)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    file = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    torch.save(content, file)
    return file


def look(name, checkpoint, data, out, *more):
    words = ["gradflow", name, "--checkpoint", checkpoint, "--data", data, "--out", out, *more]
    return main([str(word) for word in words])


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_into_a_checkpoint(name, checkpoint, data, tmp_path, capsys):
    assert look(name, checkpoint, data, tmp_path / "out", "--chains", "2") == 0
    printed = capsys.readouterr()
    assert f"{name}: " in printed.out and "chains 2/2" in printed.err
    with (tmp_path / "out" / "readings.csv").open() as file:
        assert len(list(csv.DictReader(file))) > 10
    assert (tmp_path / "out" / "figure.png").is_file()


def test_what_cannot_be_looked_into(checkpoint, data, tmp_path, capsys):
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(checkpoint.read_bytes()[:1000])
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["model.head.left.weight"][0, 0] = float("nan")
    torch.save(content, tmp_path / "nan.ckpt")
    out = tmp_path / "out"
    for arguments, message in (
        ((broken, data, out), "broken.ckpt"),
        ((tmp_path / "nan.ckpt", data, out), "nan.ckpt: head.left.weight has 1 of"),
        ((tmp_path / "none.ckpt", data, out), "none.ckpt"),
        ((checkpoint, tmp_path, out), str(tmp_path)),
        ((checkpoint, data, out, "--max-length", "40"), "at most 40 residues"),
        ((checkpoint, data, out, "--chains", "0"), "at least 1, not 0"),
        ((checkpoint, data, out, "--split", "val"), "val split"),
    ):
        assert look("diagnose", *arguments) == 2, arguments
        error = capsys.readouterr().err
        assert message in error and error.count("error:") == 1
    assert not out.exists()


def changed(checkpoint, file, **entries):
    """A checkpoint with other entries of the package's own in it."""
    content = torch.load(checkpoint, weights_only=True)
    own = {**content[KEY], **entries}
    content[KEY] = {name: value for name, value in own.items() if value is not None}
    torch.save(content, file)
    return file


@pytest.mark.parametrize("name", LOOKS)
def test_a_checkpoint_without_prior_and_objective(name, checkpoint, data, tmp_path):
    """As one that was written by hand; nearest first is the null then."""
    bare = changed(checkpoint, tmp_path / "bare.ckpt", prior=None, objective=None)
    assert look(name, bare, data, tmp_path / "out", "--chains", "2") == 0


def test_mistakes_of_ours_are_not_told_as_those_of_a_file(checkpoint, data, tmp_path, monkeypatch):
    def wrong(*args, **options):
        raise ValueError("a defect")

    monkeypatch.setitem(LOOKS, "diagnose", LOOKS["diagnose"]._replace(measure=wrong))
    with pytest.raises(ValueError, match="a defect"):
        look("diagnose", checkpoint, data, tmp_path / "out")
