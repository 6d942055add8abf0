"""Which chains a page shows, and what of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from protcontact.data.datamodule import ContactDataModule
from protcontact.errors import InputError
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.precision import score_chain
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.report.page_runs import (
    COPY,
    RANDOM,
    SEPARATION,
    checkpoint_of,
    distance_curves,
    ranked_evenly,
    show_run,
)
from protcontact.report.run_folder import read_run_folder
from protcontact.training.checkpoint import KEY, load_model, read_checkpoint
from protcontact.training.copied_chains import CopiedChains
from protcontact.training.random_twin import random_twin
from tests.report.test_compare import made
from tests.training.test_copied_chains import template


def test_chains_are_taken_evenly_from_the_worst_to_the_best():
    run = made("a", [0.5, 0.1, 0.3, float("nan"), 0.2, 0.4])
    known = [f"c{n}" for n in range(6)]
    assert ranked_evenly(run, "val", known, 9) == ["c1", "c4", "c2", "c5", "c0"]
    assert ranked_evenly(run, "val", known, 3) == ["c1", "c2", "c0"]
    assert ranked_evenly(run, "val", ["c0", "x"], 3) == ["c0"]


def test_the_gradient_by_distance_of_the_first_and_the_last_step(tmp_path):
    assert distance_curves(tmp_path) == {}
    file = tmp_path / "gradient_flow" / "curves.csv"
    file.parent.mkdir()
    rows = [
        f"{step},{name},{k},{-k - step}"
        for step in (0, 50, 100)
        for k in (0, 1)
        for name in ("dist/curve", "time/x")
    ]
    file.write_text("\n".join(["step,name,place,value", *rows]))
    assert distance_curves(tmp_path) == {
        "step 0": [(0, 0.0), (1, -1.0)],
        "step 100": [(0, -100.0), (1, -101.0)],
    }
    file.write_text("step,name,place,value\n0,dist/curve,zero,1\n")
    with pytest.raises(InputError, match="curves.csv is damaged"):
        distance_curves(tmp_path)


def opened(path):
    data = ContactDataModule(str(path))
    data.setup("test")
    return data


def test_a_run_is_predicted_again(trained_run):
    folder, path = trained_run
    run, told = read_run_folder(folder), []
    shown = show_run(run, run, "val", opened(path), 3, 500, lambda n, note: told.append(note))
    names = [one.chain.id for one in shown.maps]
    scores = [run.scored["val"].chains[name]["long/P@L"] for name in names]
    assert told == names and len(names) == 3 and scores == sorted(scores)
    model = load_model(folder / "checkpoints" / "best.ckpt")
    assert shown.temperature == model.temperature
    for one, score in zip(shown.maps, scores, strict=True):
        # scored again, on the same weights
        assert one.scores["long P@L"] == pytest.approx(score, abs=1e-9)
        assert np.array_equal(one.probabilities, one.probabilities.T)
    assert set(shown.separation) == {"model", SEPARATION, RANDOM} and shown.calibration["long"]


def test_curves_of_the_nulls(trained_run):
    folder, path = trained_run
    run, data = read_run_folder(folder), opened(path)
    data.templates = {row: [template(2, 4, 9, 60)] for row in data.rows("val")}
    shown = show_run(run, run, "val", data, 5, 500, lambda n, note: None)
    file = folder / "checkpoints" / "best.ckpt"
    prior = SeparationPrior.from_state_dict(read_checkpoint(file)[KEY]["prior"])
    copied = CopiedChains(data.store, data.templates)
    expected = {
        "model": load_model(file),
        SEPARATION: lambda batch: prior.scores(batch.index),
        COPY: lambda batch: copied.scores(batch, prior),
        RANDOM: random_twin(load_model(file), seed=0),
    }
    bins = doubling_bins(max(len(one.chain) for one in shown.maps))
    for name, scorer in expected.items():
        rows = []
        for row in data.rows("val"):
            batch = data.whole_chain(row)
            with torch.no_grad():
                scores = scorer(batch)[0].float()
            truth, known = batch.contact()[0], batch.known()[0]
            rows.append(score_chain(scores, truth, known, chain=batch.ids[0], ranges=bins))
        slow = {}
        for span in bins:
            values = [row[span.name].precision_l for row in rows]
            if not np.isnan(values).all():
                slow[span.low] = np.nanmean(values)
        assert dict(shown.separation[name]) == pytest.approx(slow), name
    curves = [tuple(points) for points in shown.separation.values()]
    assert len(set(curves)) == 4


def test_long_chains_are_left_out(trained_run):
    folder, path = trained_run
    run = read_run_folder(folder)
    shown = show_run(run, run, "val", opened(path), 9, 108, lambda n, note: None)
    assert 0 < len(shown.maps) < 5 and max(len(one.chain) for one in shown.maps) <= 108


def test_chains_are_those_of_the_run_that_ranks(trained_run):
    folder, path = trained_run
    run, first = read_run_folder(folder), read_run_folder(folder)
    chosen = sorted(first.scored["val"].chains)[:2]
    for name in list(first.scored["val"].chains):
        if name not in chosen:
            del first.scored["val"].chains[name]
    shown = show_run(run, first, "val", opened(path), 9, 500, lambda n, note: None)
    assert {one.chain.id for one in shown.maps} == set(chosen)


def test_other_labels_are_shown_only_if_forced(trained_run):
    """Names of chains are not enough: their labels may be others by now."""
    folder, path = trained_run
    run = read_run_folder(folder)
    other = replace(run.scored["val"], fingerprint="e" * 64)
    run = replace(run, scored={**run.scored, "val": other})
    shown = show_run(run, run, "val", opened(path), 3, 500, lambda n, note: None)
    assert shown.maps == () and "not what it was scored on" in shown.missing
    options = (3, 500, lambda n, note: None, ())
    assert len(show_run(run, run, "val", opened(path), *options, force=True).maps) == 3


def test_without_a_checkpoint():
    run = made("a", [0.5])
    assert not checkpoint_of(run).is_file()
    assert checkpoint_of(run).parts[-2:] == ("checkpoints", "best.ckpt")


def test_other_data_are_refused(trained_run):
    folder, path = trained_run
    run = read_run_folder(folder)
    for name in list(run.scored["val"].chains):
        run.scored["val"].chains[f"other {name}"] = run.scored["val"].chains.pop(name)
    with pytest.raises(InputError, match="no chain that .* --data"):
        show_run(run, run, "val", opened(path), 3, 500, lambda n, note: None)
