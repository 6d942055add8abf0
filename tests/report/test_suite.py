"""Suite files and plans: what they say, and what is refused."""

import pytest

from protcontact.errors import InputError
from protcontact.report.suite import (
    Entry,
    Plan,
    digest,
    entry,
    odd_parameters,
    open_plan,
    read_suite,
)
from tests.report.suites import write_suite


def test_what_a_suite_says(tmp_path):
    suite = read_suite(write_suite(tmp_path))
    assert suite.configs == {"one": tmp_path / "one.yaml", "two": tmp_path / "two.yaml"}
    assert suite.seeds == (0, 1) and suite.budget_seconds == 10
    assert (suite.threads, suite.split, suite.wandb) == (1, "test", "disabled")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": [1]}, "no setting 'sedes'; it may have groups, seeds, budget_seconds"),
        ({"folder": "x"}, "no setting 'folder'"),
        ({"seeds": None}, "lacks 'seeds'"),
        ({"seeds": [0, 0]}, "seeds cannot be"),
        ({"seeds": [-1]}, "seeds cannot be"),
        ({"seeds": ["a"]}, "seeds cannot be"),
        ({"seeds": []}, "seeds cannot be"),
        ({"groups": ["one.yaml"]}, "groups cannot be"),
        ({"groups": {"x": []}}, "groups cannot be"),
        ({"budget_seconds": 0}, "budget_seconds cannot be 0"),
        ({"budget_seconds": float("inf")}, "budget_seconds cannot be inf"),
        ({"measured_steps": 0}, "measured_steps cannot be 0"),
        ({"threads": True}, "threads cannot be True"),
        ({"split": "tset"}, "split cannot be 'tset'"),
        ({"wandb": "on"}, "wandb cannot be"),
        ({"fit": [1]}, "fit cannot be"),
        ({"groups": {"x": ["three.yaml"]}}, "names three.yaml, which is not beside it"),
        ({"groups": {"x": ["one.yaml", "sub/one.yaml"]}}, "would share the folder 'one'"),
        ({"groups": {"x": ["base.yaml"]}}, "would share the folder 'base'"),
    ],
)
def test_mistakes_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_suite(write_suite(tmp_path, **changes))


@pytest.mark.parametrize("text", ["a: [", "", "- 1", None])
def test_unreadable_files(tmp_path, text):
    file = tmp_path / "suite.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=f"suite {file}"):
        read_suite(file)


def test_as_many_steps_as_the_budget_pays_for(tmp_path):
    suite = read_suite(write_suite(tmp_path))
    planned = entry(suite, tmp_path / "one.yaml", 0.03, 7)
    assert planned == Entry(digest(tmp_path / "one.yaml"), 7, 0.03, 333)
    assert entry(suite, tmp_path / "one.yaml", 1000.0, 7).steps == 1


def planned(tmp_path, **changes):
    """A suite, and the plan of a folder where it was begun."""
    suite = read_suite(write_suite(tmp_path, **changes))
    plan = open_plan(suite, "print", tmp_path)
    for name, config in suite.configs.items():
        plan.entries[name] = entry(suite, config, 0.5, 7)
    plan.write(tmp_path)
    return suite, plan


def test_a_plan_goes_on(tmp_path):
    suite, plan = planned(tmp_path)
    assert open_plan(suite, "print", tmp_path) == plan
    more = read_suite(write_suite(tmp_path, seeds=[0, 1, 2]))
    assert open_plan(more, "print", tmp_path) == plan  # further seeds are no other suite


@pytest.mark.parametrize(
    "changes",
    [{"budget_seconds": 11}, {"split": "val"}, {"threads": 2}, {"reach_chains": 3}, {"fit": {}}],
)
def test_another_suite_is_not_mixed_in(tmp_path, changes):
    planned(tmp_path)
    other = read_suite(write_suite(tmp_path, **changes))
    with pytest.raises(InputError, match=f"holds a suite with {next(iter(changes))}"):
        open_plan(other, "print", tmp_path)


def test_other_data_or_configs_are_not_mixed_in(tmp_path):
    suite, _ = planned(tmp_path)
    with pytest.raises(InputError, match="holds a suite with data = print, this one has other"):
        open_plan(suite, "other", tmp_path)
    (tmp_path / "two.yaml").write_text("# changed\n")
    with pytest.raises(InputError, match="two.yaml or its base.yaml has changed"):
        open_plan(suite, "print", tmp_path)


def test_the_base_counts_as_a_part_of_a_config(tmp_path):
    suite, _ = planned(tmp_path)
    (tmp_path / "base.yaml").write_text("a: 1\n")
    with pytest.raises(InputError, match="one.yaml or its base.yaml has changed"):
        open_plan(suite, "print", tmp_path)


def test_a_damaged_plan(tmp_path):
    suite, _ = planned(tmp_path)
    (tmp_path / "plan.json").write_text('{"common": {}, "entries": {"one": {"stesp": 1}}}')
    with pytest.raises(InputError, match="is no plan of a suite"):
        open_plan(suite, "print", tmp_path)


def test_unequal_models_are_named():
    assert odd_parameters({"a": 100, "b": 104, "c": 96}) == []
    (warning,) = odd_parameters({"a": 1000, "b": 1010, "c": 1100})
    assert warning.startswith("c has 1,100 parameters, +9% of the median 1,010")
    assert odd_parameters({}) == []


def test_nothing_planned():
    assert Plan({}).entries == {}
