"""What is in a checkpoint file, and may it be trusted?

A checkpoint describes the model that it holds as plain data, ``{class_path, init_args}`` of encoder
and head, so it can be loaded without the config that made it. Files are read with
``weights_only=True``: a pickle that asks for code is refused, never run. Descriptions may name
classes of this package only, unless the caller allows others.
"""

import importlib
import math
import pickle
import re
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from protcontact.atomic import replacing
from protcontact.errors import InputError
from protcontact.metrics.calibration import Temperature
from protcontact.metrics.nulls import SeparationPrior
from protcontact.models.contract import ContactModel, Described, Encoder, PairHead

KEY = "protcontact"
FORMAT = 1
# In the state of an optimizer: what it works on, and how it computes the same numbers.
NO_SETTINGS = {
    "params",
    "initial_lr",
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}


def describe(module: Described) -> dict[str, Any]:
    """Describe a module as ``{class_path, init_args}``, plain data all the way down."""
    kind = next(each for each in type(module).__mro__ if not issubclass(each, FSDPModule))
    return {
        "class_path": f"{kind.__module__}.{kind.__qualname__}",
        "init_args": {name: _plain(name, value) for name, value in module.init_args.items()},
    }


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Described):
        return describe(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items()}
    raise ValueError(
        f"argument {name!r} is a {type(value).__name__}, which a checkpoint cannot describe; "
        "allowed are numbers, strings, lists, dicts and described modules"
    )


def build(description: Mapping[str, Any], family: type, allow: Sequence[str] = ()) -> Any:
    """Make the module that a description names.

    Args:
        description: ``{class_path, init_args}``.
        family: `Encoder` or `PairHead`; any other class is refused.
        allow: Packages besides ``protcontact`` from which classes may come.

    Returns:
        An instance of `family` with fresh weights.

    Raises:
        InputError: If the class comes from elsewhere, is unknown, is not of the family, or does
            not take these arguments.
    """
    path = str(description.get("class_path", ""))
    package = path.partition(".")[0]
    if package not in ("protcontact", *allow):
        raise InputError(
            f"the checkpoint names the class {path!r}; only classes of protcontact are built; "
            f"if you trust the file, allow its package: --trust-package {package}"
        )
    module_name, _, class_name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the checkpoint names the class {path!r}, unknown here: {error}"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, family)):
        raise InputError(f"the checkpoint names {path!r}, which is not a {family.__name__}")
    given = description.get("init_args", {})
    if not isinstance(given, Mapping):
        raise InputError(f"the checkpoint gives {path} a {type(given).__name__} as its init_args")
    arguments = {name: _built(value, allow) for name, value in given.items()}
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not take the arguments of the checkpoint: {error}"
        ) from error


def _built(value: Any, allow: Sequence[str]) -> Any:
    """Make the modules that an argument describes, alone or in a list; leave the rest as it is."""
    if isinstance(value, Mapping) and "class_path" in value:
        return build(value, Described, allow)
    return [_built(item, allow) for item in value] if isinstance(value, list) else value


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this package, without running anything that it holds.

    Args:
        path: File written during ``protcontact fit``.

    Returns:
        Its content; ``[KEY]`` holds the description.

    Raises:
        InputError: If the file is absent, damaged, asks for code, is not one of ours, or says of
            its training what no training says.
    """
    path = Path(path)
    content = _load(path)
    if not isinstance(content, dict) or KEY not in content or "state_dict" not in content:
        raise InputError(
            f"checkpoint {path} is not one of protcontact (no {KEY!r} entry); "
            "give a .ckpt file of protcontact fit"
        )
    found = content[KEY].get("format") if isinstance(content[KEY], dict) else None
    if found != FORMAT:
        raise InputError(
            f"checkpoint {path} has format {found!r}, this protcontact reads format {FORMAT}; "
            "train again or use the version that wrote it"
        )
    missing = [name for name in ("encoder", "head") if not _is_description(content[KEY].get(name))]
    if missing:
        raise InputError(
            f"checkpoint {path} does not describe its {' and '.join(missing)}; "
            "give a .ckpt file of protcontact fit"
        )
    if not isinstance(content["state_dict"], dict):
        kind = type(content["state_dict"]).__name__
        raise InputError(
            f"checkpoint {path} has a {kind} where its weights should be; "
            "give a .ckpt file of protcontact fit"
        )
    damaged = [name for name, whole in _of_training(content[KEY]).items() if not whole]
    if damaged:
        raise InputError(
            f"checkpoint {path} has in {' and '.join(damaged)} what no training leaves there; it "
            "is damaged: give a .ckpt file of protcontact fit"
        )
    return content


def _of_training(description: Mapping[str, Any]) -> dict[str, bool]:
    """Whether what a checkpoint says of its training can be used; what it leaves out can."""
    prior, trained_on = description.get("prior"), description.get("trained_on")
    try:
        counted = prior is None or SeparationPrior.from_state_dict(prior) is not None
    except (AttributeError, KeyError, TypeError, ValueError):
        counted = False
    hashes = isinstance(trained_on, Tensor) and trained_on.dtype == torch.int64
    return {
        "prior": counted,
        "trained_on": trained_on is None or (hashes and trained_on.ndim == 1),
        "objective": isinstance(description.get("objective", {}), dict),
        "scored_on": isinstance(description.get("scored_on", {}), dict),
    }


def _load(path: Path) -> Any:
    """Read a file that `torch.save` wrote; what is no zip archive is not even unpickled.

    Raises:
        InputError: If it is none, is damaged, or asks for code.
    """
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {path} {kind}; give a .ckpt file of protcontact fit")
    try:
        with path.open("rb") as file:
            whole = zipfile.is_zipfile(file)
        if not whole:
            empty = path.stat().st_size == 0
            reason = "it is empty" if empty else "it is no zip archive, or a part of one"
            raise InputError(_unreadable(path, reason))
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch compares no checksums
        if damaged is not None:
            raise InputError(_unreadable(path, f"the checksum of {damaged} is wrong"))
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {path} is refused: it holds more than weights and plain data"
            f"{_asked_for(error)}; give a file written by protcontact fit"
        ) from error
    except InputError:
        raise
    except Exception as error:  # a damaged pickle ends in almost any
        raise InputError(_unreadable(path, _reason(error))) from error


def _unreadable(path: Path, reason: str) -> str:
    return (
        f"checkpoint {path} cannot be read ({reason}); it is damaged or not a checkpoint: "
        "give a .ckpt file of protcontact fit"
    )


def _is_description(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_path"), str)
        and isinstance(value.get("init_args"), dict)
    )


def _asked_for(error: Exception) -> str:
    """Name the function that a pickle wants to call, where torch does."""
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": {asked[1].rstrip('.')}" if asked else ""


def _reason(error: Exception) -> str:
    """First sentence of what went wrong; what a pickle machine says of damage helps nobody."""
    if not isinstance(error, RuntimeError | OSError | ValueError) or not str(error):
        return "its content is damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = re.sub(r"^\[[^\]]*\][ .]*", "", str(error).strip())  # [enforce fail at ...cc:180] .
    first = text.splitlines()[0].split(". ")[0]
    return textwrap.shorten(first, width=160, placeholder=" ...")


def load_model(path: str | Path, allow: Sequence[str] = ()) -> ContactModel:
    """Rebuild the model of a checkpoint, in evaluation mode, on the CPU.

    Args:
        path: File written during ``protcontact fit``.
        allow: Packages besides ``protcontact`` whose classes may be built.

    Returns:
        The model with its weights.

    Raises:
        InputError: If the file cannot be used, or its tensors do not fit its description.
    """
    content = read_checkpoint(path)
    description = content[KEY]
    encoder = build(description["encoder"], Encoder, allow)
    head = build(description["head"], PairHead, allow)
    model = ContactModel(encoder, head)
    prefix = "model."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(
            f"checkpoint {path}: its weights do not fit the model it describes: "
            + " ".join(str(error).split())
        ) from error
    fitted = temperature_of(description, f"checkpoint {path}")
    model.temperature = None if fitted is None else fitted.value
    return model.eval()


def temperature_of(description: Mapping[str, Any], checkpoint: str) -> Temperature | None:
    """What the logits of a checkpoint are to be divided by; None if none was fitted.

    Args:
        description: Of the checkpoint, under `KEY`.
        checkpoint: How an error names it.

    Raises:
        InputError: If it is not what `fit_temperature` found.
    """
    held = description.get("temperature")
    if held is None:
        return None
    value = held.get("value") if isinstance(held, dict) else None
    names = {field.name for field in fields(Temperature)}
    if not isinstance(value, float) or not 0 < value < math.inf or set(held) != names:
        raise InputError(
            f"{checkpoint} has {held!r} as its temperature, whose value is not a number above 0 or "
            "which lacks a field; it is damaged: give a .ckpt file of protcontact fit"
        )
    return Temperature(**held)


def prior_of(description: Mapping[str, Any]) -> SeparationPrior | None:
    """Contact frequency by separation in what was trained on; None where it was not counted.

    Args:
        description: Of the checkpoint, under `KEY`.
    """
    held = description.get("prior")
    prior = None if held is None else SeparationPrior.from_state_dict(held)
    return prior if prior is not None and prior.pairs.sum() > 0 else None


def refuse_other_optimizer(state: Mapping[str, Any], own: Optimizer) -> None:
    """Refuse settings that the stored state would silently replace where a training goes on.

    Args:
        state: ``state_dict`` of the run's optimizer.
        own: What the settings ask for.

    Raises:
        InputError: If a setting differs, or only one of them has it: they are of other classes.
    """
    stored, asked = state["param_groups"][0], own.param_groups[0]
    stored = {**stored, "lr": stored.get("initial_lr", asked["lr"])}  # before the schedule
    for name in sorted((stored.keys() | asked.keys()) - NO_SETTINGS):
        # as a checkpoint of FSDP, betas are a list
        before, now = _as_tuple(stored.get(name)), _as_tuple(asked.get(name))
        if before != now:
            raise InputError(
                f"this run was started with {_of_optimizer(name, before)} and is to go on with "
                f"{_of_optimizer(name, now)}; restore model.optimizer, or start anew without "
                "--ckpt_path"
            )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _of_optimizer(name: str, value: Any) -> str:
    return f"an optimizer without {name}" if value is None else f"the optimizer's {name} {value}"


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole or not at all.

    Lightning writes into the system's temporary folder and moves the file; where that is another
    file system, moving is copying, and a run killed meanwhile has lost the older file as well.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write beside the final name, then rename."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)
