"""What does a folder of Hugging Face's `EsmForMaskedLM` hold?

``config.json`` and safetensors, in one file or in shards that an index lists. transformers itself
is not needed. Pickled weights (``pytorch_model.bin``) are not read.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ALPHABET
from protcontact.models.pretrained.fair_esm import NOT_LEARNED, REGRESSION, sha256
from protcontact.models.pretrained.file import Pretrained
from protcontact.models.pretrained.layout import TIED, fitted

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
NAMES = (
    (r"^esm\.", ""),
    (r"^embeddings\.word_embeddings\.", "embed_tokens."),
    (r"^embeddings\.position_embeddings\.", "embed_positions."),
    (r"^embeddings\.layer_norm\.", "emb_layer_norm_before."),
    (r"^encoder\.emb_layer_norm_after\.", "emb_layer_norm_after."),
    (r"^encoder\.layer\.", "layers."),
    (r"\.attention\.self\.(query|key|value)\.", lambda m: f".self_attn.{m[1][0]}_proj."),
    (r"\.attention\.output\.dense\.", ".self_attn.out_proj."),
    (r"\.attention\.LayerNorm\.", ".self_attn_layer_norm."),
    (r"\.intermediate\.dense\.", ".fc1."),
    (r"\.output\.dense\.", ".fc2."),
    (r"(layers\.\d+)\.LayerNorm\.", r"\1.final_layer_norm."),
    (r"^lm_head\.decoder\.weight$", TIED),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
)
COMPUTED = re.compile(r"(inv_freq|position_ids|lm_head\.decoder\.bias)$")


def read_hugging_face(folder: Path) -> Pretrained:
    """Read a folder that `EsmForMaskedLM.save_pretrained` has written.

    Args:
        folder: With ``config.json`` and safetensors.

    Returns:
        Content of a pretrained file. Missing and damaged files, another model or alphabet, and
        tensors that do not fit the config are an `InputError`.
    """
    config = _json(folder / CONFIG)
    _refuse_others(folder, config)
    files = _files(folder)
    tensors = {}
    for name, value in _tensors(files).items():
        if not COMPUTED.search(name):
            tensors[_renamed(name)] = value
    architecture = _architecture(folder / CONFIG, config, tensors)
    if architecture["positions"] == 0:
        width = architecture["channels"] // max(architecture["heads"], 1)
        theta = float(config.get("rope_theta") or 10_000.0)
        turns = 1.0 / (theta ** (torch.arange(0, width, 2).float() / max(width, 1)))
        for layer in range(architecture["layers"]):
            tensors[f"layers.{layer}.self_attn.rot_emb.inv_freq"] = turns.clone()
    source = {
        "library": "transformers",
        "file": folder.name,
        "version": str(config.get("transformers_version", "unknown")),
        "sha256": {file.name: sha256(file) for file in files},
    }
    return fitted(folder, architecture, tensors, source)


def _renamed(name: str) -> str:
    for pattern, new in NAMES:
        name = re.sub(pattern, new, name)
    return name


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); give a folder that EsmForMaskedLM.save_pretrained "
            "has written"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no options; give a folder of EsmForMaskedLM")
    return found


def _refuse_others(folder: Path, config: Mapping[str, Any]) -> None:
    if config.get("model_type") != "esm" or config.get("is_folding_model"):
        raise InputError(
            f"{folder / CONFIG}: is a {config.get('model_type')!r} model"
            f"{' that folds' if config.get('is_folding_model') else ''}; only ESM-2, ESM-1b and "
            "ESM-1v can be imported (EsmForMaskedLM)"
        )
    tokens = config.get("vocab_list")
    vocabulary = folder / "vocab.txt"
    if tokens is None and vocabulary.is_file():
        tokens = vocabulary.read_text(encoding="utf-8").split()
    if tokens is not None and list(tokens) != ALPHABET.all_toks:
        raise InputError(
            f"{folder}: its alphabet is not that of ESM-1b and ESM-2: {' '.join(map(str, tokens))}"
        )


def _files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        shards = set(_json(folder / INDEX).get("weight_map", {}).values())
        outside = [name for name in shards if Path(str(name)).name != name]
        if outside or not shards:
            raise InputError(f"{folder / INDEX}: names files outside of the folder: {outside}")
        return [folder / name for name in sorted(shards)]
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder} has neither {WEIGHTS} nor {INDEX}; pickled weights are not read: load and "
            "save them with EsmForMaskedLM.save_pretrained"
        )
    return [folder / WEIGHTS]


def _tensors(files: list[Path]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            found |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{file} cannot be read ({error}); it is missing, damaged or cut off: download it "
                "again"
            ) from error
    return found


def _architecture(
    path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Any]:
    positions = tensors.get("embed_positions.weight")
    try:
        channels = int(config["hidden_size"])
        return {
            "channels": channels,
            "layers": int(config["num_hidden_layers"]),
            "heads": int(config["num_attention_heads"]),
            "expansion": int(config["intermediate_size"]) // channels,
            "positions": 0 if positions is None else len(positions) - NOT_LEARNED,
            "norm_before": bool(config.get("emb_layer_norm_before")),
            "token_dropout": bool(config.get("token_dropout")),
            "norm_eps": float(config.get("layer_norm_eps", 1e-12)),  # its default there
            "regression": any(name.startswith(REGRESSION) for name in tensors),
        }
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"{path}: lacks or garbles a size of the model ({error!r}); it needs hidden_size, "
            "num_hidden_layers, num_attention_heads and intermediate_size"
        ) from error
