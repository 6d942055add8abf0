"""A small language model whose maps are sharp enough that contacts differ from pair to pair."""

from pathlib import Path

import torch

from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.pretrained.file import Pretrained, write_pretrained


def small_model(positions: int = 0, regression: bool = True, seed: int = 0) -> ESM2:
    """ESM-2 (ESM-1b with positions), 2 layers of 2 heads, in evaluation mode."""
    model = ESM2(positions=positions, norm_before=positions > 0, regression=regression)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            spread = 4.0 if name.startswith("contact_head") else 0.5
            weight.copy_(spread * torch.randn(weight.shape, generator=generator))
    return model.eval()


def small_file(path: Path, **arguments: object) -> Path:
    """Write such a model as ``protcontact import`` does."""
    model = small_model(**arguments)
    tensors = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    architecture = {k: v for k, v in model.init_args.items() if k != "checkpoint"}
    write_pretrained(path, Pretrained(architecture, tuple(ALPHABET.all_toks), tensors))
    return path
