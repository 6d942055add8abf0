"""Train, compare and diagnose models that map an amino-acid sequence to its contact map.

Layers, each importing only from those to its left:
``structure <- batch <- {data | models | metrics} <- gradflow <- training <- report <- cli``.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load_pretrained`, which needs torch and fair-esm, when it is asked for.

    Raises:
        AttributeError: If it is another name.
    """
    if name != "load_pretrained":
        raise AttributeError(f"module 'protcontact' has no attribute {name!r}")
    from protcontact.models.pretrained.loading import load_pretrained

    return load_pretrained
