"""What is in a checkpoint file, and may it be trusted?

A checkpoint describes the model that it holds as plain data, ``{class_path, init_args}`` of encoder
and head, so it can be loaded without the config that made it. Files are read with
``weights_only=True``: a pickle that asks for code is refused, never run. Descriptions may name
classes of this package only, unless the caller allows others.
"""

import importlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from protcontact.errors import InputError
from protcontact.models.contract import ContactModel, Described, Encoder, PairHead

KEY = "protcontact"
FORMAT = 1


def describe(module: Described) -> dict[str, Any]:
    """Describe a module as ``{class_path, init_args}``, plain data all the way down."""
    kind = type(module)
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
            f"the checkpoint names the class {path!r}; only classes of protcontact are built, "
            f"unless you trust the file and allow the package {package!r}"
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
    arguments = {
        name: build(value, Described, allow)
        if isinstance(value, Mapping) and "class_path" in value
        else value
        for name, value in dict(description.get("init_args", {})).items()
    }
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not take the arguments of the checkpoint: {error}"
        ) from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this package, without running anything that it holds.

    Args:
        path: File written during ``protcontact fit``.

    Returns:
        Its content; ``[KEY]`` holds the description.

    Raises:
        InputError: If the file is absent, damaged, asks for code, or is not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist; give a .ckpt file of protcontact fit")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {path} is refused: it holds more than weights and plain data "
            f"({_reason(error)}); give a file written by protcontact fit"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise InputError(
            f"checkpoint {path} cannot be read ({_reason(error)}); it is damaged or not a "
            "checkpoint: give a .ckpt file of protcontact fit"
        ) from error
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
    missing = [name for name in ("encoder", "head") if not isinstance(_get(content, name), dict)]
    if missing:
        raise InputError(
            f"checkpoint {path} does not describe its {' and '.join(missing)}; "
            "give a .ckpt file of protcontact fit"
        )
    return content


def _get(content: dict[str, Any], name: str) -> Any:
    return content[KEY].get(name)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    globals_line = next((line for line in lines if "GLOBAL" in line), None)
    return (globals_line or (lines[0] if lines else type(error).__name__)).strip()[:160]


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
    return model.eval()
