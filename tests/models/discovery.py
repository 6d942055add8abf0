"""Finds every encoder and head of the package, so that what is added is tested at once."""

import importlib
import inspect
import pkgutil

from protcontact.models import encoders, heads
from protcontact.models.contract import Encoder, MapHead, PairHead


def leaves(package, family) -> list[type]:
    """Concrete subclasses of `family` that the modules of `package` define."""
    found = []
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for item in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(item)
                and issubclass(item, family)
                and not inspect.isabstract(item)
                and item.__module__ == module.name
            ):
                found.append(item)
    return found


ENCODERS = leaves(encoders, Encoder)
HEADS = [kind for kind in leaves(heads, PairHead) if not issubclass(kind, MapHead)]
MAP_HEADS = leaves(heads, MapHead)  # which cannot be called without an encoder
