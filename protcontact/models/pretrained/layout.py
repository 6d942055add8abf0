"""Do the tensors of a foreign checkpoint fit the model that its options describe?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.pretrained.file import Pretrained

TIED, LETTERS = "lm_head.weight", "embed_tokens.weight"
LISTED = 8  # names of a kind in an error
HALF = (torch.float16, torch.bfloat16)


def fitted(
    where: Path, architecture: Mapping[str, Any], tensors: dict[str, Tensor], source: dict[str, Any]
) -> Pretrained:
    """Check each tensor's name and shape, and make the content of a pretrained file of them.

    Args:
        where: The foreign file, for errors.
        architecture: Arguments of `ESM2`.
        tensors: Under fair-esm's names, of any precision.
        source: Facts; the precision of the tensors is added.

    Returns:
        The content, in float32.

    Raises:
        InputError: If tensors are missing, unexpected or misshapen: lists them.
    """
    try:
        with torch.device("meta"):
            expected = {k: tuple(v.shape) for k, v in ESM2(**architecture).state_dict().items()}
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: there is no such model: {error}") from error
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected.setdefault(TIED, expected[LETTERS])
    if TIED not in found:
        expected.pop(TIED)
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ],
    }
    if any(problems.values()):
        raise InputError(
            f"{where}: its tensors do not fit the model that it describes ("
            + ", ".join(f"{name} {value}" for name, value in architecture.items())
            + "): "
            + "; ".join(f"{kind}: {_listed(names)}" for kind, names in problems.items() if names)
        )
    _refuse_values(where, tensors)
    stored = sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()})
    wide = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
    wide[LETTERS] = _tied(where, wide)
    wide.pop(TIED, None)
    return Pretrained(
        architecture, tuple(ALPHABET.all_toks), wide, {**source, "stored_as": ", ".join(stored)}
    )


def _refuse_values(where: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(f"{where}: {name} is {tensor.dtype}, not a floating-point tensor")
        broken = int((~tensor.isfinite()).sum())
        if broken:
            raise InputError(
                f"{where}: {name} has {broken} of {tensor.numel()} elements that are NaN or "
                "infinite; the file is damaged: download it again"
            )


def _tied(where: Path, tensors: Mapping[str, Tensor]) -> Tensor:
    # the vectors of letters; those of the output are the same, but for the mask's in ESM-1b
    letters = tensors[LETTERS]
    other = tensors.get(TIED, letters)
    apart = (letters != other).any(dim=1)
    apart[ALPHABET.mask_idx] = False
    if bool(apart.any()):
        raise InputError(
            f"{where}: {TIED} is not {LETTERS}, which all models of this family share; it is no "
            "checkpoint of ESM-2, ESM-1b or ESM-1v"
        )
    return other


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
