"""Which configs are read that nobody named."""

import pytest

from protcontact.cli import main
from protcontact.commands.base_config import with_base


def test_base_is_read_before_the_configs_beside_it(tmp_path):
    for name in ("base.yaml", "one.yaml"):
        (tmp_path / name).write_text("")
    base, one = str(tmp_path / "base.yaml"), str(tmp_path / "one.yaml")
    assert with_base(["--config", one, "--x", "1"]) == [
        "--config", base, "--config", one, "--x", "1",
    ]  # fmt: skip
    assert with_base([f"--config={one}"]) == ["--config", base, "--config", one]
    assert with_base(["--config", base, "--config", one]) == ["--config", base, "--config", one]
    assert with_base(["-c", one]) == ["--config", base, "--config", one]
    assert with_base(["--x", "1"]) == ["--x", "1"]


def test_a_training_without_callbacks_is_told(tmp_path, monkeypatch, capsys):
    """It runs on, and keeps no best weights: who put a config elsewhere would learn it late."""
    monkeypatch.setattr("protcontact.commands.lightning.ContactCLI", lambda *args, **options: None)
    (tmp_path / "one.yaml").write_text("model: {}\n")
    words = ["--config", str(tmp_path / "one.yaml")]
    assert main(["fit", *words]) == 0
    told = capsys.readouterr().err
    assert "one.yaml nor a base.yaml beside it" in told and "has callbacks" in told
    assert main(["test", *words]) == 0 and main(["fit", "--config", "absent.yaml"]) == 0
    # nor does an option that stands for a config
    assert main(["test", "--model.head", "X", "--ckpt_path", "absent.ckpt"]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "base.yaml").write_text("trainer:\n  callbacks: []\n")
    assert main(["fit", *words]) == 0 and capsys.readouterr().err == ""


def test_base_of_the_folder_above(tmp_path, monkeypatch):
    names = (
        "base.yaml",
        "one.yaml",
        "encoder/a.yaml",
        "head/b.yaml",
        "own/base.yaml",
        "own/c.yaml",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    base, one, a, b, own, c = (str(tmp_path / name) for name in names)

    def read(*paths):
        return with_base([word for path in paths for word in ("--config", path)])[1::2]

    assert read(a, b) == [base, a, b]  # once
    assert read(one, a) == [base, one, a]
    assert read(base, a) == [base, a]
    assert read(c) == [own, c]  # the nearest
    assert read(c, a) == [base, own, c, a]
    monkeypatch.chdir(tmp_path / "encoder")
    assert read("a.yaml", "../head/b.yaml") == [base, "a.yaml", "../head/b.yaml"]
    monkeypatch.chdir(tmp_path)
    assert read("base.yaml", "encoder/a.yaml") == ["base.yaml", "encoder/a.yaml"]


def test_a_checkpoint_brings_its_config(tmp_path):
    checkpoint = tmp_path / "version_0" / "checkpoints" / "best.ckpt"
    assert with_base(["--ckpt_path", str(checkpoint)]) == ["--ckpt_path", str(checkpoint)]
    checkpoint.parent.mkdir(parents=True)
    own = tmp_path / "version_0" / "config.yaml"
    own.write_text("")
    for typed in (["--ckpt_path", str(checkpoint)], [f"--ckpt_path={checkpoint}"]):
        assert with_base(typed)[:2] == ["--config", str(own)]
    assert with_base(["--ckpt_path", "last"]) == ["--ckpt_path", "last"]


@pytest.mark.parametrize("verb", ["test", "validate"])
def test_what_is_missing_to_score_is_named(verb, tmp_path, capsys):
    """And not that of a model, which the run's config would have brought."""
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(b"")
    for words, message in (
        ([], "--ckpt_path is missing"),
        (["--ckpt_path", "last"], "--ckpt_path is missing"),
        (["--ckpt_path", str(tmp_path / "absent.ckpt")], "absent.ckpt does not exist"),
        (["--ckpt_path", str(tmp_path)], "is a folder"),
        (["--ckpt_path", str(alone)], "has no config.yaml, where"),
    ):
        assert main([verb, *words]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--conf", "--ckpt_pat", "--trainer.max_step", "--dat.path"])
def test_abbreviations_are_refused(option, tmp_path, capsys):
    """``--conf`` would be read without its base.yaml."""
    (tmp_path / "one.yaml").write_text("model: {}\n")
    given = ["--config", str(tmp_path / "one.yaml"), option, "3"]
    assert main(["fit", *given]) == 2
    assert option in capsys.readouterr().err
