"""What is in a pretrained file of this package?

One safetensors file: tensors under fair-esm's names, and in its header a description, plain JSON:
the architecture, the token map, and where it all comes from. Nothing in it can be run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from protcontact.atomic import replacing
from protcontact.errors import InputError

KEY = "protcontact"
FORMAT = 1


@dataclass(frozen=True)
class Pretrained:
    """An encoder with its weights.

    Attributes:
        architecture: Arguments of `protcontact.models.encoders.esm2.ESM2`, less the checkpoint.
        tokens: The alphabet; the place of a token is its number.
        tensors: Under fair-esm's names, without those that are others under a second name.
        source: Facts: which library's file it was, its name and hash, how a regression was fitted.
    """

    architecture: Mapping[str, Any]
    tokens: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    source: Mapping[str, Any] = field(default_factory=dict)


def write_pretrained(path: str | Path, content: Pretrained) -> None:
    """Write the file, whole or not at all.

    Args:
        path: Its name.
        content: What it holds.
    """
    description = {
        "format": FORMAT,
        "architecture": dict(content.architecture),
        "tokens": list(content.tokens),
        "source": dict(content.source),
    }
    tensors = {name: tensor.detach().contiguous() for name, tensor in content.tensors.items()}
    with replacing(Path(path)) as temporary:
        save_file(tensors, temporary, metadata={KEY: json.dumps(description)})


def read_pretrained(path: str | Path) -> Pretrained:
    """Read the file; nothing in it is run.

    Args:
        path: Written by ``protcontact import``.

    Returns:
        What it holds.

    Raises:
        InputError: If it is not such a file, or a part of one.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; write it with protcontact import")
    try:
        with safe_open(path, framework="pt") as file:
            description = (file.metadata() or {}).get(KEY)
            if description is None:
                raise InputError(
                    f"{path} was not written by protcontact import; import the file or folder of "
                    "fair-esm or transformers first"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); it is damaged or not written by protcontact import"
        ) from error
    return _checked(path, description, tensors)


def _checked(path: str | Path, description: str, tensors: dict[str, Tensor]) -> Pretrained:
    try:
        told = json.loads(description)
        if told["format"] != FORMAT:
            raise InputError(
                f"{path} has format {told['format']}, and this version reads {FORMAT}; import the "
                "original file again"
            )
        return Pretrained(told["architecture"], tuple(told["tokens"]), tensors, told["source"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} does not describe itself ({error}); import it again") from error
