"""What do the files of fair-esm hold, and how are they written?

A ``.pt`` file is a pickled dict: ``model``, the tensors, and the options, in ``cfg["model"]``
(ESM-2) or in ``args`` (ESM-1b, ESM-1v). The contact regression is in a file of its own, whose name
ends in ``-contact-regression.pt``. fair-esm tells the two kinds by the file's *name*; here only the
contents count.
"""

import argparse
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from protcontact.atomic import replacing
from protcontact.errors import InputError
from protcontact.models.pretrained.file import Pretrained
from protcontact.models.pretrained.layout import LETTERS, TIED, fitted
from protcontact.models.pretrained.unpickling import read_pickle

REGRESSION = "contact_head.regression."
SUFFIX = "-contact-regression.pt"
BERT = "roberta_large"  # what ESM-1b and ESM-1v say they are
PREFIX = re.compile(r"^(encoder\.sentence_encoder\.|sentence_encoder\.|encoder\.)")
NOT_LEARNED = 2  # rows of learned positions that are of no place, as numbers start behind padding


def regression_beside(path: Path) -> Path | None:
    """The file of the contact regression where fair-esm puts it; None if there is none."""
    beside = path.with_name(path.stem + SUFFIX)
    return beside if beside.is_file() else None


def read_fair_esm(path: Path, regression: Path | None = None) -> Pretrained:
    """Read a checkpoint of ESM-2, ESM-1b or ESM-1v.

    Args:
        path: The ``.pt`` file.
        regression: The file of its contact regression.

    Returns:
        Content of a pretrained file.

    Raises:
        InputError: If a file is of another layout. Refuses what `read_pickle` and `fitted` refuse.
    """
    content = read_pickle(path)
    tensors = {PREFIX.sub("", name): value for name, value in _tensors(path, content).items()}
    options = _options(path, content)
    source = {"library": "fair-esm", "file": path.name, "sha256": sha256(path)}
    if regression is not None:
        found = _tensors(regression, read_pickle(regression))
        wrong = [name for name in found if not name.startswith(REGRESSION)]
        if wrong or not found:
            raise InputError(
                f"{regression}: is no contact regression, as it holds {', '.join(wrong[:3])}; its "
                f"tensors should be {REGRESSION}weight and {REGRESSION}bias"
            )
        tensors |= found
        source |= {"regression": regression.name, "regression_sha256": sha256(regression)}
    if LETTERS not in tensors:
        raise InputError(f"{path}: has no {LETTERS}; it is no checkpoint of ESM-2, ESM-1b or -1v")
    architecture = _architecture(path, options, tensors)
    return fitted(path, architecture, tensors, source)


def _tensors(path: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = content.get("model")
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise InputError(
            f"{path}: has no entry 'model' with tensors, but {', '.join(map(str, content))[:200]}; "
            "give a .pt file of fair-esm"
        )
    return tensors


def _options(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    # what a file says of its model, without "encoder_" in front of the names
    told = content.get("args")
    if told is None and isinstance(content.get("cfg"), dict):
        told = content["cfg"].get("model")
    if isinstance(told, argparse.Namespace):
        told = vars(told)
    if not isinstance(told, dict):
        raise InputError(
            f"{path}: has neither args nor cfg['model'], so it does not say how many attention "
            "heads there are; give a .pt file of fair-esm"
        )
    arch = told.get("arch")
    if "args" in content and arch != BERT:
        raise InputError(
            f"{path}: is a {arch!r}; only ESM-2, ESM-1b and ESM-1v can be imported ({BERT!r})"
        )
    return {str(name).removeprefix("encoder_"): value for name, value in told.items()}


def _architecture(
    path: Path, options: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Any]:
    positions = tensors.get("embed_positions.weight")
    try:
        channels = int(options["embed_dim"])
        return {
            "channels": channels,
            "layers": int(options.get("layers", options.get("num_layers"))),
            "heads": int(options["attention_heads"]),
            "expansion": int(options.get("ffn_embed_dim", 4 * channels)) // channels,
            "positions": 0 if positions is None else len(positions) - NOT_LEARNED,
            "norm_before": any(name.startswith("emb_layer_norm_before") for name in tensors),
            "token_dropout": bool(options.get("token_dropout", False)),
            "norm_eps": 1e-5,  # of torch's LayerNorm, which these models are built of
            "regression": any(name.startswith(REGRESSION) for name in tensors),
        }
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"{path}: its options lack or garble a size of the model ({error!r}); they need "
            "layers, embed_dim and attention_heads"
        ) from error


def write_fair_esm(path: Path, content: Pretrained) -> list[Path]:
    """Write files that ``esm.pretrained.load_model_and_alphabet_local`` accepts.

    Args:
        path: The ``.pt`` file. fair-esm tells kinds by names, so that of an ESM-2 must begin with
            ``esm2``, and those of others must not; without a regression it must have ``esm1v``.
        content: What is written.

    Returns:
        The files: the second has the regression.

    Raises:
        InputError: If fair-esm would take the name for another kind.
    """
    size = content.architecture
    rotary = size["positions"] == 0
    if path.suffix != ".pt":
        raise InputError(f"{path}: fair-esm reads files whose names end in .pt")
    if path.name.startswith("esm2") != rotary:
        rule = "must begin with esm2" if rotary else "must not begin with esm2"
        raise InputError(f"{path}: fair-esm tells models by the names of files, and this {rule}")
    if not size["regression"] and "esm1v" not in path.stem:
        raise InputError(
            f"{path}: without a contact regression fair-esm reads only files with esm1v in their "
            "names; fit one with protcontact fit-regression"
        )
    options = {
        "encoder_layers": size["layers"],
        "encoder_embed_dim": size["channels"],
        "encoder_ffn_embed_dim": size["expansion"] * size["channels"],
        "encoder_attention_heads": size["heads"],
        "token_dropout": size["token_dropout"],
    }
    head = {k: v for k, v in content.tensors.items() if k.startswith(REGRESSION)}
    body = {k: v for k, v in content.tensors.items() if k not in head}
    body[TIED] = body[LETTERS]
    named = {
        f"encoder.{'' if name.startswith('lm_head') else 'sentence_encoder.'}{name}": value
        for name, value in body.items()
    }
    if rotary:
        told = {"cfg": {"model": argparse.Namespace(**options)}, "model": named}
    else:
        more = {"arch": BERT, "max_positions": size["positions"]}
        told = {"args": argparse.Namespace(**options, **more), "model": named}
    with replacing(path) as temporary:
        torch.save(told, temporary)
    return [path, *([write_head(path.with_name(path.stem + SUFFIX), content)] if head else [])]


def write_head(path: Path, content: Pretrained) -> Path:
    """Write the contact regression alone, as fair-esm has it.

    Args:
        path: The file.
        content: What has it.

    Returns:
        The file.

    Raises:
        InputError: If there is none.
    """
    head = {k: v for k, v in content.tensors.items() if k.startswith(REGRESSION)}
    if not head:
        raise InputError(
            "this model has no contact regression; fit one: protcontact fit-regression"
        )
    with replacing(path) as temporary:
        torch.save({"model": head}, temporary)
    return path


def sha256(path: Path) -> str:
    """Of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
