"""How large is the gradient in each block of a network, and in all of it?

The device computes two numbers for each parameter (norm and largest element) with two fused
operations and one stack; one copy brings them to the host, where everything else follows from them:

    norm(block) = sqrt(sum_p norm_p^2)    rms(block) = norm(block) / sqrt(number of elements)
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

INFINITY = float("inf")


def block_of(name: str) -> str:
    """Name of the block that a parameter belongs to.

    A block is an element of a list of modules, the outermost one, or a layer of a recurrence that
    keeps its layers in one module; failing both, the module that owns the parameter.

    Args:
        name: As in ``named_parameters()``.

    Example:
        >>> block_of("encoder.blocks.3.mlp.1.weight"), block_of("rnn.weight_hh_l1_reverse")
        ('encoder.blocks.3', 'rnn.l1')
    """
    *path, leaf = name.split(".")
    for place, part in enumerate(path):
        if part.isdigit():
            return ".".join(path[: place + 1])
    layer = re.search(r"_(l\d+)(_reverse)?$", leaf)
    return ".".join([*path, layer[1]] if layer else path) or leaf


class Parameters(NamedTuple):
    """What a gradient table has a column for, in the order of ``named_parameters()``.

    Attributes:
        names: Of P parameters.
        tensors: The parameters themselves.
    """

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of each."""
        return tuple(tensor.numel() for tensor in self.tensors)


def trainable(model: nn.Module) -> Parameters:
    """Parameters of a model that have a gradient now, wrappers' prefixes taken off their names."""
    found = [
        (name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", ""), parameter)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    ]
    return Parameters(tuple(n for n, _ in found), tuple(p for _, p in found))


def gradient_table(parameters: Sequence[Tensor], scale: Tensor | float = 1.0) -> Tensor:
    """Norm and largest element of each gradient, still on the device.

    Args:
        parameters: P tensors with a ``.grad``.
        scale: What the loss was multiplied by, if the gradients still carry it (fp16).

    Returns:
        ``(2, P)`` float32 or wider: Euclidean norms, and largest absolute elements.

    Raises:
        ValueError: If there are no gradients.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        raise ValueError("there are no gradients; call this after backward() and before zero_grad")
    return torch.stack([norms(gradients), norms(gradients, INFINITY)]) / scale


def norms(tensors: Sequence[Tensor], order: float = 2.0) -> Tensor:
    """``(P,)``: norm of each tensor, as this rank holds it.

    Added up in float32, or in float64 where that is what they are in: in bfloat16 the norm of a
    million elements is off by a part in a thousand.
    """
    wide = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)
    wide = torch.promote_types(wide, torch.float32)
    return torch.stack(torch._foreach_norm(list(tensors), order, wide))


class GradientSummary(NamedTuple):
    """What a table says, on the host.

    Attributes:
        norm: Of all gradients.
        blocks: Block -> its ``norm``, ``rms`` and ``max``.
        nonfinite: Number of parameters with an element that is NaN or infinite.
        offender: The first of these parameters, or "".
        slope: Decades of the rms per block from the first block to the last, by least squares.
            Positive: the gradient vanishes on its way to the input; negative: it explodes. NaN
            with fewer than two blocks whose gradient is finite and above 0.
    """

    norm: float
    blocks: dict[str, dict[str, float]]
    nonfinite: int
    offender: str
    slope: float


def summarize(table: Tensor, names: Sequence[str], sizes: Sequence[int]) -> GradientSummary:
    """Read a table that has been copied to the host.

    Args:
        table: ``(2, P)``, from `gradient_table`.
        names: P parameter names.
        sizes: P numbers of elements.
    """
    lengths, largest = table.double().tolist()
    bad = [not math.isfinite(value) for value in largest]
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(block_of(name), []).append(place)
    blocks = {}
    for block, places in members.items():
        norm = _length(lengths[place] for place in places)
        blocks[block] = {
            "norm": norm,
            "rms": norm / math.sqrt(sum(sizes[place] for place in places)),
            "max": _largest(largest[place] for place in places),
        }
    return GradientSummary(
        norm=_length(lengths),
        blocks=blocks,
        nonfinite=sum(bad),
        offender=next((name for name, is_bad in zip(names, bad, strict=True) if is_bad), ""),
        slope=log_slope(block["rms"] for block in blocks.values()),
    )


def log_slope(values: Iterable[float]) -> float:
    """Least-squares slope of log10 of positive values over their place; NaN with fewer than two."""
    points = [
        (place, math.log10(value))
        for place, value in enumerate(values)
        if value > 0 and math.isfinite(value)
    ]
    if len(points) < 2:
        return math.nan
    x = sum(place for place, _ in points) / len(points)
    y = sum(value for _, value in points) / len(points)
    spread = sum((place - x) ** 2 for place, _ in points)
    return sum((place - x) * (value - y) for place, value in points) / spread


def readings(before: GradientSummary, after: GradientSummary) -> Mapping[str, float]:
    """The numbers of a step under the names that they are logged by.

    Args:
        before: The gradients before clipping.
        after: The same gradients after clipping.
    """
    return {
        "gradflow/global/norm_preclip": before.norm,
        "gradflow/global/norm_postclip": after.norm,
        "gradflow/global/clip_coef": after.norm / before.norm if before.norm > 0 else 1.0,
        "gradflow/global/nonfinite": float(before.nonfinite),
        "gradflow/depth/slope_log10": before.slope,
        **{
            f"gradflow/layer/{block}/{what}": value
            for block, values in before.blocks.items()
            for what, value in values.items()
        },
    }


def _length(values: Iterable[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values))


def _largest(values: Iterable[float]) -> float:
    """The maximum, NaN if one of them is: Python's `max` would drop it."""
    found = list(values)
    return math.nan if any(math.isnan(value) for value in found) else max(found)
