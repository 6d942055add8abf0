"""What every experiment must do, whatever it shows: found by walking the list."""

import dataclasses
import importlib

import pytest
import torch

from protcontact.figures.panels import draw_panels
from protcontact.gradflow.experiments import ORDER, experiment


def small(name):
    """An experiment in a size that takes a second or less: ``SMALL`` of its own test file."""
    return experiment(name)(
        **importlib.import_module(f"tests.gradflow.experiments.test_{name}").SMALL
    )


@pytest.mark.parametrize("name", ORDER)
def test_contract(name):
    kind = experiment(name)
    for text in (kind.title, kind.formula, kind.explanation, kind.source):
        assert text.strip() == text != ""
    assert all(
        field.metadata.get("help") and field.default is not dataclasses.MISSING
        for field in dataclasses.fields(kind)
    )
    before = torch.random.get_rng_state()
    one, two = (small(name).run() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.readings and one.checks
    assert [c for c in one.checks if not c.holds] == []
    assert one.conclusion.count(".") >= 2
    assert repr(list(one.readings)) == repr(list(two.readings))  # NaN is itself there
    draw_panels(one.panels)


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(KeyError, match="memory, enhancer"):
        experiment("memorie")
