"""No package is trusted unless it is named, and each verb that builds a model takes names."""

import argparse
import importlib

import pytest

from protcontact.cli import VERBS, module_of
from protcontact.commands.trust import add_trust_package


def test_names_are_taken_as_they_come():
    parser = argparse.ArgumentParser()
    add_trust_package(parser)
    assert parser.parse_args([]).trust_package == []
    assert parser.parse_args(["--trust-package", "a", "b"]).trust_package == ["a", "b"]


@pytest.mark.parametrize("verb", ["predict", "report", "ensemble"])
def test_verbs_that_build_a_model(verb):
    assert verb in VERBS
    parser = argparse.ArgumentParser()
    importlib.import_module(module_of(verb)).configure(parser)
    assert "--trust-package" in parser.format_help()
