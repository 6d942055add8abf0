"""Predict contacts of many sequences with an imported protein language model.

FASTA records may hold several chains, SEQ1:SEQ2. They are read as one sequence, with a linker of
glycines between them that is cut from the map (--linker, the default: 25 suits every model), or
with a jump of the residue index (--gap, for models with rotary positions: ESM-2). For each input
DIR gets NAME.rr (CASP format; of several chains NAME.intra.rr and NAME.inter.rr, residues counted
through the chains), NAME.npz (probabilities, sequence, numbering, chain_of: number of each
residue's chain) and NAME.png (up to 4,000 residues). Scripts for PyMOL and ChimeraX need a
structure, so NAME.pml, NAME.cxc and scores are for what is given by --input; a FASTA file has none.
With --complex all chains of a structure are one input, and pairs within and between chains are
scored apart (no scripts for viewers).

Probabilities are the model's own; no temperature was fitted, and the RR files say so.

Sequences longer than the model's positions (ESM-1b, ESM-1v: 1,022) or than the memory are read in
windows (--tile, --overlap). Shared pairs are averaged, pairs in no common window are left out (NaN
in the npz), and report.tsv tells how far the windows are apart where they share pairs. It has a
line for every input, with the reason where there is no prediction.

The same command continues where it was interrupted; what is there and was made of the same
sequence, checkpoint and options is not done again.

Examples:
  protcontact contacts --checkpoint esm2.safetensors --fasta proteins.fasta --out contacts
  protcontact contacts --checkpoint esm2.safetensors --fasta pairs.fasta --gap 200 --out contacts
  protcontact contacts --checkpoint esm2.safetensors --input structures/ --out contacts
  protcontact contacts --checkpoint esm2.safetensors --input dimer.cif --complex --out contacts
"""

import argparse
import tempfile
from pathlib import Path

import torch

from protcontact.commands.device import usable_device
from protcontact.data.manifest import file_sha256
from protcontact.data.progress import progress
from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.complexes import LINKER
from protcontact.models.pretrained.contact_memory import GIGA
from protcontact.report.contact_inputs import read_wanted
from protcontact.report.contact_report import Row, write_contact_report
from protcontact.report.contacts import PAIRS, Options, check_options, predict_contacts

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="FILE", help="from protcontact import")
    add("--fasta", nargs="+", default=[], metavar="F", help="FASTA files, also gzipped")
    add("--input", nargs="+", default=[], metavar="INPUT", help="structures, folders, archives")
    add("--out", required=True, type=Path, metavar="DIR", help="folder for what is predicted")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the products; weights, softmax and sums stay float32 (default: %(default)s)",
    )
    add(
        "--pairs",
        type=_from_1,
        default=PAIRS,
        metavar="N",
        help="most residue pairs in a batch, padding included; longer inputs are alone "
        "(default: %(default)s)",
    )
    add("--tile", type=_from_1, metavar="W", help="read longer inputs in windows of W residues")
    add(
        "--overlap",
        type=_from_0,
        metavar="O",
        help="residues that neighbouring windows share, or more (default: W // 2)",
    )
    _configure_rest(parser)


def _configure_rest(parser: argparse.ArgumentParser) -> None:
    between = parser.add_mutually_exclusive_group()
    between.add_argument(
        "--linker",
        type=_from_0,
        metavar="N",
        help=f"glycines between the chains of SEQ1:SEQ2 (default: {LINKER})",
    )
    between.add_argument(
        "--gap", type=_from_1, metavar="N", help="jump of the residue index instead of a linker"
    )
    add = parser.add_argument
    add(
        "--memory",
        type=_gigabytes,
        metavar="GB",
        help="what may be used beside the weights (default: what is free)",
    )
    add(
        "--allow-ca-only",
        action="store_true",
        help="score chains that have only CA atoms by CA distances (default: leave them out)",
    )
    add("--complex", action="store_true", help="all chains of a structure are one input")
    add("--overwrite", action="store_true", help="do again what is there")


def run(args: argparse.Namespace) -> int:
    """Predict, and print what became of the inputs.

    Returns:
        0, or 1 if any input has no prediction.

    Raises:
        InputError: If the checkpoint, the device, the options or all inputs are unusable.
    """
    if not args.fasta and not args.input:
        raise InputError("there is nothing to predict; give --fasta or --input")
    device = usable_device(args.device)
    model = ESM2(checkpoint=str(args.checkpoint)).to(device).eval()
    options = _options(args)
    check_options(model, options)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="protcontact-") as spool:
        wanted, failed = read_wanted(
            args.fasta, args.input, Path(spool), args.allow_ca_only, args.complex
        )
    if not wanted:
        reason = f"{failed[0].source}: {failed[0].reason}" if failed else "no files"
        raise InputError(f"no input has a protein sequence to predict; the first: {reason}")
    mark = file_sha256(args.checkpoint)
    with progress("predicting", len(wanted)) as advance:
        rows = predict_contacts(model, wanted, args.out, mark, options, advance)
    write_contact_report(args.out / "report.tsv", rows, failed)
    return _tell(rows, len(failed), args.out)


def _options(args: argparse.Namespace) -> Options:
    linker = args.linker
    if linker is None:
        linker = 0 if args.gap else LINKER
    return Options(
        DTYPES[args.dtype],
        args.tile,
        args.overlap,
        linker,
        args.gap or 0,
        args.pairs,
        args.memory,
        args.overwrite,
    )


def _tell(rows: list[Row], failed: int, out: Path) -> int:
    missing = sum(bool(row.problem) for row in rows) + failed
    there = sum(row.was_there for row in rows)
    again = f", {there} of them were there" if there else ""
    print(f"{len(rows) + failed - missing} maps predicted{again}, files in {out}")
    tiled = [row.numbers for row in rows if row.numbers and row.numbers.tiles > 1]
    apart = [numbers.seam_largest for numbers in tiled if numbers.seam_largest is not None]
    if tiled:
        largest = f"; windows are apart by up to {max(apart):.3g}" if apart else ""
        print(f"{len(tiled)} of them in windows, far pairs left out{largest}")
    if missing:
        print(f"{missing} without prediction, see {out / 'report.tsv'}")
    return 1 if missing else 0


def _from_0(text: str) -> int:
    return _whole(text, 0)


def _from_1(text: str) -> int:
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _gigabytes(text: str) -> int:
    try:
        size = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of gigabytes") from error
    if not 0 < size < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of gigabytes")
    return int(size * GIGA)
