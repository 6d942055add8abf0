"""From a checkpoint and sequences to contact files, pictures and, where the truth is known, scores.

Chains are predicted one by one at full length, so the numbers of a chain do not depend on what else
was asked for. One chain that fails (too long for the memory, say) does not end the job.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from protcontact.atomic import replacing, write_text
from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.figures.contact_map import draw_contact_map
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.precision import ChainScores, score_batch
from protcontact.models.contract import ContactModel, DistanceHead
from protcontact.report.targets import Target, Unreadable
from protcontact.structure.alphabet import encode
from protcontact.structure.contacts import CUTOFF, contact_map
from protcontact.structure.export import write_chimerax, write_npz, write_pymol
from protcontact.structure.rr import casp_bins, write_rr


class Distances(NamedTuple):
    """How far apart the residues of a chain are, as a head that draws distances says.

    Attributes:
        probabilities: ``(L, L, N)`` float32, symmetric; of the bins, each sum is 1.
        edges: Between the bins, N - 1 of them, Angstrom; the first and the last bin are open.
    """

    probabilities: np.ndarray
    edges: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one input; a line of ``report.tsv``.

    Attributes:
        name: Stem of the files, or the input's name.
        source: Where it came from.
        length: Residues; 0 if nothing could be read.
        problem: Why there is no prediction; empty if there is one.
        scores: Scores against the structure, if there was one.
        null: Those of the separation alone, where the model knows how often which is in contact.
    """

    name: str
    source: str
    length: int = 0
    problem: str = ""
    scores: ChainScores | None = None
    null: ChainScores | None = None


def as_batch(target: Target, templates: AlignedTemplates | None = None) -> ContactBatch:
    """One full chain as a batch of one, with the templates of this one."""
    chain = target.chain
    L = len(chain)
    return ContactBatch(
        torch.from_numpy(encode(chain.sequence).astype(np.int64))[None],
        torch.ones(1, L, dtype=torch.bool),
        torch.from_numpy(chain.coordinates)[None],
        torch.arange(L)[None],
        torch.tensor([L]),
        (target.name,),
        templates,
    )


@torch.no_grad()
def predict(
    model: ContactModel, batch: ContactBatch, device: str = "cpu"
) -> tuple[torch.Tensor, Distances | None]:
    """Predict a batch of one.

    Returns:
        Contact logits ``(L, L)`` float32, on the host; distances, if the head draws them.
    """
    head = model.head
    if not isinstance(head, DistanceHead):
        return model(batch.to(device))[0].float().cpu(), None
    distogram = model(batch.to(device), draw=True).maps
    bins = distogram[0].float().softmax(dim=-1).cpu().numpy()
    return head.contact_logits(distogram)[0].float().cpu(), Distances(bins, head.edges)


def probabilities_of(logits: torch.Tensor, temperature: float | None) -> np.ndarray:
    """Probabilities of contact, in float64, which keeps the order of the logits.

    Args:
        logits: Of any shape.
        temperature: Of the model; None takes them as they are.
    """
    return (logits.double() / (temperature or 1.0)).sigmoid().numpy()


def rescaled(distances: Distances, probabilities: np.ndarray) -> Distances:
    """Bins that add up to other probabilities of contact, in the same proportions on each side.

    Args:
        distances: Of the head, with an edge at the cutoff of a contact.
        probabilities: ``(L, L)``, calibrated.
    """
    bins = distances.probabilities.astype(np.float64)
    near = distances.edges.index(CUTOFF) + 1
    for part, wanted in ((bins[..., :near], probabilities), (bins[..., near:], 1 - probabilities)):
        total = part.sum(axis=-1, keepdims=True)
        even = np.full_like(part, 1 / part.shape[-1])
        shares = np.divide(part, total, out=even, where=total > 0)
        part[...] = shares * wanted[..., None]
    return Distances(bins.astype(np.float32), distances.edges)


def calibration_note(temperature: float | None) -> str:
    """Say whether probabilities are calibrated, in a line of a file."""
    if temperature is None:
        return "probabilities are not calibrated"
    return f"probabilities are calibrated on validation chains, temperature {temperature:.4g}"


def predict_all(
    model: ContactModel,
    targets: Sequence[Target],
    out: Path,
    device: str = "cpu",
    advance: Callable[[int, str], None] = lambda items, note: None,
    templates: Callable[[Target], AlignedTemplates | None] = lambda target: None,
    prior: SeparationPrior | None = None,
) -> list[Outcome]:
    """Predict every target and write its files.

    Args:
        model: In evaluation mode, on `device`.
        targets: With unique names.
        out: Existing folder.
        device: Where the model is.
        advance: Told after each target.
        templates: Structures that resemble a target, for models that look at them.
        prior: Contact frequency by separation, whose scores stand beside those of the model.

    Returns:
        One outcome per target, in order.

    Raises:
        RuntimeError: If a model fails for another reason than a full memory.
    """
    outcomes = []
    for target in targets:
        batch = as_batch(target, templates(target))
        try:
            logits, distances = predict(model, batch, device)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            problem = f"{len(target.chain)} residues do not fit into the memory of {device}"
            outcomes.append(Outcome(target.name, target.source, len(target.chain), problem))
            advance(1, target.name)
            continue
        probabilities = probabilities_of(logits, model.temperature)
        if distances is not None and model.temperature is not None:
            distances = rescaled(distances, probabilities)
        write_prediction(out, target, probabilities, distances, model.temperature)
        scores = score_batch(logits[None], batch)[0] if target.has_truth else None
        null = None
        if prior is not None and target.has_truth:
            null = score_batch(prior.scores(batch.index), batch)[0]
        outcome = Outcome(target.name, target.source, len(target.chain), scores=scores, null=null)
        outcomes.append(outcome)
        advance(1, target.name)
    return outcomes


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that the memory of a device is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)  # what the CPU allocator says


def write_prediction(
    out: Path,
    target: Target,
    probabilities: np.ndarray,
    distances: Distances | None = None,
    temperature: float | None = None,
) -> None:
    """Write RR, npz and PNG, and scripts for viewers where the input was a structure.

    Distances become a second RR file, in mode 2, if their bins add up to those of the format, and
    two more arrays of the npz: ``distance_probabilities`` (L, L, N) float16, whose rounding of
    0.05 % is far below what a head knows, for it is the largest array by far; and
    ``distance_edges`` (N - 1). There is no mean distance, for the last bin has no middle.

    Args:
        out: Existing folder.
        target: What was predicted.
        probabilities: ``(L, L)`` symmetric, in ``[0, 1]``.
        distances: Of a head that draws them.
        temperature: That the probabilities are calibrated with, which RR files and the npz
            (``temperature``, NaN if None) say.
    """
    chain = target.chain
    note = calibration_note(temperature)
    labels = contact_map(chain) if target.has_truth else None

    def write(suffix: str, writer: Callable[..., object], *args: object, **options: object) -> None:
        with replacing(out / f"{target.name}{suffix}") as temporary:
            writer(temporary, *args, **options)

    write(".rr", write_rr, chain.sequence, probabilities, target=target.name, remark=note)
    known = math.nan if temperature is None else temperature
    arrays: dict[str, np.ndarray] = {"temperature": np.array(known)}
    if distances is not None:
        bins = casp_bins(*distances)
        if bins is not None:
            named = {"target": target.name, "bins": bins, "remark": note}
            write(".distances.rr", write_rr, chain.sequence, probabilities, **named)
        arrays["distance_probabilities"] = distances.probabilities.astype(np.float16)
        arrays["distance_edges"] = np.array(distances.edges)
    write(".npz", write_npz, chain, probabilities, **arrays)
    figure = draw_contact_map(probabilities, labels, target.name)
    write(".png", figure.savefig, format="png")
    if target.has_truth:
        write(".pml", write_pymol, chain, probabilities, top=len(chain))
        write(".cxc", write_chimerax, chain, probabilities, top=len(chain))


def write_report(path: Path, outcomes: Sequence[Outcome], failed: Sequence[Unreadable]) -> None:
    """Write one line per input: what it was, what became of it, its scores.

    Args:
        path: The TSV file.
        outcomes: Of `predict_all`.
        failed: Inputs that gave no sequence.
    """
    rows = [*outcomes, *(Outcome(bad.name, bad.source, 0, bad.reason) for bad in failed)]
    scored = [row.scores.columns() for row in rows if row.scores is not None]
    columns = list(scored[0]) if scored else []
    lines = ["\t".join(["name", "source", "length", "problem", *columns])]
    for row in rows:
        values = row.scores.columns() if row.scores else {}
        cells = [row.name, row.source, str(row.length), row.problem]
        cells += [f"{values[name]:.4g}" if name in values else "" for name in columns]
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    write_text(path, "\n".join(lines) + "\n")
