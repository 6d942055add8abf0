"""What do ``protcontact fit --help``, ``validate --help`` and ``test --help`` say?

A page for people. The list of all settings, which the Lightning CLI makes from the classes, is
behind ``--help-all``.
"""

from collections.abc import Sequence

_SETTINGS = """\
Every setting is an option under its path: --data.path, --trainer.max_steps,
--model.optimizer.init_args.lr. `protcontact {verb} --help-all` lists them; --print_config prints
them with their values."""

_FIT = f"""\
usage: protcontact fit --config FILE [--config FILE ...] [--SETTING VALUE ...]

Train a model on the train split; keep the weights with the best long-range P@L on the val split.

Settings come from YAML files, and a later file or an option wins. The base.yaml beside a config, or
else in the folder above, is read before it. Classes are named by their path, so a model
of your own in the current folder needs nothing but its name (class_path: my_parts.MyEncoder).
{_SETTINGS.format(verb="fit")}

Each start writes into the next folder version_N of --trainer.default_root_dir: config.yaml,
metrics.csv, checkpoints/best.ckpt and last.ckpt, scores of single chains (val_chains.tsv), contact
maps, and a wandb run, which is offline unless you are logged in. A start that was killed goes on
with --ckpt_path last, to the same numbers.

Often changed:
  --data.path DIR                 data set of `protcontact prepare` and `split` (default: data)
  --seed_everything N             of weights, batches, crops and dropout (default: 0)
  --trainer.max_steps N           the learning rate falls to its end over so many
  --trainer.default_root_dir DIR  where runs are written
  --trainer.devices N             processes; configs/strategy/ has DDP and FSDP
  --data.pair_budget N            residue pairs of a batch, hence memory

Examples:
  protcontact fit --config configs/bilstm.yaml --data.path data
  protcontact fit --config configs/bilstm.yaml --config configs/gradflow.yaml --data.path data
  protcontact fit --config configs/bilstm.yaml --data.path data --seed_everything 1
  protcontact fit --config configs/bilstm.yaml --data.path data --ckpt_path last
  protcontact fit --config configs/bilstm.yaml --print_config
"""


def _scoring(verb: str, split: str, first: str) -> str:
    return f"""\
usage: protcontact {verb} --ckpt_path FILE [--SETTING VALUE ...]

{first}

Settings are those of the checkpoint's run, from its config.yaml, or of --config FILE in its place;
options win. {_SETTINGS.format(verb=verb)}

Writes {split}_chains.tsv and {split}_scores.json into the next folder version_N and, for a
best.ckpt, into the folder of its training, where `protcontact compare` finds them.

Examples:
  protcontact {verb} --ckpt_path runs/bilstm/version_0/checkpoints/best.ckpt
  protcontact {verb} --ckpt_path best.ckpt --config configs/bilstm.yaml --data.path data
"""


PAGES = {
    "fit": _FIT,
    "validate": _scoring(
        "validate",
        "val",
        "Score a checkpoint on the val split, beside the nulls: whole chains, each once.",
    ),
    "test": _scoring(
        "test",
        "test",
        "Score a checkpoint on the test split, beside the nulls: whole chains, each once. What is\n"
        "chosen by these scores has no test score any more: choose by `protcontact validate`.",
    ),
}


def page(verb: str, arguments: Sequence[str]) -> str | None:
    """Return the page of a verb if its arguments ask for it, else None.

    Args:
        verb: ``fit``, ``validate`` or ``test``.
        arguments: What stands behind it.
    """
    return PAGES[verb] if {"-h", "--help"} & set(arguments) else None


def with_all(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--help-all`` as the Lightning CLI calls it, ``--help``."""
    return ["--help" if word == "--help-all" else word for word in arguments]
