"""``protcontact ensemble`` as the user meets it: two runs, joined, scored, predicted from."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from protcontact.cli import main
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.training.checkpoint import read_checkpoint
from tests.data.chains import random_chain


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A BiLSTM and a Transformer, two steps each, on the same six chains."""
    folder = tmp_path_factory.mktemp("ensemble")
    chains = [random_chain(f"c{n}", 30 + n, seed=n) for n in range(6)]
    write_store(folder / "data", chains)
    splits = ["train", "val", "test"] * 2
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "data" / "splits.tsv", rows)
    for seed, encoder in enumerate(("recurrent.BiLSTM", "transformer.Transformer")):
        config = {
            "seed_everything": seed,
            "data": {"path": str(folder / "data")},
            "model": {
                "encoder": {"class_path": f"protcontact.models.encoders.{encoder}"},
                "head": {"class_path": "protcontact.models.heads.bilinear.Bilinear"},
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}},
            },
            "trainer": {
                "accelerator": "cpu",
                "max_steps": 2,
                "val_check_interval": 2,
                "check_val_every_n_epoch": None,
                "enable_progress_bar": False,
                "default_root_dir": str(folder / f"run{seed}"),
                "callbacks": [
                    {
                        "class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
                        "init_args": {"filename": "best"},
                    },
                    {"class_path": "protcontact.training.callbacks.separation_null.SeparationNull"},
                ],
            },
        }
        (folder / f"{seed}.yaml").write_text(yaml.safe_dump(config))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WANDB_MODE", "disabled")
            assert run("fit", "--config", folder / f"{seed}.yaml") == 0
    return folder


def test_two_runs_are_joined_scored_and_predicted_from(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    members = [runs / f"run{n}" / "version_0" / "checkpoints" / "best.ckpt" for n in (0, 1)]
    out = tmp_path / "joined"
    assert run("ensemble", *members, "--out", out) == 0
    joined = out / "checkpoints" / "best.ckpt"
    assert capsys.readouterr().out == f"{joined}: 2 members\n"
    assert run("test", "--ckpt_path", joined, "--trainer.accelerator", "cpu") == 0
    scores = json.loads((out / "version_0" / "test_scores.json").read_text())
    assert scores["model"]["chains"] == 2
    assert set(scores) == {"about", "model", "separation"}
    (tmp_path / "a.fasta").write_text(">a\nMKTAYIAKQRQISFVKSHFSRQ\n")
    fasta = tmp_path / "a.fasta"
    assert run("predict", "--checkpoint", joined, "--input", fasta, "--out", tmp_path / "p") == 0
    # it cannot be trained on
    assert run("fit", "--config", out / "config.yaml", "--ckpt_path", joined) == 2
    assert "without its training" in capsys.readouterr().err


def test_bad_input_is_named(runs, tmp_path, capsys):
    good = runs / "run0" / "version_0" / "checkpoints" / "best.ckpt"
    (tmp_path / "broken.ckpt").write_bytes(good.read_bytes()[:1000])
    assert run("ensemble", good, tmp_path / "broken.ckpt", "--out", tmp_path / "x") == 2
    assert "broken.ckpt cannot be read" in capsys.readouterr().err
    assert run("ensemble", good, "--out", tmp_path / "x") == 2
    assert "two checkpoints or more" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_broken_config_is_named(runs, tmp_path, capsys):
    for place in ("a", "b"):
        (tmp_path / place / "checkpoints").mkdir(parents=True)
        source = runs / "run0" / "version_0" / "checkpoints" / "best.ckpt"
        (tmp_path / place / "checkpoints" / "best.ckpt").write_bytes(source.read_bytes())
    files = [tmp_path / place / "checkpoints" / "best.ckpt" for place in ("a", "b")]
    for text, message in (("a: [", "is no YAML"), ("- 1", "is no config")):
        (tmp_path / "a" / "config.yaml").write_text(text)
        assert run("ensemble", *files, "--out", tmp_path / "x") == 2
        assert message in capsys.readouterr().err


def test_a_training_is_not_written_over(runs, tmp_path, capsys):
    members = [runs / f"run{n}" / "version_0" / "checkpoints" / "best.ckpt" for n in (0, 1)]
    before = members[0].read_bytes()
    assert run("ensemble", *members, "--out", runs / "run0" / "version_0") == 2
    assert "is the best.ckpt of a training" in capsys.readouterr().err
    assert members[0].read_bytes() == before
    out = tmp_path / "joined"
    assert run("ensemble", *members, "--out", out) == 0
    (out / "test_scores.json").write_text("of the ensemble before")
    assert run("ensemble", *members[::-1], "--out", out) == 0  # an ensemble is
    assert not (out / "test_scores.json").exists()
    assert run("ensemble", out / "checkpoints" / "best.ckpt", members[0], "--out", out) == 2


def test_templates_are_those_of_the_members_that_look(runs, tmp_path, capsys):
    source = runs / "run0" / "version_0" / "checkpoints" / "best.ckpt"
    files = []
    for place, shown in (("a", 0), ("b", 3), ("c", 2)):
        files.append(tmp_path / place / "checkpoints" / "best.ckpt")
        files[-1].parent.mkdir(parents=True)
        content = torch.load(source, weights_only=True)
        del content["ContactDataModule"]  # as in files of old, where the config alone says it
        torch.save(content, files[-1])
        config = {"data": {"path": "data", "templates_per_chain": shown}}
        (tmp_path / place / "config.yaml").write_text(yaml.safe_dump(config))
    for members in (files[:2], files[1::-1]):
        assert run("ensemble", *members, "--out", tmp_path / "out") == 0
        written = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
        assert written["data"] == {"path": "data", "templates_per_chain": 3}
        joined = read_checkpoint(tmp_path / "out" / "checkpoints" / "best.ckpt")
        assert joined["ContactDataModule"] == {"templates_per_chain": 3}  # read by predict
    assert run("ensemble", *files, "--out", tmp_path / "out") == 2
    assert "trained with 2 and 3 templates" in capsys.readouterr().err


def test_the_checkpoints_say_how_many_templates_were_shown(runs, tmp_path, capsys):
    """As those of `protcontact experiment`, which have no config two folders up."""
    content = torch.load(runs / "run0/version_0/checkpoints/best.ckpt", weights_only=True)
    files = []
    for shown in (4, 8):
        content["ContactDataModule"] = {"templates_per_chain": shown}
        files.append(tmp_path / str(shown) / "last.ckpt")
        files[-1].parent.mkdir()
        torch.save(content, files[-1])
    assert run("ensemble", *files, "--out", tmp_path / "out") == 2
    assert "trained with 4 and 8 templates" in capsys.readouterr().err
    again = files[0].with_name("again.ckpt")
    again.write_bytes(files[0].read_bytes())
    assert run("ensemble", files[0], again, "--out", tmp_path / "out") == 0
    joined = read_checkpoint(tmp_path / "out" / "checkpoints" / "best.ckpt")
    assert joined["ContactDataModule"] == {"templates_per_chain": 4}


def test_a_member_does_not_count_twice(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(runs)
    file = Path("run0/version_0/checkpoints/best.ckpt")
    assert run("ensemble", file, runs / file, "--out", tmp_path / "out") == 2
    assert "named twice" in capsys.readouterr().err
