"""One experiment per file, found by name: a subclass of `Experiment` that the file defines.

Add one: a frozen dataclass with title, formula, explanation, source and `measure`. The command, the
page and the contract tests find it by themselves; `ORDER` says where the page tells it.
"""

import importlib
import inspect

from protcontact.gradflow.experiment import Experiment

ORDER = (
    "memory",
    "enhancer",
    "gates",
    "activation",
    "residual",
    "unet",
    "attention",
    "optimizer",
    "ode",
    "adjoint",
)


def experiment(name: str) -> type[Experiment]:
    """The experiment of that name, as yet without sizes.

    Raises:
        KeyError: If there is none.
    """
    if name not in ORDER:
        raise KeyError(f"no experiment {name!r}; there are {', '.join(ORDER)}")
    module = importlib.import_module(f"{__name__}.{name}")
    [found] = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Experiment) and member.__module__ == module.__name__
    ]
    return found
