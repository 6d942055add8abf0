"""From a checkpoint and sequences to contact files, pictures and, where the truth is known, scores.

Chains are predicted one by one at full length, so the numbers of a chain do not depend on what else
was asked for. One chain that fails (too long for the memory, say) does not end the job.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protcontact.atomic import replacing, write_text
from protcontact.batch import AlignedTemplates, ContactBatch
from protcontact.figures.contact_map import draw_contact_map
from protcontact.metrics.precision import ChainScores, score_batch
from protcontact.models.contract import ContactModel
from protcontact.report.targets import Target, Unreadable
from protcontact.structure.alphabet import encode
from protcontact.structure.contacts import contact_map
from protcontact.structure.export import write_chimerax, write_npz, write_pymol
from protcontact.structure.rr import write_rr


@dataclass(frozen=True)
class Outcome:
    """What became of one input; a line of ``report.tsv``.

    Attributes:
        name: Stem of the files, or the input's name.
        source: Where it came from.
        length: Residues; 0 if nothing could be read.
        problem: Why there is no prediction; empty if there is one.
        scores: Scores against the structure, if there was one.
    """

    name: str
    source: str
    length: int = 0
    problem: str = ""
    scores: ChainScores | None = None


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
def predict(model: ContactModel, batch: ContactBatch, device: str = "cpu") -> torch.Tensor:
    """Contact logits ``(L, L)`` float32 of a batch of one, on the host."""
    return model(batch.to(device))[0].float().cpu()


def predict_all(
    model: ContactModel,
    targets: Sequence[Target],
    out: Path,
    device: str = "cpu",
    advance: Callable[[int, str], None] = lambda items, note: None,
    templates: Callable[[Target], AlignedTemplates | None] = lambda target: None,
) -> list[Outcome]:
    """Predict every target and write its files.

    Args:
        model: In evaluation mode, on `device`.
        targets: With unique names.
        out: Existing folder.
        device: Where the model is.
        advance: Told after each target.
        templates: Structures that resemble a target, for models that look at them.

    Returns:
        One outcome per target, in order.

    Raises:
        RuntimeError: If a model fails for another reason than a full memory.
    """
    outcomes = []
    for target in targets:
        batch = as_batch(target, templates(target))
        try:
            logits = predict(model, batch, device)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            problem = f"{len(target.chain)} residues do not fit into the memory of {device}"
            outcomes.append(Outcome(target.name, target.source, len(target.chain), problem))
            advance(1, target.name)
            continue
        write_prediction(out, target, logits.sigmoid().numpy())
        scores = score_batch(logits[None], batch)[0] if target.has_truth else None
        outcomes.append(Outcome(target.name, target.source, len(target.chain), scores=scores))
        advance(1, target.name)
    return outcomes


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that the memory of a device is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)  # what the CPU allocator says


def write_prediction(out: Path, target: Target, probabilities: np.ndarray) -> None:
    """Write RR, npz and PNG, and scripts for viewers where the input was a structure.

    Args:
        out: Existing folder.
        target: What was predicted.
        probabilities: ``(L, L)`` symmetric, in ``[0, 1]``.
    """
    chain = target.chain
    labels = contact_map(chain) if target.has_truth else None

    def write(suffix: str, writer: Callable[..., object], *args: object, **options: object) -> None:
        with replacing(out / f"{target.name}{suffix}") as temporary:
            writer(temporary, *args, **options)

    write(".rr", write_rr, chain.sequence, probabilities, target=target.name)
    write(".npz", write_npz, chain, probabilities)
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
