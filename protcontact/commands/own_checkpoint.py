"""Is a checkpoint one that this config can go on with, or score?"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protcontact.errors import InputError
from protcontact.training.checkpoint import KEY, describe


def refuse_half(path: str | Path, content: dict[str, Any], resume: bool) -> None:
    """Refuse weights without the data that they come from, or a run that cannot go on.

    Raises:
        InputError: If something is missing.
    """
    needed = ("global_step", "loops", "callbacks") if resume else ("global_step",)
    missing = [name for name in needed if name not in content]
    missing += [name for name in ("prior", "trained_on", "objective") if name not in content[KEY]]
    if missing:
        raise InputError(
            f"checkpoint {path} holds a model without its training (no {', '.join(missing)}); "
            "give a .ckpt file of protcontact fit"
        )


def refuse_other_model(path: str | Path, content: Mapping[str, Any], module: Any) -> None:
    """Say which setting differs, before tensors of different shapes do.

    Args:
        path: Named in the errors.
        content: Of the checkpoint.
        module: The `ContactModule` that is to take its weights.

    Raises:
        InputError: If the checkpoint describes another model than the config, or its weights are
            not those of the model.
    """
    for part in ("encoder", "head"):
        own = describe(getattr(module.model, part))
        for name, value, other in _differences(content[KEY][part], own):
            raise InputError(
                f"checkpoint {path} has another {part} than the config: {name} {value}, not "
                f"{other}; leave out --config to use the checkpoint's own"
            )
    given = {name: tuple(tensor.shape) for name, tensor in _of_model(content["state_dict"])}
    taken = {name: tuple(tensor.shape) for name, tensor in _of_model(module.state_dict())}
    names = sorted(given.keys() ^ taken.keys()) or [n for n in taken if given[n] != taken[n]]
    if names:
        raise InputError(
            f"checkpoint {path} has other weights than its {type(module.model.head).__name__} and "
            f"{type(module.model.encoder).__name__} take ({textwrap.shorten(', '.join(names), 90)})"
            "; it was written with another version of these classes: train again"
        )


def _of_model(weights: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those of encoder and head: an auxiliary task's are left to the module."""
    return [(name, tensor) for name, tensor in weights.items() if name.startswith("model.")]


def _differences(stored: Any, own: Any, name: str = "class") -> Iterator[tuple[str, Any, Any]]:
    """Yield (argument, its value in the checkpoint, its value now) wherever they differ.

    Arguments that the class has got since then are not in the checkpoint and do not count.
    """
    if isinstance(stored, Mapping) and isinstance(own, Mapping):
        if "class_path" in stored and stored["class_path"] != own.get("class_path"):
            yield "class", stored["class_path"], own.get("class_path")
            return
        inner = stored.get("init_args", stored)
        now = own.get("init_args", own)
        for argument, value in inner.items():
            yield from _differences(value, now.get(argument), argument)
    elif isinstance(stored, list) and isinstance(own, list) and len(stored) == len(own):
        for value, other in zip(stored, own, strict=True):
            yield from _differences(value, other, name)
    elif stored != own:
        yield name, stored, own
