"""Predict contacts with a trained checkpoint.

INPUT is any mixture of FASTA files, structure files (PDB, mmCIF, BinaryCIF, also gzipped), folders,
glob patterns and tar archives. For each chain DIR gets NAME.rr (CASP format), NAME.npz
(probabilities, sequence, numbering) and NAME.png; where the input is a structure also NAME.pml and
NAME.cxc, which show the predicted contacts in PyMOL and ChimeraX, and its scores. Probabilities are
calibrated by the temperature that the training fitted on its validation chains; the files say so.
report.tsv has a line for every input, with the reason where there is no prediction.

A model with a distogram head also writes its distances: NAME.npz gets the probabilities of its bins
(distance_probabilities, float16) and what is between them (distance_edges, Angstrom), and
NAME.distances.rr is an RR file in mode 2, with the ten bins of CASP14, if those of the model add up
to them.

A model that looks at templates needs the data set that it was trained on (--templates DATA): the
inputs are searched against its training chains with MMseqs2, as its own chains were, and each is
shown as many templates as a chain had in training. Without, it predicts from the sequence alone,
and says so.

Examples:
  protcontact predict --checkpoint best.ckpt --input proteins.fasta --out predicted
  protcontact predict --checkpoint best.ckpt --input 1abc.cif structures/ --out predicted
  protcontact predict --checkpoint best.ckpt --input proteins.fasta --out predicted --templates data
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from protcontact.batch import AlignedTemplates
from protcontact.commands.device import usable_device
from protcontact.commands.tables import print_scores
from protcontact.commands.trust import add_trust_package
from protcontact.data.datamodule import sequence_hashes, templates_shown
from protcontact.data.homology import MMseqs, Threshold
from protcontact.data.progress import progress
from protcontact.data.splitfile import read_splits
from protcontact.data.store import ChainStore
from protcontact.data.template_search import TemplateOptions, find_templates
from protcontact.data.templates import aligned_template, open_templates, padded_templates
from protcontact.errors import InputError
from protcontact.metrics.running import ContactScores
from protcontact.models.contract import ContactModel
from protcontact.report.prediction import (
    Outcome,
    calibration_note,
    predict_all,
    write_report,
)
from protcontact.report.targets import Target, read_targets
from protcontact.training.checkpoint import KEY, load_model, prior_of, read_checkpoint

# Templates of a chain for checkpoints that were written before they said how many they had.
UNSAID = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="FILE", help="written by protcontact fit")
    add("--input", required=True, nargs="+", metavar="INPUT", help="FASTA or structures")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for what is predicted")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    add("--templates", type=Path, metavar="DATA", help="data set of the training, for templates")
    add(
        "--per-chain",
        type=int,
        metavar="N",
        help="templates of a chain (default: as many as in training)",
    )
    add(
        "--allow-ca-only",
        action="store_true",
        help="score chains that have only CA atoms by CA distances (default: leave them out)",
    )
    add_trust_package(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, and print what became of the inputs.

    Returns:
        0, or 1 if any input has no prediction.

    Raises:
        InputError: If the checkpoint, the device or all inputs are unusable.
    """
    model = load_model(args.checkpoint, args.trust_package).to(usable_device(args.device))
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="protcontact-") as spool:
        targets, failed = read_targets(args.input, Path(spool), args.allow_ca_only)
    if not targets:
        reason = f"{failed[0].source}: {failed[0].reason}" if failed else "no files"
        raise InputError(f"no input has a protein sequence to predict; the first: {reason}")
    content = read_checkpoint(args.checkpoint)
    templates = _templates(model, content, args, targets)
    prior = prior_of(content[KEY])
    with progress("predicting", len(targets)) as advance:
        options = (args.device, advance, lambda target: templates[target.name], prior)
        outcomes = predict_all(model, targets, args.out, *options)
    write_report(args.out / "report.tsv", outcomes, failed)
    _print_scores(outcomes)
    missing = [row for row in outcomes if row.problem]
    print(f"{len(outcomes) - len(missing)} chains predicted, files in {args.out}")
    print(calibration_note(model.temperature))
    if missing or failed:
        print(f"{len(missing) + len(failed)} without prediction, see {args.out / 'report.tsv'}")
    return 1 if missing or failed else 0


def _templates(
    model: ContactModel,
    content: Mapping[str, Any],
    args: argparse.Namespace,
    targets: Sequence[Target],
) -> dict[str, AlignedTemplates | None]:
    """Search the training chains for what resembles the targets.

    Raises:
        InputError: If the model looks at no templates, or they cannot be searched.
    """
    looks = model.head.looks
    if args.templates is None:
        if args.per_chain is not None:
            raise InputError("--per-chain counts templates; give --templates DATA, too")
        if looks:
            print("the model looks at templates, and there are none without --templates DATA")
        return dict.fromkeys(target.name for target in targets)
    if not looks:
        raise InputError(
            f"the {type(model.head).__name__} of {args.checkpoint} looks at no templates; "
            "leave out --templates"
        )
    store = ChainStore(args.templates)
    per_chain = _shown_in_training(content) if args.per_chain is None else args.per_chain
    _note_other_chains(content, store)
    searched = open_templates(store)  # for the training; for the inputs in the same way
    facts = {} if searched is None else searched.facts
    same = {name: facts[name] for name in ("evalue", "exhaustive") if name in facts}
    options = TemplateOptions(**same, per_chain=per_chain)
    sequences = [target.chain.sequence for target in targets]
    found = find_templates(sequences, store, options, MMseqs())
    near = sum(any(map(Threshold().reached, own)) for own in found)
    if near:
        print(
            f"{near} of {len(found)} inputs have a homologue among the training chains (30 % "
            "identity or more): their scores say nothing of new proteins"
        )
    return {
        target.name: padded_templates(
            [[aligned_template(one, store, len(target.chain)) for one in own]],
            len(target.chain),
            per_chain,
        )
        for target, own in zip(targets, found, strict=True)
    }


def _shown_in_training(content: Mapping[str, Any]) -> int:
    """Templates that a chain had in training; `UNSAID` where the checkpoint does not say.

    Raises:
        InputError: If it had none: what would the model do with the first that it sees?
    """
    shown = templates_shown(content)
    if shown == 0:
        raise InputError(
            "the model looks at templates, and its training showed none; leave out --templates, "
            "or train it with --data.templates_per_chain 4"
        )
    if shown is not None:
        return shown
    print(
        f"the checkpoint does not say how many templates a chain had in training; {UNSAID} are "
        "shown, as in configs/best.yaml: if it was trained with more or fewer, give --per-chain N"
    )
    return UNSAID


def _note_other_chains(content: Mapping[str, Any], store: ChainStore) -> None:
    """Say that the chains whose contacts are shown are not those of the training."""
    trained_on = content[KEY].get("trained_on")
    splits = read_splits(store.path)
    named = zip(store.ids, store.column("sequence"), strict=True)
    own = sequence_hashes(sequence for name, sequence in named if splits.get(name) == "train")
    if trained_on is not None and not torch.equal(own, trained_on):
        known = int(torch.isin(own, trained_on).sum())
        print(
            f"{known} of the {len(own)} training sequences of {store.path} were in this model's "
            "training: its templates are not those that the model was trained with"
        )


def _print_scores(outcomes: list[Outcome]) -> None:
    found = {"model": ContactScores(), "separation": ContactScores()}
    for row in outcomes:
        for name, scores in (("model", row.scores), ("separation", row.null)):
            if scores is not None:
                found[name].add(scores)
    summaries = {name: scores.summary() for name, scores in found.items() if len(scores)}
    if summaries:
        print_scores(summaries, "against the structures")
