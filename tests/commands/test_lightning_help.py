"""The pages of the verbs of the Lightning CLI: when they are shown, and that they hold."""

import re
from pathlib import Path

import pytest

from protcontact.commands.lightning_help import PAGES, page, with_all

ROOT = Path(__file__).parents[2]


def test_a_page_is_shown_if_it_is_asked_for():
    assert page("fit", ["--config", "a.yaml"]) is None
    assert page("fit", ["--model.encoder.help", "x"]) is None
    assert page("fit", ["--help-all"]) is None
    assert page("fit", ["--config", "a.yaml", "-h"]) == page("fit", ["--help"]) == PAGES["fit"]
    assert with_all(["--config", "a.yaml", "--help-all"]) == ["--config", "a.yaml", "--help"]


@pytest.mark.parametrize("verb", PAGES)
def test_files_of_the_examples_exist(verb):
    for config in re.findall(r"--config (configs/\S+)", PAGES[verb]):
        assert (ROOT / config).is_file()
