"""Join checkpoints of several runs into one model: the mean of their logits.

Seeds, architectures and objectives may differ; the chains that they were trained on may not. OUT
becomes a run folder with checkpoints/best.ckpt, which `protcontact test` scores and `protcontact
predict` reads like any other, and with config.yaml: the data and precision of the first run. A
prediction takes the members' time together.

Examples:
  protcontact ensemble runs/best/version_[012]/checkpoints/best.ckpt --out runs/ensemble
  protcontact test --ckpt_path runs/ensemble/checkpoints/best.ckpt
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml

from protcontact.atomic import replacing, write_text
from protcontact.commands.trust import add_trust_package
from protcontact.errors import InputError
from protcontact.training.checkpoint import KEY
from protcontact.training.ensemble import join


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
    content = join(args.checkpoints, args.trust_package)
    config = _config(args.checkpoints[0], content[KEY], args.out)
    file = args.out / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        torch.save(content, partial)
    write_text(args.out / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    print(f"{file}: {len(args.checkpoints)} members")
    return 0


def _config(first: Path, description: dict[str, Any], out: Path) -> dict[str, Any]:
    """Settings with which the ensemble is scored: those of the first run, as far as it has any.

    Raises:
        InputError: If the first run's config is not one.
    """
    path = first.absolute().parent.parent / "config.yaml"
    own = {}
    if path.is_file():
        try:
            own = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no YAML: {error}; restore or remove it") from error
        if not isinstance(own, dict):
            raise InputError(f"{path} is no config of protcontact fit; restore or remove it")
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
