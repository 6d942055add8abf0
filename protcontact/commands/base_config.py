"""Which settings are read before a config, without being named?

Its ``base.yaml``, which all configs of a folder share; and for a checkpoint, what its run was
started with.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path

from protcontact.errors import InputError


def with_base(arguments: list[str]) -> list[str]:
    """Read the ``base.yaml`` of a config before it, and a run's own config for its checkpoint.

    Args:
        arguments: As typed behind the verb.

    Returns:
        The same with ``--config`` added where it goes without saying.

    Raises:
        InputError: If a config is not text.
    """
    flat: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in ("--config", "-c", "--ckpt_path"):
            flat += ["--config" if name == "-c" else name, *([value] if equals else [])]
        else:
            flat.append(argument)
    named = list(pairwise(flat))
    configs = [Path(value) for name, value in named if name == "--config"]
    bases = {base for path in configs for base in _bases(path)[:1]}
    bases -= {Path(os.path.abspath(path)) for path in configs}
    added = [word for base in sorted(bases) for word in ("--config", str(base))]
    checkpoints = [value for name, value in named if name == "--ckpt_path" and value != "last"]
    if not configs and checkpoints:
        own = Path(checkpoints[-1]).absolute().parent.parent / "config.yaml"
        added = ["--config", str(own)] if own.is_file() else []
    for path in [*configs, *map(Path, added[1::2])]:
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"--config {path} is not UTF-8 text ({error.reason} at byte {error.start}); "
                "give a YAML file"
            ) from error
        except OSError:
            pass  # the parser says so
    return added + flat


def note_without_base(words: list[str]) -> None:
    """Say that a training has no callbacks: it would choose and keep no best weights, silently."""
    named = [Path(value) for name, value in pairwise(words) if name == "--config"]
    configs = [path for path in named if path.is_file()]  # of others the parser tells
    if configs and not any("callbacks" in path.read_text(encoding="utf-8") for path in configs):
        print(
            f"note: neither {configs[-1]} nor a base.yaml beside it or in the folder above has "
            "callbacks, so this training has Lightning's own settings: no best.ckpt, no schedule "
            "by max_steps, no mixed precision; put the config into configs/, or name --config "
            "configs/base.yaml before it",
            file=sys.stderr,
        )


def refuse_no_config(words: list[str]) -> None:
    """Say what is missing where a checkpoint is to be scored, and no config was given or found.

    Raises:
        InputError: If there is no config, and no option that could stand for one.
    """
    if {"--help", "-h", "--config"} & set(words) or any(w.startswith("--model") for w in words):
        return
    given = dict(pairwise(words)).get("--ckpt_path")
    if given is None or given == "last":
        raise InputError("--ckpt_path is missing; name the .ckpt file that is to be scored")
    if not Path(given).is_file():
        kind = "is a folder" if Path(given).is_dir() else "does not exist"
        raise InputError(f"checkpoint {given} {kind}; give a .ckpt file of protcontact fit")
    folder = Path(given).absolute().parent.parent
    raise InputError(
        f"{folder} has no config.yaml, where the settings of the checkpoint's run would be; name "
        "them with --config"
    )


def _bases(config: Path) -> list[Path]:
    """``base.yaml`` beside a config and in the folder above, as far as there are any."""
    places = [folder / "base.yaml" for folder in Path(os.path.abspath(config)).parents[:2]]
    return [place for place in places if place.is_file()]
