"""Which of several runs is better?"""

import math

import numpy as np
import pytest

from protcontact.errors import InputError
from protcontact.metrics.bootstrap import Interval, paired_difference
from protcontact.metrics.seed_spread import widened
from protcontact.report.compare import ABSENT, BETTER, SAME, WORSE, compare, judged
from protcontact.report.runs import make_run
from protcontact.report.suite_tables import COLUMNS
from tests.report.stored_runs import settings, tables

NOISE = np.random.default_rng(0).normal(0, 0.01, 200)
HARD = np.random.default_rng(1).uniform(0, 0.5, 200)  # how hard a chain is, for any model


def made(name, scores, seed=0, channels=16, finished=True, split="val", **options):
    history = {"train/loss": [(9, 0.5)]} | ({"cost/steps": [(20, 20.0)]} if finished else {})
    files = tables(list(map(float, scores)), split=split, **options)
    return make_run(name, f"runs/{name}/{seed}", settings(seed, channels), history, files)


def trio():
    """A reference, one that is better by 0.01 on every chain, less noise, and one that is not."""
    return [
        made("plain", HARD),
        made("good", HARD + 0.01 + NOISE, channels=32),
        made("like", HARD + NOISE - NOISE.mean(), channels=64),
    ]


def test_verdicts():
    found = compare(trio())
    assert [model.name for model in found.models][0] == "good" and found.reference.name == "plain"
    words = {model.name: found.verdict(model) for model in found.models}
    assert words["plain"] is None
    assert words["good"].word == BETTER and words["like"].word == SAME
    assert words["good"].difference.mean == pytest.approx(0.01 + NOISE.mean())
    other = compare(trio(), reference="good")
    assert {m.name: v.word for m in other.models if (v := other.verdict(m))} == {
        "plain": WORSE,
        "like": WORSE,
    }


def test_intervals_hold_together():
    found = compare(trio())
    good = next(model for model in found.models if model.name == "good")
    assert found.level == pytest.approx(0.975)  # two comparisons
    slow = paired_difference(
        good.chains("val", "long/P@L"), found.reference.chains("val", "long/P@L"), 0.975
    )
    assert found.verdict(good).difference == slow
    assert compare(trio()[:2]).level == 0.95


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.1, 0.2, BETTER), (-0.2, -0.1, WORSE), (-0.1, 0.1, SAME), (0.0, 0.1, SAME)],
)
def test_what_an_interval_says(low, high, word):
    assert judged(Interval(0.0, low, high, 9)).word == word


def test_one_chain_says_nothing():
    found = compare([made("a", [0.1]), made("b", [0.9], channels=8)])
    assert found.verdict(found.models[0]).word == SAME


def test_seeds_of_one_model_are_joined_and_can_be_kept_apart():
    runs = [made("a", HARD, seed=0), made("a", HARD + 0.02, seed=1), made("b", HARD, channels=8)]
    found = compare(runs)
    assert [(m.name, len(m.runs)) for m in found.models] == [("a", 2), ("b", 1)]
    mean, spread = found.models[0].score("val", "long/P@L")
    assert mean == pytest.approx(HARD.mean() + 0.01)
    assert spread == pytest.approx(0.02 / math.sqrt(2))
    apart = compare(runs, each=True)
    assert sorted(m.name for m in apart.models) == ["a seed 0", "a seed 1", "b"]
    same = compare([runs[0], made("a", HARD, seed=0)], each=True)
    assert [m.name for m in same.models] == ["a #1", "a #2"]


def test_one_config_trained_on_other_data_is_another_model():
    """What the data do would pass for what seeds do."""
    about = settings(1, data_fingerprint="e" * 64)
    other = make_run("a", "runs/a/1", about, {}, tables(list(map(float, HARD / 2))))
    found = compare([made("a", HARD), other])
    assert [len(model.runs) for model in found.models] == [1, 1]
    assert any("trained on other data" in note for note in found.notes)
    unsaid = {name: value for name, value in about.items() if name != "data_fingerprint"}
    of_old = make_run("a", "runs/a/1", unsaid, {}, tables(list(map(float, HARD / 2))))
    found = compare([made("a", HARD), of_old])
    assert [len(model.runs) for model in found.models] == [2]
    assert not any("other data" in note for note in found.notes)


def test_two_seeds_of_one_model_are_not_distinguishable_however_many_chains():
    runs = [made("a", HARD, seed=0), made("a", HARD + 0.005, seed=1)]
    other = [made("b", HARD, channels=8), made("c", HARD + 0.005, channels=9)]
    found = compare(runs, each=True)
    (verdict,) = [found.verdict(m) for m in found.models if m is not found.reference]
    assert verdict.word == SAME and found.spread.deviation == pytest.approx(0.005 / math.sqrt(2))
    # of two models that were trained once, the trainings are told apart
    alone = compare(other, reference="b")
    assert [v.word for m in alone.models if (v := alone.verdict(m))] == [BETTER]
    assert alone.spread is None


def test_what_seeds_do_is_learnt_from_all_models():
    seeds = [made("a", HARD + 0.001 * seed, seed=seed) for seed in range(3)]
    found = compare([*seeds, made("b", HARD + 0.1, channels=8)])
    assert found.spread.freedom == 2
    (verdict,) = [found.verdict(m) for m in found.models if m is not found.reference]
    chains = paired_difference(
        found.models[0].chains("val", "long/P@L"), found.reference.chains("val", "long/P@L")
    )
    assert verdict.word == BETTER and verdict.difference == widened(
        chains, found.spread, 1, 3, 0.95
    )


@pytest.mark.parametrize("each", [True, False])
def test_trainings_with_one_seed_count_as_one(each):
    """Repeats of a training are no seeds: taken for some they would make the spread vanish."""
    once = [made("a", HARD), made("a", HARD + 0.003, seed=1)]
    twice = [*once, *[made("a", HARD)] * 3]
    found, more = compare(once, each=each), compare(twice, each=each)
    assert more.spread == found.spread and found.notes == ()
    (note,) = more.notes
    assert "same seed" in note
    assert compare([made("a", HARD)] * 2).spread is None
    (model,) = compare(twice).models
    assert model.score("val", "long/P@L")[1] == pytest.approx(0.003 / math.sqrt(2))
    assert model.by_seed("val", "long/P@L") == pytest.approx([HARD.mean(), HARD.mean() + 0.003])
    other = made("b", HARD + 0.1, channels=8)
    wide, same = (compare([*runs, other]) for runs in (once, twice))
    for one, two in zip(wide.models, same.models, strict=True):
        if one is not wide.reference:
            width = [
                v.difference.high - v.difference.low for v in (wide.verdict(one), same.verdict(two))
            ]
            assert width[0] == pytest.approx(width[1], rel=0.05)


def test_a_start_that_only_scored_is_not_unfinished():
    scored = make_run(
        "a", "a", settings(verbose=True), {"test/long/P@L": [(20, 0.1)]}, tables([0.5])
    )
    assert not scored.trained and compare([scored]).notes == ()
    trained = made("a", [0.5])
    assert trained.trained and compare([scored, trained]).differences() == {}
    (note,) = compare([made("a", HARD, finished=False, split="test")]).notes
    assert "not come to its end" in note and "best validation" not in note


def test_each_model_has_a_random_twin_of_its_own():
    def twin(name, value, channels):
        scored = tables([0.5] * 3)
        table = scored["val_chains.tsv"].splitlines()
        table[0] += "\t" + "\t".join(f"random:{column}" for column in COLUMNS)
        table[1:] = [f"{line}\t" + "\t".join([str(value)] * len(COLUMNS)) for line in table[1:]]
        scored["val_chains.tsv"] = "\n".join(table) + "\n"
        return make_run(name, name, settings(channels=channels), {}, scored)

    runs = [twin("a", 0.01, 8), twin("b", 0.02, 16)]
    for order in (runs, runs[::-1]):
        nulls = compare(order).nulls
        assert {name: rows["c0"]["long/P@L"] for name, rows in nulls.items()} == {
            "separation": 0.05,
            "random a": 0.01,
            "random b": 0.02,
        }
    assert list(compare(runs[:1]).nulls) == ["separation", "random"]


def test_only_what_differs_is_told():
    runs = [made("a", HARD), made("b", HARD, channels=8)]
    found = compare(runs)
    assert found.differences() == {"model.encoder.init_args.channels": [16, 8]}
    more = make_run("c", "c", settings(extra=1), {}, tables([0.5] * 200))
    assert compare([runs[0], more]).differences() == {"extra": [ABSENT, 1]} or compare(
        [runs[0], more]
    ).differences() == {"extra": [1, ABSENT]}


def test_nulls_cost_and_reach_stand_beside():
    history = {"cost/steps": [(20, 20.0)], "gradflow/encoder/dist/reach_1e-3": [(5, 9.0), (9, 7.0)]}
    run = make_run("a", "a", settings(), history, tables([0.5]))
    found = compare([run])
    assert found.nulls["separation"]["c0"]["long/P@L"] == 0.05
    assert found.models[0].reach() == 7.0 and found.models[0].logged("cost/steps") == 20.0
    assert math.isnan(compare([made("b", HARD)]).models[0].reach())


def test_the_test_split_comes_first_where_all_have_it():
    def both(name, **options):
        files = tables([0.5]) | tables([0.25], split="test")
        return make_run(name, name, settings(**options), {}, files)

    assert compare([both("a"), both("b", channels=8)]).split == "test"
    assert compare([both("a"), made("b", [0.1], channels=8)]).split == "val"
    assert compare([both("a")], split="val").split == "val"


def test_runs_without_scores_are_named():
    bare = make_run("bare", "runs/bare", settings(), {}, {})
    with pytest.raises(InputError, match="runs/bare has no scores.*protcontact test"):
        compare([made("a", HARD), bare])
    with pytest.raises(InputError, match="runs/a/0 has no scores.*test split"):
        compare([made("a", HARD)], split="test")
    with pytest.raises(InputError, match="different splits.*val.*test"):
        compare([made("a", HARD), made("b", HARD, split="test")])


def test_an_unfinished_run_is_told():
    (note,) = compare([made("a", HARD, finished=False)]).notes
    assert "runs/a/0" in note and "not come to its end" in note


@pytest.mark.parametrize(
    "other",
    [
        made("b", HARD, channels=8, fingerprint="e" * 64),
        made("b", HARD, channels=8, fingerprint=None),
        made("b", HARD[:-1], channels=8),
    ],
)
def test_other_data_are_refused_unless_forced(other):
    runs = [made("a", HARD), other]
    with pytest.raises(InputError, match="different data.*--force"):
        compare(runs)
    found = compare(runs, force=True)
    assert any(note.startswith("FORCED") for note in found.notes)
    common = len(other.scored["val"].chains)
    assert all(len(model.runs[0].scored["val"].chains) == common for model in found.models)


def test_nothing_in_common_cannot_be_forced():
    other = made("b", [0.5], channels=8, fingerprint="e" * 64)
    scored = other.scored["val"]
    renamed = {"x": scored.chains.pop("c0")}
    scored.chains.update(renamed)
    with pytest.raises(InputError, match="no chain in common"):
        compare([made("a", HARD), other], force=True)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="no score 'long/P@7'.*long/P@L/5"):
        compare(trio(), column="long/P@7")
    with pytest.raises(InputError, match="--reference none.*plain"):
        compare(trio(), reference="none")
