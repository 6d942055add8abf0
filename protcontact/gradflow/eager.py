"""How does a compiled model run as it was written, so that hooks on it fire?"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def eagerly(model: nn.Module) -> AbstractContextManager[object]:
    """Run nothing compiled in here: hooks put on a compiled module never fire, without an error.

    Told from the marks of compilation, as importing ``torch._dynamo`` takes seconds.

    Raises:
        RuntimeError: If the model is compiled and torch too old to run it eagerly nevertheless.
    """
    compiled = getattr(model, "_compiler_ctx", None) is not None or any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    if not compiled:
        return nullcontext()
    if not hasattr(torch.compiler, "set_stance"):
        raise RuntimeError(
            "a compiled model can be run eagerly from torch 2.6 on, and this is torch "
            f"{torch.__version__}; leave out all probes but GradientNorms, UpdateSize and DeadUnits"
        )
    return torch.compiler.set_stance("force_eager")
