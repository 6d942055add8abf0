"""Write an imported model back as fair-esm has it.

OUT is a .pt file that esm.pretrained.load_model_and_alphabet_local reads, under torch >= 2.6 inside
torch.serialization.safe_globals([argparse.Namespace]); the contact regression goes beside it, into
NAME-contact-regression.pt. fair-esm tells its models by the names of files: that of an ESM-2 has to
begin with esm2, and those of ESM-1b and ESM-1v must not.

Examples:
  protcontact export esm2.safetensors --out esm2_fitted.pt
  protcontact export esm2.safetensors --head-only --out esm2_fitted-contact-regression.pt
"""

import argparse
from pathlib import Path

from protcontact.models.pretrained.fair_esm import write_fair_esm, write_head
from protcontact.models.pretrained.file import read_pretrained


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="FILE", help="written by import or fit-regression")
    add("--out", required=True, type=Path, metavar="OUT", help="the .pt file to write")
    add("--head-only", action="store_true", help="write the contact regression alone")


def run(args: argparse.Namespace) -> int:
    """Export, and print the names of the files.

    Returns:
        0. An `InputError` says why a file cannot be written so that fair-esm reads it.
    """
    content = read_pretrained(args.checkpoint)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    whole = not args.head_only
    for file in write_fair_esm(args.out, content) if whole else [write_head(args.out, content)]:
        print(file)
    return 0
