"""Presets are made anew for every run, and the light one puts no hook on a model."""

from protcontact.gradflow.presets import full, light
from protcontact.gradflow.probe import StepProbe


def test_each_call_makes_its_own_probes():
    for preset in (light, full):
        first, second = preset(), preset()
        assert [type(p) for p in first] == [type(p) for p in second]
        assert not any(p is q for p in first for q in second)


def test_light_is_a_part_of_full_and_needs_no_hooks():
    kinds = [type(p) for p in full()]
    assert len(set(kinds)) == len(kinds) > len(light())
    for probe in light():
        assert type(probe) in kinds
        assert type(probe).attach is StepProbe.attach


def test_no_preset_runs_the_model_again():
    assert not any(p.runs_model for p in full())
