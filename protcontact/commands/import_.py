"""Import a protein language model: ESM-2, ESM-1b or ESM-1v -> one file that describes itself.

SOURCE is a .pt file of fair-esm or a folder of Hugging Face's EsmForMaskedLM (config.json and
safetensors, one or in shards). What it is is read from its contents, never from its name. The
contact regression of fair-esm is a file of its own, NAME-contact-regression.pt, and is taken from
beside SOURCE if it is there. Pickles may hold tensors and options; what asks for more is refused.

FILE is a safetensors file that `contacts`, `fit-regression` and `fit` read, and in Python
`protcontact.load_pretrained(FILE)`.

Examples:
  protcontact import esm2_t30_150M_UR50D.pt --out esm2_150m.safetensors
  protcontact import models/esm2_t33_650M_UR50D --out esm2_650m.safetensors
  protcontact import esm1b.pt --regression esm1b-contact-regression.pt --out esm1b.safetensors
"""

import argparse
from pathlib import Path

from protcontact.models.pretrained.file import write_pretrained
from protcontact.models.pretrained.loading import read_foreign


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help=".pt file of fair-esm, or a folder")
    add("--out", required=True, type=Path, metavar="FILE", help="the file to write (.safetensors)")
    add(
        "--regression",
        type=Path,
        metavar="FILE",
        help="fair-esm's contact regression (default: SOURCE's -contact-regression.pt, if any)",
    )


def run(args: argparse.Namespace) -> int:
    """Import, and print what it was.

    Returns:
        0. An `InputError` says what is wrong with a source that cannot be used.
    """
    content = read_foreign(args.source, args.regression)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_pretrained(args.out, content)
    size = content.architecture
    count = sum(tensor.numel() for tensor in content.tensors.values())
    places = f"{size['positions']} learned" if size["positions"] else "rotary"
    print(
        f"{args.out}: {size['layers']} layers of {size['heads']} heads, {size['channels']} "
        f"channels, {places} positions, {count:,} weights (were {content.source['stored_as']})"
    )
    print(
        "with its contact regression"
        if size["regression"]
        else "without a contact regression: protcontact fit-regression fits one"
    )
    return 0
