"""What does a page show of a run? Maps, precision by separation, calibration.

They need the checkpoint and the data. Chains are chosen evenly along the ranking by long-range P@L,
so the worst and the best are among them, and curves are those of these chains: the page says so.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.progress import Advance
from protcontact.errors import InputError
from protcontact.metrics.calibration import Bin, Reliability
from protcontact.metrics.precision import ChainScores, score_chain
from protcontact.metrics.ranges import RANGES, SeparationRange
from protcontact.metrics.separation_bins import doubling_bins
from protcontact.models.contract import ContactModel
from protcontact.report.page_maps import ShownMap
from protcontact.report.prediction import probabilities_of
from protcontact.report.runs import Run
from protcontact.report.suite_tables import FIRST
from protcontact.training.checkpoint import KEY, load_model, prior_of, read_checkpoint
from protcontact.training.copied_chains import CopiedChains
from protcontact.training.fingerprint import scored_on
from protcontact.training.random_twin import random_twin

NULL = "null: "  # begins the name of what has learnt nothing
SEPARATION, COPY, RANDOM = (f"{NULL}{name}" for name in ("separation", "copy", "random"))


@dataclass(frozen=True, eq=False)
class RunPage:
    """A run on a page.

    Attributes:
        run: Its settings, curves and scores.
        split: Whose chains are shown.
        maps: Of some chains, from the worst to the best; empty where there is no checkpoint.
        separation: P@L in bins of separation, name -> ``[(first separation, P@L)]``: the model and
            the nulls on the same chains.
        calibration: Range -> reliability curve, with the temperature of the checkpoint.
        temperature: Of the checkpoint.
        distances: "step N" -> log10 of the encoder's gradient by distance; of the first and the
            last step at which it was measured.
        missing: Why there are no maps; empty if there are.
    """

    run: Run
    split: str
    maps: Sequence[ShownMap] = ()
    separation: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    calibration: dict[str, list[Bin]] = field(default_factory=dict)
    temperature: float | None = None
    distances: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    missing: str = ""


def checkpoint_of(run: Run) -> Path:
    """Where the best weights of a run are, if it has any here."""
    return Path(run.source) / "checkpoints" / "best.ckpt"


def distance_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read what `GradientFlow` wrote of the gradient by distance; nothing where it did not.

    Args:
        folder: Of the run.

    Raises:
        InputError: If the file is damaged.
    """
    file = folder / "gradient_flow" / "curves.csv"
    curves: dict[int, list[tuple[int, float]]] = {}
    if not file.is_file():
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if row["name"] == "dist/curve":
                    point = int(row["place"]), float(row["value"])
                    curves.setdefault(int(row["step"]), []).append(point)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{file} is damaged ({error}); remove it to do without") from error
    return {
        f"step {step}": curves[step] for step in sorted({*sorted(curves)[:1], *sorted(curves)[-1:]})
    }


def ranked_evenly(run: Run, split: str, known: Sequence[str], count: int) -> list[str]:
    """Names of chains, evenly along the ranking by long-range P@L, the worst first.

    Args:
        run: With scores of the split; by which chains are ranked for all runs of a page.
        split: Of the data.
        known: Chains that can be shown.
        count: How many; fewer if there are not as many.
    """
    scores = {name: row[FIRST] for name, row in run.scored[split].chains.items()}
    usable = [name for name in known if not np.isnan(scores.get(name, np.nan))]
    ranked = sorted(usable, key=lambda name: (scores[name], name))
    if len(ranked) <= count:
        return ranked
    places = np.linspace(0, len(ranked) - 1, count).round().astype(int)
    return [ranked[place] for place in places]


def show_run(
    run: Run,
    ranked_by: Run,
    split: str,
    data: ContactDataModule,
    count: int,
    longest: int,
    advance: Advance,
    allow: Sequence[str] = (),
    force: bool = False,
) -> RunPage:
    """Predict the chains that a page shows.

    Args:
        run: Of a folder with ``checkpoints/best.ckpt``.
        ranked_by: The run by whose scores chains are chosen, the same for all of a page.
        split: ``val`` or ``test``.
        data: Set up.
        count: Number of chains.
        longest: Residues of the longest chain that is shown.
        advance: Told after each chain.
        allow: Packages besides ``protcontact`` whose classes a checkpoint may name.
        force: Whether to show chains that were scored with other labels.

    Returns:
        What to show; no maps if the data are not those of the scores. A checkpoint that
        `load_model` refuses, and data without any chain of the run, are an `InputError`.
    """
    mark = run.scored[split].fingerprint
    if not force and mark != scored_on(data, split):
        missing = f"{data.path} is not what it was scored on; restore it, or give --force"
        return RunPage(run, split, missing=missing)
    checkpoint = checkpoint_of(run)
    rows = _chosen(ranked_by, split, data, count, longest)
    model = load_model(checkpoint, allow)
    nulls = _nulls(checkpoint, model, data)
    bins = doubling_bins(max(int(data.store.lengths[row]) for row in rows.values()))
    held = Reliability()
    found: dict[str, list[ChainScores]] = {"model": [], **{who: [] for who in nulls}}
    maps = []
    for name, row in rows.items():
        batch = data.whole_chain(row)
        with torch.no_grad():
            logits = model(batch)[0].float()
            ranked = {"model": logits, **{who: null(batch)[0] for who, null in nulls.items()}}
        held.update(logits[None], batch)
        contact, known = batch.contact()[0], batch.known()[0]
        for who, scores in ranked.items():
            ranges = score_chain(scores, contact, known, chain=name, ranges=(*RANGES, *bins))
            found[who].append(ChainScores(name, len(logits), ranges))
        own = found["model"][-1].columns()
        shown = {f"{span.name} P@L": own[f"{span.name}/P@L"] for span in RANGES}
        probabilities = probabilities_of(logits, model.temperature)
        maps.append(ShownMap(data.store[row], probabilities, shown))
        advance(1, name)
    curves = {who: _by_separation(scored, bins) for who, scored in found.items()}
    temperature = model.temperature or 1.0
    calibration = {span.name: held.counts(span.name).scaled(temperature).curve() for span in RANGES}
    distances = distance_curves(Path(run.source))
    return RunPage(run, split, maps, curves, calibration, model.temperature, distances)


def _chosen(
    ranked_by: Run, split: str, data: ContactDataModule, count: int, longest: int
) -> dict[str, int]:
    """Name -> row of the chains to show, the worst first.

    Raises:
        InputError: If there is none.
    """
    rows = {
        str(data.store.ids[row]): row
        for row in data.rows(split)
        if data.store.lengths[row] <= longest
    }
    names = ranked_evenly(ranked_by, split, list(rows), count)
    if not names:
        raise InputError(
            f"no chain that {ranked_by.source} was scored on is in the {split} split of "
            f"{data.path}; give the data set of the training with --data"
        )
    return {name: rows[name] for name in names}


def _nulls(
    checkpoint: Path, model: ContactModel, data: ContactDataModule
) -> dict[str, Callable[[ContactBatch], Tensor]]:
    """Name what has learnt nothing: the prior, a copy if there are templates, a random twin."""
    prior = prior_of(read_checkpoint(checkpoint)[KEY])
    nulls: dict[str, Callable[[ContactBatch], Tensor]] = {}
    if prior is not None:
        nulls[SEPARATION] = lambda batch: prior.scores(batch.index)
    if prior is not None and data.templates is not None:
        copied = CopiedChains(data.store, data.templates)
        nulls[COPY] = lambda batch: copied.scores(batch, prior)
    nulls[RANDOM] = random_twin(model, seed=0)
    return nulls


def _by_separation(
    scored: Sequence[ChainScores], bins: Sequence[SeparationRange]
) -> list[tuple[int, float]]:
    curve = []
    for span in bins:
        values = [row.ranges[span.name].precision_l for row in scored]
        defined = [value for value in values if not np.isnan(value)]
        if defined:
            curve.append((span.low, float(np.mean(defined))))
    return curve
