"""``protcontact predict`` as a user calls it."""

import numpy as np
import pytest
import torch

from protcontact.cli import main
from protcontact.commands import predict as verb
from protcontact.data.datamodule import sequence_hashes
from protcontact.data.store import ChainStore
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.distogram import Distogram
from protcontact.models.heads.ensemble import HeadEnsemble
from protcontact.models.heads.template_resnet import TemplateResNet
from protcontact.training.checkpoint import FORMAT, KEY, describe
from tests.data.copying import SPLITS, StandIn, write, write_eight
from tests.data.files import pdb_text


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "model.ckpt", Bilinear)


def save(path, head, **more):
    torch.manual_seed(0)
    encoder = BiLSTM(channels=4, layers=1)
    model = ContactModel(encoder, head(encoder.out_channels))
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    about = {"format": FORMAT, "encoder": describe(encoder), "head": describe(model.head)}
    content = {
        KEY: about | more.pop("about", {}),
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
        **more,
    }
    torch.save(content, path)
    return path


def predict(checkpoint, source, out, *more):
    words = ["predict", "--checkpoint", checkpoint, "--input", source, "--out", out, *more]
    return main([str(word) for word in words])


def test_sequences(checkpoint, tmp_path, capsys):
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQ\n>two\nMKVLA\n")
    out = tmp_path / "predicted"
    assert predict(checkpoint, tmp_path / "x.fasta", out) == 0
    assert {path.name for path in out.iterdir()} == {
        f"{name}.{suffix}" for name in ("one", "two") for suffix in ("rr", "npz", "png")
    } | {"report.tsv"}
    assert "2 chains predicted" in capsys.readouterr().out


def test_a_model_that_draws_distances_gives_them(tmp_path):
    checkpoint = save(tmp_path / "distances.ckpt", Distogram)
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQ\n")
    out = tmp_path / "predicted"
    assert predict(checkpoint, tmp_path / "x.fasta", out) == 0
    endings = ("rr", "distances.rr", "npz", "png")
    assert {path.name for path in out.iterdir()} == {f"one.{end}" for end in endings} | {
        "report.tsv"
    }
    assert np.load(out / "one.npz")["distance_probabilities"].shape == (14, 14, 10)


def test_the_rest_goes_on_when_one_input_is_broken(checkpoint, tmp_path, capsys):
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "x.fasta").write_text(">one\nACDEFGHIKLMNPQ\n")
    (folder / "broken.cif").write_text("")
    words = ["predict", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "out")]
    inputs = ["--input", str(folder / "x.fasta"), str(folder / "broken.cif")]
    assert main([*words, *inputs]) == 1
    assert "1 without prediction" in capsys.readouterr().out
    assert "broken" in (tmp_path / "out" / "report.tsv").read_text()
    assert (tmp_path / "out" / "one.rr").is_file()


def test_a_complex_with_dna_is_predicted_without_complaint(checkpoint, tmp_path, capsys):
    dna = "SEQRES   1 B    3   DA  DC  DG\n"
    (tmp_path / "x.pdb").write_text(dna + pdb_text("ACDEFGHIKLMNPQ"))
    assert predict(checkpoint, tmp_path / "x.pdb", tmp_path / "out") == 0
    assert "without prediction" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (">one\nAC1E\n", "'1'"),
        (">one\n\n>two\nACD\n", "one"),
        ("", "x.fasta"),
    ],
)
def test_unusable_input_is_one_line_with_the_remedy(text, named, checkpoint, tmp_path, capsys):
    (tmp_path / "x.fasta").write_text(text)
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("protcontact predict: error: ")
    assert named in error
    assert error.count("\n") == 1


def test_other_checkpoints_are_refused(tmp_path, capsys):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    (tmp_path / "x.fasta").write_text(">one\nACDE\n")
    assert predict(tmp_path / "other.ckpt", tmp_path / "x.fasta", tmp_path / "out") == 2
    assert "not one of protcontact" in capsys.readouterr().err


def test_unknown_device_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "x.fasta").write_text(">one\nACDE\n")
    for device in ("abacus", "meta"):  # the second is a device, but holds no numbers
        more = ["--device", device]
        assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "out", *more) == 2
        assert f"--device {device} cannot be used" in capsys.readouterr().err


def test_folder_that_cannot_be_written(checkpoint, tmp_path, capsys):
    (tmp_path / "x.fasta").write_text(">one\nACDE\n")
    (tmp_path / "file").write_text("in the way")
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "file" / "out") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_templates_are_searched_among_the_training_chains(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verb, "MMseqs", StandIn)  # the program itself: test_templates.py
    checkpoint = save(tmp_path / "template.ckpt", TemplateResNet)
    data = tmp_path / "data"
    data.mkdir()
    write_eight(data)
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQRSTVWYACDE\n")
    found = {}
    for name, more in {"without": (), "one": (1,), "two": (2,)}.items():
        words = ["--templates", data, "--per-chain", *more] if more else []
        assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / name, *words) == 0
        told = capsys.readouterr().out
        assert ("none without --templates DATA" in told) == (name == "without")
        assert "homologue" not in told
        found[name] = np.load(tmp_path / name / "one.npz")["scores"]
    assert abs(found["one"] - found["without"]).max() > 1e-3
    assert abs(found["two"] - found["one"]).max() > 1e-3
    write(data, evalue=1e-3)  # as far as the training's templates were looked for
    words = ["--templates", data, "--per-chain", 1]
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "nearer", *words) == 0
    nearer = np.load(tmp_path / "nearer" / "one.npz")["scores"]
    assert abs(nearer - found["one"]).max() > 1e-4
    capsys.readouterr()
    monkeypatch.setattr(verb, "MMseqs", lambda: StandIn(homologous=range(1000)))
    words = ["--templates", data]
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "near", *words) == 0
    assert "1 of 1 inputs have a homologue among the training chains" in capsys.readouterr().out


def test_as_many_templates_as_in_training_and_of_the_same_chains(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verb, "MMseqs", StandIn)
    data = tmp_path / "data"
    data.mkdir()
    write_eight(data)
    store = ChainStore(data)
    trained = [store[row].sequence for row, split in enumerate(SPLITS) if split == "train"]
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQRSTVWYACDE\n")

    def scores(name, *more, **content):
        checkpoint = save(tmp_path / f"{name}.ckpt", TemplateResNet, **content)
        words = ["--templates", data, *more]
        assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / name, *words) == 0
        return np.load(tmp_path / name / "one.npz")["scores"], capsys.readouterr().out

    two, told = scores("two", "--per-chain", 2)
    assert "training" not in told
    own = {"trained_on": sequence_hashes(trained)}
    of_training, told = scores("own", ContactDataModule={"templates_per_chain": 2}, about=own)
    np.testing.assert_array_equal(of_training, two)
    assert "training" not in told
    unsaid, told = scores("unsaid")
    assert "does not say how many templates" in told
    np.testing.assert_array_equal(unsaid, scores("four", "--per-chain", 4)[0])
    assert abs(unsaid - two).max() > 1e-3
    save(tmp_path / "never.ckpt", TemplateResNet, ContactDataModule={"templates_per_chain": 0})
    words = ["--templates", data]
    assert predict(tmp_path / "never.ckpt", tmp_path / "x.fasta", tmp_path / "n", *words) == 2
    assert "its training showed none" in capsys.readouterr().err
    words = ["--per-chain", 3]
    assert predict(tmp_path / "own.ckpt", tmp_path / "x.fasta", tmp_path / "n", *words) == 2
    assert "give --templates DATA" in capsys.readouterr().err
    words = ["--templates", data, "--per-chain", 0]
    assert predict(tmp_path / "own.ckpt", tmp_path / "x.fasta", tmp_path / "none", *words) == 2
    assert "per-chain" in capsys.readouterr().err
    other = {"trained_on": sequence_hashes([*trained[1:], "ACDE"])}
    told = scores("other", "--per-chain", 2, about=other)[1]
    assert f"3 of the 4 training sequences of {data} were in this model's training" in told


@pytest.mark.parametrize("exhaustive", [True, False])
def test_inputs_are_searched_as_thoroughly_as_the_training_chains(
    tmp_path, monkeypatch, exhaustive
):
    """However few they are: a test chain gets the templates with which it was scored."""
    searches = []
    monkeypatch.setattr(verb, "MMseqs", lambda: searches.append(StandIn()) or searches[-1])
    checkpoint = save(tmp_path / "template.ckpt", TemplateResNet)
    data = tmp_path / "data"
    data.mkdir()
    write_eight(data)
    write(data, exhaustive=exhaustive)
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQRSTVWYACDE\n")
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "out", "--templates", data) == 0
    assert [search.exhaustive for search in searches] == [exhaustive]


def test_templates_for_a_model_that_looks_at_none_are_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQ\n")
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "out", "--templates", tmp_path) == 2
    assert "Bilinear" in capsys.readouterr().err


def test_an_ensemble_that_looks_at_no_templates_does_not_ask_for_any(tmp_path, capsys):
    checkpoint = save(tmp_path / "two.ckpt", lambda width: HeadEnsemble(width, [Bilinear(width)]))
    (tmp_path / "x.fasta").write_text(">one\nACDEFGHIKLMNPQ\n")
    assert predict(checkpoint, tmp_path / "x.fasta", tmp_path / "out") == 0
    assert "templates" not in capsys.readouterr().out
    both = HeadEnsemble(16, [Bilinear(8), HeadEnsemble(8, [TemplateResNet(8)])])
    assert both.looks
