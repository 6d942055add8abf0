"""Which parts of a model can be compiled, so that no length of a chain compiles them again?

Encoder and head are compiled by themselves, in place: names of parameters and everything that is
saved stay as they are. Sizes are symbols from the first batch on, so a part is compiled once for
training and once for evaluation, and once more for a batch of a single chain, a size that compilers
take for a constant. A head that works on cells of ``patch`` residues asks whether the length is
a multiple of it: pad all batches to multiples (``--data.length_multiple 8``), or both answers are
compiled.

Recurrent encoders are left as they are. Their layers are one call of a library each, in which a
compiler finds nothing to fuse: it would end its graph at each of them, or else unroll them step by
step, which compiles anew for each length. Their head is compiled all the same.
"""

from torch import nn

from protcontact.errors import InputError
from protcontact.models.contract import ContactModel, MapHead


def compile_in_place(model: ContactModel, backend: object = "inductor") -> list[str]:
    """Compile what can be compiled whole; a break in it is an error when it first runs.

    Args:
        model: Runs compiled from now on.
        backend: As for `torch.compile`.

    Returns:
        Names of the parts that were compiled.

    Raises:
        InputError: If the head reads attention maps while they exist.
    """
    if isinstance(model.head, MapHead):
        raise InputError(
            f"{type(model.head).__name__} looks into the encoder while it runs, which cannot be "
            "compiled; leave out --model.compile"
        )
    names = [name for name in ("encoder", "head") if not _recurrent(model.get_submodule(name))]
    for name in names:
        model.get_submodule(name).compile(fullgraph=True, dynamic=True, backend=backend)
    return names


def _recurrent(part: nn.Module) -> bool:
    return any(isinstance(module, nn.RNNBase) for module in part.modules())
