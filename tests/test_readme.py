"""Every command that the README shows is one that exists."""

import argparse
import importlib
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from protcontact.cli import LIGHTNING_VERBS, VERBS, main, module_of
from tests.report.training import trained_run

__all__ = ["trained_run"]

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]


def commands() -> list[list[str]]:
    """The words of every ``protcontact`` line in a code block, comments and alternatives cut."""
    found = []
    pages = "\n".join(PAGES)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", pages, flags=re.DOTALL | re.MULTILINE)
    for block in (text for language, text in blocks if language in ("", "bash")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("#")[0].split("&&"):
                if part.strip().startswith("protcontact "):
                    found.append(shlex.split(part)[1:])
    return found


def block(begins: str) -> str:
    """The code block of which the first line begins so."""
    (found,) = re.findall(
        rf"^```\w+\n({re.escape(begins)}.*?)^```$", README, re.DOTALL | re.MULTILINE
    )
    return found


@pytest.mark.slow
def test_parts_of_ones_own(trained_run, tmp_path, monkeypatch, capsys):
    """Encoder, head and probe train as they are written, and are built again where allowed."""
    _, data = trained_run
    (tmp_path / "my_parts.py").write_text(block("# my_parts.py"))
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "mine.yaml").write_text(block("# configs/mine.yaml"))
    shutil.copy(ROOT / "configs" / "base.yaml", configs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the command line adds to
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def refused(*words: object) -> bool:
        assert main([str(word) for word in words]) == 2
        return "--trust-package my_parts" in capsys.readouterr().err

    words = ["fit", "--config", "configs/mine.yaml", "--data.path", data, "--trainer.max_steps", 2]
    words += ["--trainer.val_check_interval", 2, "--trainer.callbacks.every_n_steps", 1]
    words += ["--trainer.log_every_n_steps", 1]
    assert main([str(word) for word in words]) == 0
    logged = Path("runs/mine/version_0/metrics.csv").read_text()
    assert "gradflow/global/largest" in logged.splitlines()[0]
    Path("a.fasta").write_text(">a\nMKTAYIAKQRQISFVKSHFSRQ\n")
    predict = ["predict", "--checkpoint", "runs/mine/version_0/checkpoints/best.ckpt"]
    predict += ["--input", "a.fasta", "--out", "predicted"]
    report = ["report", "runs/mine", "--out", "page.html", "--chains", "2"]
    for verb in (predict, report):
        assert refused(*verb)
        assert main([*verb, "--trust-package", "my_parts"]) == 0
    assert Path("predicted/a.rr").is_file()
    assert "2 maps" in capsys.readouterr().out


def test_the_readme_shows_every_verb():
    shown = {words[0] for words in commands()} | set(re.findall(r"`protcontact ([\w-]+)", README))
    assert set(VERBS) | set(LIGHTNING_VERBS) <= shown | {"validate"}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_parses(words):
    verb, *arguments = words
    if verb in LIGHTNING_VERBS:
        for word, value in zip(arguments, arguments[1:], strict=False):
            if word == "--config":
                assert (ROOT / value).is_file() or f"# {value}: " in README
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    importlib.import_module(module_of(verb)).configure(parser)
    parser.parse_args(arguments)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    shown = re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE)
    assert {"demo", "test"} <= set(shown) <= targets


def test_folders_of_the_architecture_exist():
    for name in re.findall(r"^\| `([a-z_]+/?(?:\.py)?)` \|", README, flags=re.MULTILINE):
        assert (ROOT / "protcontact" / name).exists(), name


def test_version_is_the_same_everywhere():
    from protcontact import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_links_lead_somewhere():
    """Pictures and pages are there, and places within a page have a heading."""
    assert "](#results)" in README and "](docs/" in README
    for folder, text in [(ROOT, README), *((ROOT / "docs", page) for page in PAGES[1:])]:
        targets = re.findall(r"\]\(([^)#]*)(#[^)]*)?\)|src=\"([^\"]+)\"", text)
        for path, place, source in targets:
            file = folder / (path or source) if path or source else None
            assert file is None or file.is_file(), file
            if place:
                page = text if file is None else file.read_text()
                titles = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
                plain = (re.sub(r"[^\w -]", "", title.lower()) for title in titles)
                assert place[1:] in {title.replace(" ", "-") for title in plain}, place
