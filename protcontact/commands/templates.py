"""Find the training chains that resemble each chain of a data set, with alignments.

What MMseqs2 finds in the train split says how much of a score anybody could have copied: where
DIR has templates, `protcontact test`, `validate`, `fit` and `experiment` show the null `copy`, the
contacts of the nearest training chain, beside the model. Chains of the train split get templates
too, without those of their own homology cluster or above the threshold of the split, so that a
model can be trained on templates like those it will meet. Writes templates.parquet into DIR;
`protcontact split` removes it.

Examples:
  protcontact templates data
  protcontact templates data --evalue 0.001 --per-chain 5 --threads 8
"""

import argparse
from pathlib import Path

from protcontact.commands.split import add_threads
from protcontact.data.homology import MMseqs
from protcontact.data.splits import TEMPLATES
from protcontact.data.template_search import TemplateOptions, write_templates


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add, default = parser.add_argument, TemplateOptions()
    add("folder", type=Path, metavar="DIR", help="data set divided by `protcontact split`")
    add(
        "--evalue",
        type=float,
        default=default.evalue,
        metavar="E",
        help="largest E-value of a template (default: %(default)g)",
    )
    add(
        "--per-chain",
        type=int,
        default=default.per_chain,
        metavar="N",
        help="largest number of templates of a chain, the nearest ones (default: %(default)s)",
    )
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Search, write and count."""
    options = TemplateOptions(args.evalue, args.per_chain)
    print(write_templates(args.folder, options, MMseqs(args.threads)))
    print(f"templates in {args.folder / TEMPLATES}")
    return 0
