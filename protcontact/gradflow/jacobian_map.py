"""Is the Jacobian of a contact model a contact map, as that of a protein language model is?

On real chains, beside the model's own logits and beside a ranking that knows nothing but the
separation: how many of the best L pairs at long range are contacts? Two Jacobians are infinitesimal
and one is categorical; what each entry is says `protcontact.gradflow.jacobian`.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.figures.panels import Picture
from protcontact.gradflow.couplings import ConditionalMean, random_precision
from protcontact.gradflow.experiment import Check, Reading, Result, apart, largest
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
from protcontact.gradflow.trained import logits_of, one_by_one, refuse_broken
from protcontact.gradflow.untouched import untouched
from protcontact.metrics.precision import score_batch
from protcontact.metrics.ranges import LONG
from protcontact.models.contract import ContactModel

LOGITS, NULL = "logits", "separation null"
ROW, ENCODER = "|d logit_i / d x_j|", "|d y_i / d x_j|"
CATEGORICAL = "categorical, y_i"
MAPS = (ROW, ENCODER, CATEGORICAL)
SCORES = {"long/P@L": "precision_l", "long/P@L/5": "precision_l5"}
ALIKE, NOTHING = "rank_correlation", "all_0_at_long_range"
PIECE = 64  # residues on which the Jacobian is checked
DIRECTIONS = 8  # in which it is checked
SHORT_PIECE, PROBES = 10, 24  # of which maps are checked, as dense ones take long
SIGMAS = 6.0
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
        correlation of the infinitesimal with the categorical map, which maps are all 0 at long
        range, and pictures of one chain.

    Raises:
        InputError: If a weight or a logit is not a number, the encoder has no input vectors, there
            is no chain, no chain has a contact at long range, or `probes` is below 1.
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
        jacobians = _jacobians(model, batch, probes, generator)
        maps = {LOGITS: logits_of(model, batch), NULL: null(batch.index)[0]}
        maps |= {name: as_contacts(values) for name, values in jacobians.items()}
        found = _score(maps, batch, number) + _compare(jacobians, batch, number)
        readings += found
        own = next(r.value for r in found if r.probe == "long/P@L" and r.where == LOGITS)
        if own > best:  # where there is most to see
            best, pictures = own, _pictures(maps, batch)
        advance(1, batch.ids[0])
    readings.append(Reading("chains_without_far_contact", "", 0, skipped))
    readings += _means(readings)
    checks = [*coupling_checks(seed), *map_checks(model, batches[0])]
    checks.append(small_step_check(model, batches[0]))
    return Result(readings, checks, pictures, _conclusion(readings, len(scorable)))


def _has_far_contact(batch: ContactBatch) -> bool:
    return bool((batch.contact() & LONG.contains(batch.separation())).any())


def _jacobians(
    model: ContactModel, batch: ContactBatch, probes: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """``(L, L)`` by name, output i by residue j."""
    tokens, index = batch.tokens[0], batch.index[0]
    encoder, logits = encoder_outputs(model.encoder, index), logit_outputs(model, index)
    return {
        ROW: jacobian_map(logits, tokens, probes, generator),
        ENCODER: jacobian_map(encoder, tokens, probes, generator),
        CATEGORICAL: categorical_map(encoder, tokens),
    }


def _score(maps: dict[str, Tensor], batch: ContactBatch, number: int) -> list[Reading]:
    found = [Reading("length", batch.ids[0], number, batch.tokens.shape[1])]
    for name, values in maps.items():
        score = score_batch(values[None], batch)[0].ranges[LONG.name]
        found += [Reading(what, name, number, getattr(score, key)) for what, key in SCORES.items()]
    return found


def _compare(jacobians: dict[str, Tensor], batch: ContactBatch, number: int) -> list[Reading]:
    """Which of them are 0 at long range, and how alike the others are once made contact maps."""
    far = LONG.contains(batch.separation()[0])
    silent = {name: not bool(values[far].any()) for name, values in jacobians.items()}
    found = [Reading(NOTHING, name, number, float(is_silent)) for name, is_silent in silent.items()]
    for name in (ENCODER, ROW):
        a, b = (as_contacts(jacobians[n])[far.triu()] for n in (name, CATEGORICAL))
        nothing = silent[name] or silent[CATEGORICAL]  # the correction alone is left to compare
        alike = math.nan if nothing else rank_correlation(a, b)
        found.append(Reading(ALIKE, f"{name} and {CATEGORICAL}", number, alike))
    return found


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's, of two vectors of one length; NaN if one of them is the same everywhere."""
    ranks = torch.stack([_ranks(values) for values in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1]) if ranks.shape[1] > 1 else math.nan


def _ranks(values: Tensor) -> Tensor:
    """``(N,)`` float64: from 1 on, of equal values their mean."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(dim=0) - (counts.double() - 1) / 2)[place]


def _means(readings: Sequence[Reading]) -> list[Reading]:
    """Over the chains that have a number: ``mean long/P@L``, ..."""
    values: dict[tuple[str, str], list[float]] = {}
    for r in readings:
        if r.probe in (*SCORES, ALIKE, NOTHING):
            values.setdefault((r.probe, r.where), []).append(r.value)
    return [
        Reading(
            f"mean {probe}", where, 0, float(torch.tensor(found, dtype=torch.float64).nanmean())
        )
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
    true = _regression(model.precision)
    moves = model.embedding.weight.detach()[: len(LETTERS)]
    steps = moves[None] - moves[tokens][:, None]  # (L, 20, C)
    changes = torch.einsum("icjd,jbd->ijbc", true, steps)
    finite = (changes.square().sum(dim=(2, 3)) / len(LETTERS)).sqrt()
    return [
        Check(
            "a Gaussian graphical model: d y_i / d x_j = its regression on all other residues",
            apart(jacobian_blocks(outputs, tokens), true),
            1e-12,
        ),
        Check(
            "the same: categorical Jacobian = rms_b of that times (x_b - x_j)",
            apart(categorical_map(outputs, tokens), finite),
            1e-12,
        ),
    ]


def _regression(precision: Tensor) -> Tensor:
    """``(L, C, L, C)``: ``S_i,rest S_rest,rest^-1``, by covariances alone; 0 for i = j."""
    L, C = precision.shape[:2]
    covariance = torch.linalg.inv(precision.reshape(L * C, L * C))
    found = torch.zeros_like(covariance)
    for i in range(L):
        own = torch.arange(i * C, (i + 1) * C)
        rest = torch.tensor([k for k in range(L * C) if k // C != i])
        weights = torch.linalg.solve(
            covariance[rest[:, None], rest], covariance[rest[:, None], own]
        )
        found[own[:, None], rest] = weights.mT
    return found.view(L, C, L, C)


def map_checks(model: ContactModel, batch: ContactBatch) -> list[Check]:
    """The maps of this model in float64, on the beginning of a chain, against dense Jacobians.

    Of one output at each residue a map is exact, whatever the signs. Of all it is an estimate, and
    its gap is told in standard errors, of which a map says how large they are at most.
    """
    model = copy.deepcopy(model).double()
    tokens, index = batch.tokens[0, :SHORT_PIECE], batch.index[0, :SHORT_PIECE]
    exact, gaps = [], []
    for outputs in (encoder_outputs(model.encoder, index), logit_outputs(model, index)):
        first = dataclasses.replace(outputs, read=partial(_first_output, outputs.read))
        squares = jacobian_blocks(outputs, tokens).square().sum(dim=3)
        true = squares.sum(dim=1)
        generator = torch.Generator().manual_seed(0)
        one = jacobian_map(first, tokens, 1, generator)
        many = jacobian_map(outputs, tokens, PROBES, generator).square()
        exact.append(apart(one, squares[:, 0].sqrt()))
        size = math.sqrt(2 / PROBES) * true
        gaps.append(float(torch.where(many == true, 0.0, (many - true) / size).abs().max()))
    return [
        Check(
            "this model: its maps by signs, of one output = dense Jacobians", largest(exact), 1e-11
        ),
        Check("the same, of all outputs: gap in standard errors", largest(gaps), SIGMAS),
    ]


def _first_output(read: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
    return read(tokens)[..., :1]


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
    claim = "this model: a small part of a substitution = J (x_b - x_j)"
    return Check(claim, apart(found, true), 1e-6)


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
        spread = scored.std(correction=0)
        shown = (values - scored.median()) / torch.where(spread > 0, spread, 1.0)
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
    silent = {name: _values(readings, NOTHING, name).count(1.0) for name in MAPS}
    listed = ", ".join(f"{name} in {n}" for name, n in silent.items() if n)
    zeros = f"; all 0 at long range, so that its correction is scored: {listed}" if listed else ""
    alike = _values(readings, ALIKE, f"{ENCODER} and {CATEGORICAL}")
    known = len(alike) - sum(map(math.isnan, alike))
    number = mean[f"mean {ALIKE}", f"{ENCODER} and {CATEGORICAL}"]
    compared = f"a correlation of {number:.2f} (mean over chains: {known})"
    return (
        f"Read as contact maps, the Jacobians of this model have a long-range P@L of {scores}, "
        f"where its own logits have {own:.3f} and the separation null {null:.3f} (mean over "
        f"chains: {chains}{zeros}). The long-range pairs as the infinitesimal and as the "
        "categorical Jacobian of its encoder rank them have "
        f"{compared if known else 'no correlation, as none can be computed'}."
    )


def _values(readings: Sequence[Reading], probe: str, where: str) -> list[float]:
    return [r.value for r in readings if (r.probe, r.where) == (probe, where)]
