"""Every command that the README shows is one that exists."""

import argparse
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from protcontact.cli import LIGHTNING_VERBS, VERBS, module_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[list[str]]:
    """The words of every ``protcontact`` line in a code block, comments and alternatives cut."""
    found = []
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    for block in (text for language, text in blocks if language in ("", "bash")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("#")[0].split("&&"):
                words = shlex.split(part)
                if words and words[0] == "protcontact":
                    found.append(words[1:])
    return found


def test_the_readme_shows_every_verb():
    shown = {words[0] for words in commands()} | set(re.findall(r"`protcontact ([\w-]+)", README))
    assert set(VERBS) | set(LIGHTNING_VERBS) <= shown | {"validate"}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_parses(words):
    verb, *arguments = words
    if verb in LIGHTNING_VERBS:
        for word, value in zip(arguments, arguments[1:], strict=False):
            if word == "--config":
                assert (ROOT / value).is_file()
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
