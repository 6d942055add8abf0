r"""Fit the contact regression of a protein language model on a few chains of known structure.

FILE is a pretrained model, written by protcontact import; FILE2 is the same model with a new
contact regression, for protcontact contacts. The recipe is that of Rao et al. 2020: 20 training
chains, all pairs 6 or more residues apart, one number for each attention head (its map,
symmetrised and corrected for the average product), logistic regression with an L1 penalty
(C = 0.15, liblinear). Pairs whose truth is unknown, because a residue is not resolved, are left
out, which the original did not do.

It prints which heads see contacts, and scores on the fitted chains and on chains of the val split,
next to a null model that knows nothing but the separation of two residues in the fitted chains.
FILE2 records the chains, the seed and the versions.

Needs scikit-learn. The memory grows with pairs x layers x heads; it is printed at the
start, and what would not fit into it is refused.

Examples:
  protcontact fit-regression --checkpoint esm2.safetensors --data data --out fitted.safetensors
  protcontact fit-regression --checkpoint esm2.safetensors --data data --chains 10 --seed 1 \
      --max-length 400 --out fitted.safetensors
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from protcontact import __version__
from protcontact.batch import ContactBatch
from protcontact.commands.tables import print_scores
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.progress import progress
from protcontact.data.splitfile import read_splits
from protcontact.errors import InputError
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.running import ContactScores
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.file import read_pretrained, write_pretrained
from protcontact.training.attention_features import collect_features
from protcontact.training.host_memory import available_bytes
from protcontact.training.regression_chains import Drawn, Wanted, draw_chains, named_chains
from protcontact.training.regression_fit import (
    FittedRegression,
    fit_regression,
    needed_bytes,
    refuse_too_large,
    scikit_learn_version,
)

RECIPE = "Rao et al. 2020, unknown pairs left out"
HEAVIEST = 10  # heads in the table
HELD_OUT = "val"  # a split that no fit may have seen; test is for the end
REPLACED = "regression_sha256"  # of the file of a regression that was imported
SEEDS = 2**32  # what scikit-learn takes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add(
        "--checkpoint",
        required=True,
        type=Path,
        metavar="FILE",
        help="written by protcontact import",
    )
    add("--data", required=True, type=Path, metavar="DIR", help="prepared and split data set")
    add("--out", required=True, type=Path, metavar="FILE2", help="the model with the regression")
    add(
        "--split",
        default="train",
        help="split from which the chains are drawn (default: %(default)s)",
    )
    add("--chains", type=int, default=20, metavar="N", help="how many (default: %(default)s)")
    add("--ids", nargs="+", metavar="ID", help="these chains instead of drawn ones")
    add(
        "--min-separation",
        type=int,
        default=6,
        metavar="S",
        help="smallest |i - j| of the pairs (default: %(default)s)",
    )
    add("--C", type=float, default=0.15, help="inverse of the L1 penalty (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the draw and the fit (default: %(default)s)")
    add("--max-length", type=int, metavar="N", help="leave longer chains out (default: none)")


def run(args: argparse.Namespace) -> int:
    """Fit, write the file, and print what was found.

    Returns:
        0, or 1 if the fit did not come to its end.
    """
    _refuse_nonsense(args)
    encoder = _encoder(args.checkpoint)
    data = ContactDataModule(str(args.data))
    data.setup("fit")
    wanted = Wanted(_longest(encoder, args.max_length), args.min_separation)
    fitted = _chains(data, args, wanted)
    heads, columns = encoder.heads, len(encoder.layers) * encoder.heads
    refuse_too_large(fitted.pairs, columns, available_bytes())
    needed = needed_bytes(sum(fitted.pairs), columns)
    print(f"{sum(fitted.pairs)} pairs x {columns} attention maps, {needed / 1e9:.2g} GB")
    with progress("reading attention", len(fitted.batches)) as advance:
        features, contact = collect_features(
            encoder, fitted.batches, args.min_separation, columns, advance
        )
    print("fitting", file=sys.stderr)
    regression = fit_regression(features, contact, heads, args.C, args.seed)
    pairs, contacts = len(contact), int(contact.sum())
    del encoder, features, contact
    facts = _facts(args, data, fitted, regression, pairs, contacts)
    _write(args.checkpoint, args.out, regression, facts)
    print(f"{pairs} pairs, {contacts} in contact ({contacts / pairs:.2%})")
    _print_regression(regression)
    _print_scores(args, data, fitted, wanted)
    print(f"regression written with the model to {args.out}")
    return 0 if regression.converged else 1


def _refuse_nonsense(args: argparse.Namespace) -> None:
    """Check what would else be found out after the work.

    Raises:
        InputError: If a number is out of range, or the file cannot be written there.
    """
    smallest = {"--chains": args.chains, "--min-separation": args.min_separation}
    if args.max_length is not None:
        smallest["--max-length"] = args.max_length
    for name, value in smallest.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if not 0 < args.C < float("inf"):
        raise InputError(f"--C must be a positive number, not {args.C}; the recipe has 0.15")
    if not 0 <= args.seed < SEEDS:
        raise InputError(f"--seed must lie in [0, {SEEDS}), not {args.seed}")
    if args.out.is_dir():
        raise InputError(f"--out {args.out} is a folder; name a file")
    args.out.parent.mkdir(parents=True, exist_ok=True)


def _encoder(path: Path) -> ESM2:
    return ESM2(checkpoint=str(path)).float().eval()  # float32 also of half-precision files


def _longest(encoder: ESM2, asked: int | None) -> int | None:
    limits = [limit for limit in (encoder.longest, asked) if limit is not None]
    return min(limits, default=None)


def _chains(data: ContactDataModule, args: argparse.Namespace, wanted: Wanted) -> Drawn:
    """The chains to fit on; one line says what became of each.

    Raises:
        InputError: If none can be used.
    """
    if args.ids:
        drawn = named_chains(data, args.split, args.ids, wanted)
    else:
        drawn = draw_chains(data, args.split, args.chains, args.seed, wanted)
    print(f"fitting on {drawn.account(wanted)}")
    if not drawn.batches:
        raise InputError(
            f"none of the chains can be used: {drawn.account(wanted)}; raise --max-length, or "
            "give another --split or --ids"
        )
    return drawn


def _facts(
    args: argparse.Namespace,
    data: ContactDataModule,
    fitted: Drawn,
    regression: FittedRegression,
    pairs: int,
    contacts: int,
) -> dict[str, Any]:
    """How the regression came about, for the file."""
    return {
        "recipe": RECIPE,
        "chains": fitted.ids,
        "split": args.split,
        "data": data.fingerprint,
        "seed": args.seed,
        "C": args.C,
        "min_separation": args.min_separation,
        "max_length": args.max_length,
        "pairs": pairs,
        "contacts": contacts,
        "nonzero": regression.used,
        "converged": regression.converged,
        "iterations": regression.iterations,
        "scikit-learn": scikit_learn_version(),
        "protcontact": __version__,
    }


def _write(checkpoint: Path, out: Path, regression: FittedRegression, facts: object) -> None:
    held = read_pretrained(checkpoint)
    weight = torch.from_numpy(regression.weights).float().view(1, -1)
    tensors = {
        **held.tensors,
        "contact_head.regression.weight": weight,
        "contact_head.regression.bias": torch.tensor([regression.bias]),
    }
    source = {name: fact for name, fact in held.source.items() if name != REPLACED}
    content = replace(
        held,
        architecture={**held.architecture, "regression": True},
        tensors=tensors,
        source={**source, "regression": facts},
    )
    write_pretrained(out, content)


def _print_regression(regression: FittedRegression) -> None:
    total = regression.weights.size
    print(f"{regression.used} of {total} heads have a weight ({regression.used / total:.0%})")
    if not regression.converged:
        print(
            f"warning: liblinear did not converge in {regression.iterations} steps, so the weights "
            "are not final; a smaller --C converges sooner",
            file=sys.stderr,
        )
    heaviest = regression.heaviest(HEAVIEST)
    if not heaviest:
        print("no attention head tells contacts from other pairs: all logits are the bias")
        return
    print("the heaviest, counted from 0:\n layer  head       weight")
    for layer, head, weight in heaviest:
        print(f"{layer:>6}{head:>6}{weight:>13.4g}")


def _print_scores(
    args: argparse.Namespace, data: ContactDataModule, fitted: Drawn, wanted: Wanted
) -> None:
    """Scores of the file that was written, read again, on chains it was and was not fitted on."""
    encoder = _encoder(args.out)
    prior = SeparationPrior.fit(fitted.batches)
    print_scores(_scores(encoder, prior, fitted.batches, "fitted"), "on the fitted chains")
    held_out = HELD_OUT in read_splits(args.data).values() and args.split != HELD_OUT
    if not held_out:
        print(f"no held-out chains: none of the {HELD_OUT} split that the fit did not see")
        return
    drawn = draw_chains(data, HELD_OUT, args.chains, args.seed, wanted)
    print(f"held out: {drawn.account(wanted)}")
    if drawn.batches:
        print_scores(_scores(encoder, prior, drawn.batches, "held-out"), "on held-out chains")


def _scores(
    encoder: ESM2, prior: SeparationPrior, batches: list[ContactBatch], which: str
) -> dict[str, dict[str, float]]:
    model, null = ContactScores(), ContactScores()
    with progress(f"scoring {which} chains", len(batches)) as advance:
        for batch in batches:
            model.update(encoder.contact_logits(batch.tokens, batch.mask, batch.index), batch)
            null.update(prior.scores(batch.index), batch)
            advance(1, batch.ids[0])
    return {"regression": model.summary(), "separation": null.summary()}
