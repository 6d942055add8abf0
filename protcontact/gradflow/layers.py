"""How large is the gradient in each block of a network, and in all of it?

The device computes two numbers for each parameter, norm and largest element, and one copy brings
them to the host, where everything else follows from them:

    norm(block) = sqrt(sum_p norm_p^2)    rms(block) = norm(block) / sqrt(number of elements)
"""

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

INFINITY = float("inf")
PIECE = 1 << 15  # elements that float32 adds up to 1e-6
HELD = 1e-15, 1e18  # norms whose squares float32 holds


@cache
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


def plain_name(name: str) -> str:
    """Name of a parameter or module without what `torch.compile` and checkpointing put into it."""
    return name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", "")


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
        """Number of elements of each, over all ranks."""
        return tuple(tensor.numel() for tensor in self.tensors)

    @property
    def sharded(self) -> bool:
        """Whether a rank holds only a part of them (FSDP2)."""
        return any(is_sharded(tensor) for tensor in self.tensors)

    def holders(self, ranks: int) -> tuple[float, ...]:
        """How many of the ranks hold each element of each: 1 where it is sharded over all."""
        return tuple(ranks / _shards(tensor) for tensor in self.tensors)


def _shards(tensor: Tensor) -> int:
    """Into how many parts a tensor is cut."""
    if not is_sharded(tensor):
        return 1
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]
    return math.prod(mesh.size(axis) for axis, place in enumerate(placements) if place.is_shard())


def trainable(model: nn.Module, optimizer: Optimizer | None = None) -> Parameters:
    """Parameters of a model that have a gradient now, wrappers' prefixes taken off their names.

    Args:
        model: The model.
        optimizer: Only those that it will move; all without one.
    """
    return _with_gradient(_named(model, None if optimizer is None else _moved(optimizer)))


class Roster:
    """`trainable` for step after step: asks the model for names again only if it must.

    That is, where the optimizer moves other parameters than before.
    """

    def __init__(self) -> None:
        self._moved: list[Tensor] = []  # held, so that no other tensor takes their identity
        self._named: list[tuple[str, Tensor]] = []

    def read(self, model: nn.Module, optimizer: Optimizer) -> Parameters:
        """Parameters of the model that the optimizer moves and that have a gradient now."""
        moved = _moved(optimizer)
        if list(map(id, moved)) != list(map(id, self._moved)):
            self._moved, self._named = moved, _named(model, moved)
        return _with_gradient(self._named)


def _named(model: nn.Module, chosen: Sequence[Tensor] | None) -> list[tuple[str, Tensor]]:
    ids = None if chosen is None else set(map(id, chosen))
    return [
        (plain_name(name), parameter)
        for name, parameter in model.named_parameters()
        if parameter.numel() and (ids is None or id(parameter) in ids)
    ]


def _with_gradient(named: Sequence[tuple[str, Tensor]]) -> Parameters:
    found = [(name, parameter) for name, parameter in named if parameter.grad is not None]
    return Parameters(tuple(n for n, _ in found), tuple(p for _, p in found))


def _moved(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def gradient_table(
    parameters: Sequence[Tensor], scale: Tensor | float = 1.0, *, largest: bool = True
) -> Tensor:
    """Norm and largest element of each gradient, still on the device.

    Args:
        parameters: P tensors with a ``.grad``. Of a sharded one, this rank's part is read.
        scale: What the loss was multiplied by, if the gradients still carry it (fp16).
        largest: Whether to look for the largest elements, which takes as long as the norms.

    Returns:
        ``(2, P)`` float64: Euclidean norms, and largest absolute elements; ``(1, P)`` without.

    Raises:
        ValueError: If there are no gradients.
    """
    gradients = local([p.grad for p in parameters if p.grad is not None])
    if not gradients:
        raise ValueError("there are no gradients; call this after backward() and before zero_grad")
    rows = [norms(gradients)]
    if largest:
        rows.append(_largest_elements(gradients))
    return torch.stack(rows) / scale


def local(tensors: Iterable[Tensor]) -> list[Tensor]:
    """This rank's part of each tensor: the whole of it, unless it is sharded (FSDP2).

    A rank without a part, of a tensor with fewer rows than ranks, gets a zero.
    """
    parts = [_to_local(tensor) for tensor in tensors]
    return [part if part.numel() else part.new_zeros(1) for part in parts]


def _to_local(tensor: Any) -> Tensor:
    part = tensor.to_local() if is_sharded(tensor) else tensor
    return part.to_dense() if part.is_sparse else part


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a `DTensor`, told without the second that importing it takes."""
    return type(tensor) not in (Tensor, nn.Parameter) and hasattr(tensor, "to_local")


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """``(P,)`` float64: Euclidean norm of each tensor, as if squared and added up in float64.

    In float32 the norm of a million elements is off by 1e-5, and gradients below 1e-23, which is
    what vanished ones look like, have a norm of 0. A GPU counts in float64 at no cost. A processor
    takes twenty times longer for it, so there float32 adds up pieces that it is exact to 1e-6 on,
    and float64 only those whose squares it cannot hold.
    """
    if tensors[0].device.type == "cpu":
        return _norms_by_pieces(tensors)
    return torch.stack(torch._foreach_norm(list(tensors), 2.0, widest(tensors[0].device)))


def _norms_by_pieces(tensors: Sequence[Tensor]) -> Tensor:
    pieces: list[Tensor] = []
    owners: list[int] = []
    for place, tensor in enumerate(tensors):
        parts = tensor.reshape(-1).split(PIECE) if tensor.numel() > PIECE else (tensor,)
        pieces.extend(parts)
        owners.extend([place] * len(parts))
    # squares of bfloat16 have few digits, and the errors of their sum all go one way
    single = all(tensor.dtype == torch.float32 for tensor in tensors)
    wide = torch.float32 if single else torch.float64
    found = torch.stack(torch._foreach_norm(pieces, 2.0, wide)).double()
    for place, norm in enumerate(found.tolist()):
        if not HELD[0] < norm < HELD[1]:
            found[place] = torch.linalg.vector_norm(pieces[place], dtype=torch.float64)
    if len(pieces) == len(tensors):
        return found
    sums = found.new_zeros(len(tensors)).index_add_(0, torch.tensor(owners), found**2)
    return sums.sqrt()


def widest(device: torch.device) -> torch.dtype:
    """The widest floating type of a device: float64, but on Apple's GPUs float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def _largest_elements(tensors: Sequence[Tensor]) -> Tensor:
    """``(P,)`` float64: largest absolute element of each tensor; NaN if one is."""
    if tensors[0].is_cuda:
        return torch.stack(torch._foreach_norm(list(tensors), INFINITY)).double()
    # without a GPU the fused norm takes ten times longer than one call for each tensor
    extremes = [tensor.aminmax() for tensor in tensors]
    lowest, highest = (torch.stack(found) for found in zip(*extremes, strict=True))
    return torch.maximum(-lowest, highest).to(widest(tensors[0].device))


def join(tables: Tensor, holders: Sequence[float]) -> Tensor:
    """Put together what ranks have found in their parts of sharded gradients.

    Args:
        tables: ``(ranks, 2, P)``, from `gradient_table` on each rank; or ``(ranks, 1, P)``.
        holders: P numbers, from `Parameters.holders`.

    Returns:
        ``(2, P)`` or ``(1, P)``: what a process that holds everything would have found.
    """
    return torch.cat([join_norms(tables[:, 0], holders)[None], tables[:, 1:].amax(dim=0)])


def join_norms(rows: Tensor, holders: Sequence[float]) -> Tensor:
    """``(ranks, P) -> (P,)``: norms of sharded tensors from the norms of their parts."""
    return ((rows**2).sum(dim=0) / rows.new_tensor(holders)).sqrt()


class GradientSummary(NamedTuple):
    """What a table says, on the host.

    Attributes:
        norm: Of all gradients.
        blocks: Block -> its ``norm``, ``rms`` and, if looked for, ``max``.
        nonfinite: Number of parameters with an element that is NaN or infinite.
        offender: The first of these parameters, or "".
        depth: The blocks in the order of their definition, which is taken for their depth. Less
            those of the model's own parameters, which stand first whatever they are for.
        slope: Decades of the rms per block along `depth`, by least squares. Positive: the gradient
            vanishes on its way to the input; negative: it explodes. NaN with fewer than two blocks
            whose gradient is finite and above 0.
    """

    norm: float
    blocks: dict[str, dict[str, float]]
    nonfinite: int
    offender: str
    depth: tuple[str, ...]
    slope: float


def summarize(table: Tensor, names: Sequence[str], sizes: Sequence[int]) -> GradientSummary:
    """Read a table that has been copied to the host.

    Args:
        table: ``(2, P)`` or ``(1, P)``, from `gradient_table`.
        names: P parameter names.
        sizes: P numbers of elements.
    """
    lengths, *largest = table.double().tolist()
    bad = [not math.isfinite(value) for value in lengths]
    blocks = {}
    for block, places in places_of_blocks(tuple(names)).items():
        norm = math.hypot(*(lengths[place] for place in places))
        blocks[block] = {
            "norm": norm,
            "rms": norm / math.sqrt(sum(sizes[place] for place in places)),
        }
        if largest:
            blocks[block]["max"] = _largest(largest[0][place] for place in places)
    depth = _depth(tuple(names))
    return GradientSummary(
        norm=math.hypot(*lengths),
        blocks=blocks,
        nonfinite=sum(bad),
        offender=next((name for name, is_bad in zip(names, bad, strict=True) if is_bad), ""),
        depth=depth,
        slope=log_slope(blocks[block]["rms"] for block in depth),
    )


@lru_cache(maxsize=16)
def places_of_blocks(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Block -> places of its parameters among `names`."""
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(block_of(name), []).append(place)
    return members


@lru_cache(maxsize=16)
def _depth(names: tuple[str, ...]) -> tuple[str, ...]:
    inner = {block_of(name) for name in names if "." in name}
    return tuple(block for block in places_of_blocks(names) if block in inner or not inner)


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


def readings(summary: GradientSummary, *, detail: bool = True) -> dict[str, float]:
    """The numbers of a step before clipping by their names below ``gradflow/``.

    Args:
        summary: Of all parameters.
        detail: All there is of each block; without, only its norm.
    """
    found = {
        "global/norm_preclip": summary.norm,
        "global/nonfinite": float(summary.nonfinite),
        "depth/slope_log10": summary.slope,
    }
    for block, values in summary.blocks.items():
        shown = values if detail else ("norm",)
        found |= {f"layer/{block}/{what}": values[what] for what in shown}
    return found


def clipping(
    before: Sequence[float], after: Sequence[float], names: Sequence[str]
) -> dict[str, float]:
    """What clipping has left, by names below ``gradflow/``.

    Args:
        before: P norms of gradients before clipping.
        after: P norms of the same gradients after clipping.
        names: P parameter names; none for the whole alone.
    """
    first, second = math.hypot(*before), math.hypot(*after)
    blocks = places_of_blocks(tuple(names)).items()
    return {
        "global/norm_postclip": second,
        "global/clip_coef": 1.0 if first == 0 else second / first,
        **{f"layer/{b}/norm_postclip": math.hypot(*(after[at] for at in p)) for b, p in blocks},
    }


def _largest(values: Iterable[float]) -> float:
    """The maximum, NaN if one of them is: Python's `max` would drop it."""
    found = list(values)
    return math.nan if any(math.isnan(value) for value in found) else max(found)
