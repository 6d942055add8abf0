"""Is the Jacobian of a contact model a contact map, as that of a protein language model is?

On real chains, beside the model's own logits and beside a ranking that knows nothing but the
separation: how many of the best L pairs at long range are contacts? Two Jacobians are infinitesimal
and one is categorical; what each entry is says `protcontact.gradflow.jacobian`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.figures.panels import Picture
from protcontact.gradflow.couplings import ConditionalMean, random_precision
from protcontact.gradflow.experiment import Check, Reading, Result, relative_error
from protcontact.gradflow.inputs import input_of
from protcontact.gradflow.jacobian import (
    LETTERS,
    Outputs,
    as_contacts,
    categorical_map,
    encoder_outputs,
    jacobian_blocks,
    jacobian_map,
    logit_outputs,
    pull_back,
)
from protcontact.gradflow.trained import one_by_one, refuse_broken
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.precision import score_batch
from protcontact.metrics.ranges import LONG
from protcontact.models.contract import ContactModel

LOGITS, NULL = "logits", "separation null"
ROW, ENCODER = "|d logit_i / d x_j|", "|d y_i / d x_j|"
CATEGORICAL = "categorical, y_i"
MAPS = (ROW, ENCODER, CATEGORICAL)
SCORES = {"long/P@L": "precision_l", "long/P@L/5": "precision_l5"}
PIECE = 64  # residues on which the Jacobian is checked
DIRECTIONS = 8  # in which it is checked
STEP = 1e-7  # of the way to another letter: few ReLUs of a head are switched by it


def nearest_first(index: Tensor) -> Tensor:
    """``(..., L) -> (..., L, L)``: the ranking of who knows no frequencies: near pairs first."""
    return -(index[..., :, None] - index[..., None, :]).abs().double()


def measure_jacobian_map(
    model: ContactModel,
    chains: Iterable[ContactBatch],
    null: Callable[[Tensor], Tensor] = nearest_first,
    probes: int = 2,
    seed: int = 0,
    advance: Callable[[int, str], None] = lambda items, note: None,
) -> Result:
    """Score the Jacobians of a model as contact maps.

    Args:
        model: A trained model, on the CPU; left as it was.
        chains: Whole chains, some with a contact at long range. A chain takes seconds, and rising
            with the cube of its length.
        null: Scores from places, such as `SeparationPrior.scores` of the training chains.
        probes: Backward passes for each residue and map.
        seed: Of the random signs.
        advance: Told after each chain: 1 and its id.

    Returns:
        For each map ``long/P@L`` and ``long/P@L/5`` by number of the chain, means, the rank
        correlation of the infinitesimal with the categorical map, and pictures of one chain.

    Raises:
        InputError: If a weight is not finite, there is no chain, no chain has a contact at long
            range, or `probes` is below 1.
    """
    if probes < 1:
        raise InputError(f"probes must be at least 1, not {probes}")
    refuse_broken(model)
    batches = one_by_one(chains)
    scorable = [batch for batch in batches if _has_far_contact(batch)]
    if not scorable:
        raise InputError(
            f"none of the {len(batches)} chains has a contact at a separation of {LONG.low} or "
            "more, so there is nothing to score; give others"
        )
    skipped = len(batches) - len(scorable)
    advance(skipped, "")
    generator = torch.Generator().manual_seed(seed)
    readings: list[Reading] = []
    best = -1.0
    for number, batch in enumerate(scorable):
        maps = _maps(model, batch, probes, generator)
        maps[NULL] = null(batch.index)[0]
        found = _score(maps, batch, number)
        readings += found
        own = next(r.value for r in found if r.probe == "long/P@L" and r.where == LOGITS)
        if own > best:  # where there is most to see
            best, pictures = own, _pictures(maps, batch)
        advance(1, batch.ids[0])
    readings.append(Reading("chains_without_far_contact", "", 0, skipped))
    readings += _means(readings)
    checks = [*coupling_checks(seed), small_step_check(model, batches[0])]
    return Result(readings, checks, pictures, _conclusion(readings, len(scorable)))


def _has_far_contact(batch: ContactBatch) -> bool:
    return bool((batch.contact() & LONG.contains(batch.separation())).any())


def _maps(
    model: ContactModel, batch: ContactBatch, probes: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Contact maps ``(L, L)`` by name."""
    tokens, index = batch.tokens[0], batch.index[0]
    encoder, logits = encoder_outputs(model.encoder, index), logit_outputs(model, index)
    with untouched(model), torch.no_grad():
        own = logits.read(tokens[None])[0].detach()
    return {
        LOGITS: own,
        ROW: as_contacts(jacobian_map(logits, tokens, probes, generator)),
        ENCODER: as_contacts(jacobian_map(encoder, tokens, probes, generator)),
        CATEGORICAL: as_contacts(categorical_map(encoder, tokens)),
    }


def _score(maps: dict[str, Tensor], batch: ContactBatch, number: int) -> list[Reading]:
    found = [Reading("length", batch.ids[0], number, batch.tokens.shape[1])]
    for name, values in maps.items():
        score = score_batch(values[None], batch)[0].ranges[LONG.name]
        found += [Reading(what, name, number, getattr(score, key)) for what, key in SCORES.items()]
    far = LONG.contains(batch.separation()[0]).triu()
    for name in (ENCODER, ROW):
        alike = rank_correlation(maps[name][far], maps[CATEGORICAL][far])
        found.append(Reading("rank_correlation", f"{name} and {CATEGORICAL}", number, alike))
    return found


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's, of two vectors of one length without ties; NaN below two elements."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1]) if ranks.shape[1] > 1 else math.nan


def _means(readings: Sequence[Reading]) -> list[Reading]:
    """Over chains: ``mean long/P@L``, ..."""
    values: dict[tuple[str, str], list[float]] = {}
    for r in readings:
        if r.probe in SCORES or r.probe == "rank_correlation":
            values.setdefault((r.probe, r.where), []).append(r.value)
    return [
        Reading(f"mean {probe}", where, 0, float(np.nanmean(found)))
        for (probe, where), found in values.items()
    ]


def coupling_checks(seed: int) -> list[Check]:
    """Both Jacobians of a Gaussian graphical model against its couplings."""
    generator = torch.Generator().manual_seed(seed)
    L, C = 20, 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConditionalMean(random_precision(L, C, 0.1, generator))
    tokens = torch.randint(0, len(LETTERS), (L,), generator=generator)
    outputs = encoder_outputs(model, torch.arange(L))
    true = model.couplings()
    moves = model.embedding.weight.detach()[: len(LETTERS)]
    steps = moves[None] - moves[tokens][:, None]  # (L, 20, C)
    changes = torch.einsum("icjd,jbd->ijbc", true, steps)
    finite = (changes.square().sum(dim=(2, 3)) / len(LETTERS)).sqrt()
    return [
        Check(
            "a Gaussian graphical model: d y_i / d x_j = -P_ii^-1 P_ij, its couplings",
            relative_error(jacobian_blocks(outputs, tokens), true),
            1e-12,
        ),
        Check(
            "the same: categorical Jacobian = rms_b |P_ii^-1 P_ij (x_b - x_j)|",
            relative_error(categorical_map(outputs, tokens), finite),
            1e-12,
        ),
    ]


def small_step_check(model: ContactModel, batch: ContactBatch) -> Check:
    """This model in float64, on the beginning of a chain: a small part of a substitution.

    Another letter in the middle, but only `STEP` of the way to it, and back: the change of the
    outputs, seen along random directions r, is ``r . J (x_b - x_j)``.
    """
    model = copy.deepcopy(model).double()
    tokens, index = batch.tokens[0, :PIECE], batch.index[0, :PIECE]
    outputs = logit_outputs(model, index)
    middle = len(tokens) // 2
    mutant = tokens.clone()
    mutant[middle] = (mutant[middle] + 1) % len(LETTERS)
    way = _vectors(outputs, mutant) - _vectors(outputs, tokens)
    ahead, back = (_moved(outputs, tokens, sign * STEP * way) for sign in (1, -1))
    change = (ahead - back) / (2 * STEP)
    generator = torch.Generator().manual_seed(0)
    r = torch.randn(DIRECTIONS, *change.shape, generator=generator, dtype=change.dtype)
    found = (r * change).sum(dim=(1, 2))
    true = (pull_back(outputs, tokens, r) * way).sum(dim=(1, 2))
    error = float((found - true).norm() / true.norm())
    return Check("this model: a small part of a substitution = J (x_b - x_j)", error, 1e-4)


@torch.no_grad()
def _vectors(outputs: Outputs, tokens: Tensor) -> Tensor:
    with untouched(outputs.model), input_of(outputs.encoder, (1, len(tokens))) as found:
        outputs.read(tokens[None])
    return found[1]


def _moved(outputs: Outputs, tokens: Tensor, shift: Tensor) -> Tensor:
    with untouched(outputs.model), input_of(outputs.encoder, (1, len(tokens)), shift):
        return outputs.read(tokens[None])[0].detach()


def _pictures(maps: dict[str, Tensor], batch: ContactBatch) -> list[Picture]:
    """Each map above the diagonal, the true contacts below it."""
    separation, contact = batch.separation()[0], batch.contact()[0]
    known, L = batch.known()[0], batch.tokens.shape[1]
    found = []
    for name in (LOGITS, *MAPS):
        values = maps[name].double()
        scored = values[LONG.contains(separation).triu()]
        shown = (values - scored.median()) / scored.std()
        low, high = -1.0, 4.0  # of a contact that stands out
        truth = torch.where(contact, high, low).masked_fill(~known, math.nan)
        shown = torch.where(torch.ones(L, L).triu(1) > 0, shown.clamp(low, high), truth)
        shown = shown.masked_fill(separation < 6, math.nan)
        label = "standard deviations at long range"
        title = f"{batch.ids[0]}: {name}"
        found.append(Picture(shown.numpy(), "residue (below: true)", "residue", title, label))
    return found


def _conclusion(readings: Sequence[Reading], chains: int) -> str:
    mean = {(r.probe, r.where): r.value for r in readings if r.probe.startswith("mean")}
    own, null = (mean["mean long/P@L", name] for name in (LOGITS, NULL))
    scores = ", ".join(f"{mean['mean long/P@L', name]:.3f} by {name}" for name in MAPS)
    alike = mean["mean rank_correlation", f"{ENCODER} and {CATEGORICAL}"]
    return (
        f"Read as contact maps, the Jacobians of this model have a long-range P@L of {scores}, "
        f"where its own logits have {own:.3f} and the separation null {null:.3f} (mean over "
        f"{chains} chains). The infinitesimal and the categorical Jacobian of its encoder rank the "
        f"long-range pairs with a correlation of {alike:.2f}, so each is told for itself."
    )
