"""``protcontact VERB ...``: finds the verb, imports only its module, and reports mistakes.

Each verb is a module of `protcontact.commands` with ``configure(parser)`` and ``run(args) -> int``;
``fit``, ``validate`` and ``test`` belong to the Lightning CLI and get their arguments untouched.
"""

import argparse
import importlib
import keyword
import os
import sys
import traceback
from collections.abc import Sequence

from protcontact import __version__
from protcontact.commands.lightning_help import page, with_all
from protcontact.errors import InputError

VERBS = {
    "synth": "write synthetic folds as mmCIF and PDB files, to try things without any data",
    "download": "fetch structures from the RCSB by id",
    "prepare": "structure files -> a data set of labelled chains (Parquet)",
    "split": "cluster by homology and divide a data set into train, val and test",
    "audit": "check that no test or validation chain has a homologue in training",
    "templates": "the training chains that resemble each chain, as a null that copies them",
    "predict": "contacts of sequences (FASTA) or structures with a trained checkpoint",
    "ensemble": "several trained checkpoints -> one that is the mean of their logits",
    "compare": "runs side by side: settings, scores, and whether a difference is real",
    "report": "one page about runs: maps, precision, calibration, gradient flow, settings",
    "score": "a prediction in a file (CASP RR, npz), anybody's, against a structure",
    "experiment": "compare architectures at equal size and compute, over several seeds",
    "import": "a protein language model (fair-esm, Hugging Face) -> a file for this package",
    "contacts": "contacts of many sequences with an imported protein language model",
    "fit-regression": "the contact regression of a protein language model on a few chains",
    "export": "an imported model -> files that fair-esm reads",
    "gradflow": "the vanishing gradient as experiments that check themselves",
}
# where a module has another name than its package
PACKAGES = {"PIL": "pillow", "esm": "fair-esm", "sklearn": "scikit-learn", "yaml": "pyyaml"}
# the same command goes on where it was interrupted
CONTINUED = ("download", "prepare", "contacts", "experiment")
LIGHTNING_VERBS = {
    "fit": "train a model (Lightning CLI)",
    "validate": "score a checkpoint on the validation split (Lightning CLI)",
    "test": "score a checkpoint on the test split (Lightning CLI)",
}
GROUPS = {  # each verb once, in the order of work
    "data": ("synth", "download", "prepare", "split", "audit", "templates"),
    "models": ("fit", "validate", "test", "predict", "ensemble"),
    "evaluation": ("compare", "report", "score", "experiment"),
    "protein language models": ("import", "contacts", "fit-regression", "export"),
    "gradients": ("gradflow",),
}


def _overview() -> str:
    verbs = VERBS | LIGHTNING_VERBS
    lines = [
        "\n".join([f"{title}:", *(f"  {verb:<16}{verbs[verb]}" for verb in group)])
        for title, group in GROUPS.items()
    ]
    return (
        "usage: protcontact VERB [options]\n\n"
        "Train, compare and diagnose models that map an amino-acid sequence to its contact map.\n\n"
        + "\n\n".join(lines)
        + "\n\nprotcontact VERB --help explains a verb. From files to scores:\n"
        "  protcontact prepare structures/ --out data\n"
        "  protcontact split data && protcontact audit data\n"
        "  protcontact fit --config configs/bilstm.yaml --data.path data\n"
        "  protcontact test --ckpt_path runs/bilstm/version_0/checkpoints/best.ckpt\n"
        "  protcontact compare runs/bilstm runs/transformer\n"
        "With a protein language model:\n"
        "  protcontact import esm2_t30_150M_UR50D.pt --out esm2.safetensors\n"
        "  protcontact contacts --checkpoint esm2.safetensors --fasta proteins.fasta --out maps\n"
    )


def module_of(verb: str) -> str:
    """Name of the module of a verb; ``import`` is a word of Python and ends in ``_`` there."""
    name = verb.replace("-", "_")
    return f"protcontact.commands.{name}{'_' if keyword.iskeyword(name) else ''}"


def _dispatch(verb: str, arguments: list[str]) -> int:
    if verb in LIGHTNING_VERBS:
        shown = page(verb, arguments)
        if shown is not None:
            print(shown, end="")
            return 0
        lightning = importlib.import_module("protcontact.commands.lightning")
        return int(lightning.run(verb, with_all(arguments)))
    module = importlib.import_module(module_of(verb))
    parser = argparse.ArgumentParser(
        prog=f"protcontact {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    return int(module.run(parser.parse_args(arguments)))


def _installed(verb: str, arguments: list[str]) -> int:
    """Run a verb; a library that this machine lacks is named with its remedy.

    Raises:
        InputError: If one is missing.
        ModuleNotFoundError: If what is missing is a part of this package.
    """
    try:
        return _dispatch(verb, arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "protcontact"):
            raise
        raise InputError(
            f"this needs {missing}, which is not installed; "
            f"`pip install {PACKAGES.get(missing, missing)}`"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    With ``PROTCONTACT_DEBUG=1`` mistakes keep their traceback.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        Exit status: 0 done, 1 a check failed, 2 unusable input, 130 interrupted by Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"protcontact {__version__}")
        return 0
    verb = arguments[0]
    if os.getcwd() not in sys.path:  # last, so that nothing there hides a library
        sys.path.append(os.getcwd())
    if verb not in VERBS and verb not in LIGHTNING_VERBS:
        allowed = ", ".join([*VERBS, *LIGHTNING_VERBS])
        print(f"protcontact: error: no verb {verb!r}; there are {allowed}", file=sys.stderr)
        return 2
    try:
        return _installed(verb, arguments[1:])
    except (InputError, OSError) as error:
        if os.environ.get("PROTCONTACT_DEBUG"):
            traceback.print_exception(error)
        print(f"protcontact {verb}: error: {_explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nprotcontact {verb}: {_after_interruption(verb, arguments)}", file=sys.stderr)
        return 130


def _after_interruption(verb: str, arguments: list[str]) -> str:
    if verb not in CONTINUED:
        return "interrupted"
    without = " without --overwrite" if "--overwrite" in arguments else ""
    return f"interrupted; the same command{without} continues"


def _explain(error: InputError | OSError) -> str:
    """One line with the remedy; what the system refuses comes without one."""
    if isinstance(error, InputError) or error.strerror is None:
        return " ".join(str(error).split())
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; check the path, its permissions and the free space"
