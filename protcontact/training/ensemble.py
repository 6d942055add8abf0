"""How do the checkpoints of several runs become one that is scored and used like any other?

The file describes an `EncoderEnsemble` and a `HeadEnsemble`. It holds no optimizer: it is there to
be scored and to predict, not to be trained on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from protcontact.errors import InputError
from protcontact.models.contract import ContactModel, MapHead
from protcontact.models.encoders.ensemble import EncoderEnsemble
from protcontact.models.heads.ensemble import HeadEnsemble
from protcontact.training.checkpoint import FORMAT, KEY, describe, load_model, read_checkpoint

# What Lightning wants to find in a file that it scores.
KEPT = ("epoch", "global_step", "pytorch-lightning_version")


def join(paths: Sequence[str | Path], allow: Sequence[str] = ()) -> dict[str, Any]:
    """Make the content of the checkpoint of an ensemble.

    Args:
        paths: Files of ``protcontact fit``, trained on the same chains.
        allow: Packages besides ``protcontact`` whose classes may be built.

    Returns:
        What `torch.save` is to write.

    Raises:
        InputError: If there are fewer than two files, one cannot be used or comes without the
            data that it was trained on, they were trained on different chains, or a head reads
            attention maps.
    """
    if len(paths) < 2:
        raise InputError("an ensemble needs two checkpoints or more; name them one after another")
    contents = [read_checkpoint(path) for path in paths]
    first = contents[0][KEY]
    for path, content in zip(paths, contents, strict=True):
        absent = [name for name in ("prior", "trained_on") if name not in content[KEY]]
        absent += [name for name in KEPT if name not in content]
        if absent:
            raise InputError(
                f"checkpoint {path} holds a model without its training (no {', '.join(absent)}); "
                "give a .ckpt file of protcontact fit"
            )
        if not torch.equal(content[KEY]["trained_on"], first["trained_on"]):
            raise InputError(
                f"checkpoint {path} was trained on other chains than {paths[0]}: a chain that is "
                "new to one may be known to the other; join runs of one split"
            )
    model = _joined(paths, [load_model(path, allow) for path in paths])
    return {
        **{name: contents[0][name] for name in KEPT},
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
        KEY: {
            "format": FORMAT,
            "encoder": describe(model.encoder),
            "head": describe(model.head),
            "prior": first["prior"],
            "trained_on": first["trained_on"],
            "objective": first["objective"],
        },
    }


def _joined(paths: Sequence[str | Path], models: list[ContactModel]) -> ContactModel:
    """Put the models side by side.

    Raises:
        InputError: If a head reads attention maps.
    """
    for path, model in zip(paths, models, strict=True):
        if isinstance(model.head, MapHead):
            raise InputError(
                f"checkpoint {path} has the head {type(model.head).__name__}, which reads "
                "attention maps; an ensemble hands on vectors only"
            )
    encoder = EncoderEnsemble([model.encoder for model in models])
    return ContactModel(
        encoder, HeadEnsemble(encoder.out_channels, [model.head for model in models])
    )
