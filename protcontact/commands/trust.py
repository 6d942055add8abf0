"""How does a user say that classes of another package may be built from a checkpoint?"""

import argparse


def add_trust_package(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-package NAME ...``."""
    parser.add_argument(
        "--trust-package",
        nargs="*",
        default=[],
        metavar="NAME",
        help="packages besides protcontact whose classes a checkpoint may name",
    )
