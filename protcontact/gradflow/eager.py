"""How does a compiled model run as it was written, so that hooks on it fire?"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def eagerly(model: nn.Module) -> AbstractContextManager[object]:
    """Run nothing compiled in here: hooks put on a compiled module never fire, without an error.

    Told from the marks of compilation, as importing ``torch._dynamo`` takes seconds.
    """
    compiled = getattr(model, "_compiler_ctx", None) is not None or any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()
