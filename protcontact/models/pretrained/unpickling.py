"""May a pickle of another library be read? Tensors, plain data and `argparse.Namespace`, no more.

fair-esm's files hold their options as a Namespace, which torch refuses by itself since 2.6. A
Namespace is a record without behaviour; whatever else a file asks for is refused by name, unread.
"""

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from protcontact.errors import InputError


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a ``.pt`` file of fair-esm.

    Args:
        path: The file.

    Returns:
        What it holds: options and tensors.

    Raises:
        InputError: If it is none, is damaged, or asks for anything else.
        MemoryError: If it is too large for this machine.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a .pt file of fair-esm")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+\w)", str(error))
        if asked is None:
            raise InputError(_damaged(path, "its content is no pickle of tensors")) from error
        raise InputError(
            f"{path} is refused: besides tensors and options it asks for {asked[1]}, which could "
            "run code; a file of fair-esm holds none of it: download it again from its authors"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file ends in almost any
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(_damaged(path, reason)) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} holds a {type(content).__name__}, not a checkpoint of fair-esm, which is a "
            "dict with the entry 'model'"
        )
    return content


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path} cannot be read ({reason[:160]}); it is damaged, cut off or not a .pt file of "
        "fair-esm: download it again"
    )
