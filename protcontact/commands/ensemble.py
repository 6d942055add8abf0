"""Join checkpoints of several runs into one model: the mean of their logits.

Seeds, architectures and objectives may differ; the chains that they were trained on may not. OUT
becomes a run folder with checkpoints/best.ckpt, which `protcontact test` scores and `protcontact
predict` reads like any other, and with config.yaml: the data and precision of the first run, and as
many templates as the members were trained with that look at any. A prediction takes the members'
time together. The mean has no temperature: its probabilities are not calibrated.

Examples:
  protcontact ensemble runs/best/version_[012]/checkpoints/best.ckpt --out runs/ensemble
  protcontact test --ckpt_path runs/ensemble/checkpoints/best.ckpt
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from protcontact.atomic import replacing, write_text
from protcontact.commands.trust import add_trust_package
from protcontact.data.datamodule import ContactDataModule, templates_shown
from protcontact.errors import InputError
from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.training.checkpoint import KEY, read_checkpoint
from protcontact.training.ensemble import join
from protcontact.training.score_files import score_files

ENSEMBLE = f"{EncoderEnsemble.__module__}.{EncoderEnsemble.__qualname__}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", metavar="CKPT", help="files of protcontact fit")
    add("--out", required=True, type=Path, metavar="OUT", help="the run folder to write")
    add_trust_package(parser)


def run(args: argparse.Namespace) -> int:
    """Join, and print the name of the file and the number of its members.

    Returns:
        0. An `InputError` says why checkpoints cannot be joined.
    """
    _refuse_twice(args.checkpoints)
    content = join(args.checkpoints, args.trust_package)
    config = _config(args.checkpoints, content[KEY], args.out)
    shown = config.get("data", {}).get("templates_per_chain")
    if shown is not None:
        content[ContactDataModule.__qualname__] = {"templates_per_chain": shown}
    file = args.out / "checkpoints" / "best.ckpt"
    _refuse_training(file, args.checkpoints)
    for name in (name for split in ("val", "test") for name in score_files(split)):
        (args.out / name).unlink(missing_ok=True)  # of an ensemble that was here before
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        torch.save(content, partial)
    write_text(args.out / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    print(f"{file}: {len(args.checkpoints)} members")
    return 0


def _refuse_twice(members: Sequence[Path]) -> None:
    """Refuse a file that would count twice in the mean.

    Raises:
        InputError: If two members are one file.
    """
    known: set[Path] = set()
    for member in (path.resolve() for path in members):
        if member in known:
            raise InputError(f"{member} is named twice, and would count twice; name it once")
        known.add(member)


def _refuse_training(file: Path, members: Sequence[Path]) -> None:
    """Refuse to write over a training.

    Raises:
        InputError: If the file is a member, or no ensemble.
    """
    if not file.exists():
        return
    member = any(file.samefile(path) for path in members)
    if member or read_checkpoint(file)[KEY]["encoder"]["class_path"] != ENSEMBLE:
        raise InputError(f"{file} is the best.ckpt of a training; give another --out")


def _config_of(checkpoint: Path) -> dict[str, Any]:
    """Settings of a checkpoint's run; empty where it has no config.

    Raises:
        InputError: If its config is not one.
    """
    path = checkpoint.absolute().parent.parent / "config.yaml"
    if not path.is_file():
        return {}
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: {error}; restore or remove it") from error
    if not isinstance(own, dict) or not isinstance(own.get("data", {}), dict):
        raise InputError(f"{path} is no config of protcontact fit; restore or remove it")
    return own


def _shown(member: Path) -> int:
    """Templates of a chain in the training of a member: its checkpoint says, else its config."""
    said = templates_shown(read_checkpoint(member))
    configured: int = _config_of(member).get("data", {}).get("templates_per_chain", 0)
    return configured if said is None else said


def _config(members: Sequence[Path], description: dict[str, Any], out: Path) -> dict[str, Any]:
    """Settings with which the ensemble is scored: those of the first run, as far as it has any.

    Raises:
        InputError: If a run's config is not one, or two saw different numbers of templates.
    """
    own = _config_of(members[0])
    shown = {_shown(path) for path in members} - {0}
    if len(shown) > 1:
        raise InputError(
            f"the members were trained with {' and '.join(map(str, sorted(shown)))} templates of a "
            "chain, and an ensemble shows the same to all; join those that saw as many"
        )
    if shown:
        own = {**own, "data": {**own.get("data", {}), "templates_per_chain": shown.pop()}}
    trainer = {"default_root_dir": str(out)}
    precision = own.get("trainer", {}).get("precision")
    head = description["head"]
    given = {name: value for name, value in head["init_args"].items() if name != "in_channels"}
    model = {"encoder": description["encoder"], "head": {**head, "init_args": given}}
    if "optimizer" in own.get("model", {}):  # which the command line wants to see
        model["optimizer"] = own["model"]["optimizer"]
    return {
        **{name: own[name] for name in ("seed_everything", "data") if name in own},
        "model": model,
        "trainer": trainer | ({"precision": precision} if precision else {}),
    }
