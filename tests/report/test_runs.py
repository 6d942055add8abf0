"""What a run is, wherever it was stored."""

import json
import math

import pytest

from protcontact.errors import InputError
from protcontact.report.runs import flat, make_run, read_scored
from tests.report.stored_runs import settings, tables


def made(files=(), history=(), **options):
    return make_run("a", "where", settings(**options), dict(history), dict(files))


def test_settings_are_flat_and_the_same_whatever_the_store_makes_of_numbers():
    nested = {"a": {"b": {"c": 1.0}, "d": (1, 2.0)}, "e": 0.5, "f": {}, "g": True}
    assert flat(nested) == {"a.b.c": 1, "a.d": [1, 2], "e": 0.5, "f": {}, "g": True}
    assert type(flat(nested)["a.b.c"]) is int


def test_what_does_not_make_a_model_is_left_out():
    one, other = made(seed=0), made(seed=3)
    assert one.config == other.config and (one.seed, other.seed) == (0, 3)
    assert "model.encoder.init_args.channels" in one.config
    assert not any("default_root_dir" in name or "callbacks" in name for name in one.config)
    assert "parameters" not in one.config and one.facts["parameters"] == 1234
    assert made(channels=8).config != one.config


@pytest.mark.parametrize("seed", [True, None, "0"])
def test_a_seed_is_a_number_or_unknown(seed):
    assert make_run("a", "b", settings() | {"seed_everything": seed}, {}, {}).seed is None


def test_scores_of_chains_and_nulls():
    run = made(tables([0.25, math.nan, 0.5], split="test"))
    scored = run.scored["test"]
    assert list(run.scored) == ["test"] and scored.fingerprint == "f" * 64 and scored.step == 20
    assert scored.chains["c0"]["long/P@L"] == 0.25 and math.isnan(scored.chains["c1"]["long/P@L"])
    assert scored.chains["c2"]["length"] == 50
    assert scored.nulls["separation"]["c2"]["long/P@L"] == 0.05
    assert "separation:long/P@L" not in scored.chains["c0"]


def test_half_of_the_files_are_no_scores():
    table, means = tables([0.5]).items()
    assert made([table]).scored == {} and made([means]).scored == {}


def test_the_end_is_known_by_what_it_cost():
    run = made(history={"cost/steps": [(20, 20.0)], "train/loss": [(1, 3.0), (2, 1.0)]}.items())
    assert run.finished and run.last("train/loss") == 1.0 and math.isnan(run.last("other"))
    assert not made().finished
    assert made(history={"loss": [(19, 1.0)]}).finished  # of 20 steps
    assert not made(history={"loss": [(18, 1.0)]}).finished


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table, means: (table, means[:-5]), "damaged"),
        (lambda table, means: (table.replace("0.5", "half"), means), "half"),
        (lambda table, means: (table.replace("c1", "c0"), means), "twice"),
        (lambda table, means: (table.split("\n")[0], means), "no chains"),
        (lambda table, means: (table.replace("id\t", "name\t"), means), "damaged"),
        (lambda table, means: (table[: len(table) - 40], means), "damaged"),
        (lambda table, means: (table, json.dumps([1])), "damaged"),
        (lambda table, means: (table, json.dumps({"about": [1]})), "damaged"),
        (lambda table, means: (table.replace("\tlong/P@L/5", "\tother"), means), "lacks .*P@L/5"),
    ],
)
def test_damaged_scores_are_refused(change, said):
    with pytest.raises(InputError, match=f"runs/a: val_chains.tsv.*{said}.*score"):
        read_scored(*change(*tables([0.5, 0.25]).values()), "runs/a: val_chains.tsv")
