"""From a protein language model and many sequences to files of contacts and a report.

The longest come first, so that a want of memory shows at once; inputs of similar length share a
forward pass. What an earlier run finished is not done again. Inputs that fail are named in the
report, and the others go on.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.complexes import LINKER, Joint, check_gap, join_chains
from protcontact.models.pretrained.contact_memory import (
    GIGA,
    contact_bytes,
    writing_bytes,
)
from protcontact.models.pretrained.tiling import TILE, Mosaic, Seam, Window, windows
from protcontact.report.contact_files import (
    PICTURED,
    fingerprint,
    read_finished,
    write_contacts,
)
from protcontact.report.contact_inputs import Wanted
from protcontact.report.contact_report import Row, numbers_of
from protcontact.report.prediction import out_of_memory
from protcontact.training.host_memory import available_bytes

# Of a batch. Of short inputs not the pairs but the vectors take the memory: 16 C floats per letter,
# 1.3 GB of ESM-2 650M.
LETTERS = 2**14
PAIRS = 2**22  # four windows of 1,022: more at once is no faster, and the sums of a batch 34 MB


@dataclass(frozen=True)
class Options:
    """How to predict.

    Attributes:
        dtype: Of the products; weights, softmax, sums and correction stay in float32.
        tile: W, letters of a window; None: whole sequences, and windows of 1,022 (or as many as the
            model has positions for) where a whole one does not fit.
        overlap: O, what neighbouring windows share at least; None: W // 2.
        linker: Glycines between chains.
        gap: Places that the residue index skips between chains.
        pairs: Most padded pairs of a batch.
        memory: Bytes that may be used; None: what is free.
        overwrite: Whether to do again what is there.
    """

    dtype: torch.dtype = torch.float32
    tile: int | None = None
    overlap: int | None = None
    linker: int = LINKER
    gap: int = 0
    pairs: int = PAIRS
    memory: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class _Plan:
    wanted: Wanted
    joint: Joint
    tiles: list[Window]
    mark: str


@dataclass(frozen=True)
class _Found:
    """``(T, T)``, NaN where no window held the pair; whether the model gave numbers throughout."""

    joined: np.ndarray
    seam: Seam
    is_finite: bool


Advance = Callable[[int, str], None]


def check_options(model: ESM2, options: Options) -> None:
    """Refuse what cannot work with any sequence.

    Raises:
        InputError: If the model has no contact regression, a window is longer than its positions,
            the overlap is not below the window, or the gap needs rotary positions.
    """
    if not model.has_regression:
        raise InputError(
            "this model has no contact regression; fit one with protcontact fit-regression, or "
            "import it together with its -contact-regression.pt"
        )
    check_gap(options.gap, model.longest)
    width = _width(model, options)
    if model.longest is not None and width > model.longest:
        raise InputError(
            f"--tile {width} is more than the {model.longest} residues that the learned positions "
            f"of this model reach over; give --tile {model.longest} or less"
        )
    if options.overlap is not None and options.overlap >= width:
        raise InputError(
            f"--overlap {options.overlap} must be below the window of {width} residues; half of it "
            "is the default"
        )


def _width(model: ESM2, options: Options) -> int:
    if options.tile is not None:
        return options.tile
    return TILE if model.longest is None else min(TILE, model.longest)


def predict_contacts(
    model: ESM2,
    wanted: Sequence[Wanted],
    out: Path,
    checkpoint: str,
    options: Options | None = None,
    advance: Advance = lambda items, note: None,
) -> list[Row]:
    """Predict all inputs and write their files.

    Args:
        model: In evaluation mode, where it shall run.
        wanted: With unique names.
        out: Existing folder.
        checkpoint: Hash of the model's file.
        options: How.
        advance: Told after each input.

    Returns:
        One row per input, in order.

    Unusable options are an `InputError`.
    """
    options = options or Options()
    check_options(model, options)
    job = _Job(model, out, checkpoint, options, advance)
    plans = [plan for item in wanted if (plan := job.plan(item)) is not None]
    for batch in batches(plans, options.pairs):
        job.run(batch)
    return [job.rows[item.target.name] for item in wanted]


def at_once(longest: int, budget: int) -> int:
    """How many inputs or windows share a forward pass; at least one.

    Args:
        longest: Letters of the longest.
        budget: Most padded pairs.
    """
    return max(1, min(budget // longest**2, LETTERS // longest))


def batches(plans: Sequence[_Plan], budget: int) -> Iterator[list[_Plan]]:
    """Divide the work; tiled inputs are alone.

    Args:
        plans: In any order.
        budget: Most padded pairs of a batch; a longer input is alone.

    Yields:
        Batches, the longest inputs first.
    """
    batch: list[_Plan] = []
    for plan in sorted(plans, key=lambda plan: (-len(plan.joint), plan.wanted.target.name)):
        is_tiled = len(plan.tiles) > 1
        longest = len(batch[0].joint) if batch else 0
        if batch and (is_tiled or len(batch) == at_once(longest, budget)):
            yield batch
            batch = []
        if is_tiled:
            yield [plan]
        else:
            batch.append(plan)
    if batch:
        yield batch


def _free(device: torch.device, given: int | None) -> tuple[float, float]:
    """Bytes that may be used on the device and on the host; no end where none is told."""
    host = available_bytes() if given is None else given
    on_host = math.inf if host is None else host
    if device.type == "cuda" and given is None:
        return torch.cuda.mem_get_info(device)[0], on_host
    return on_host, on_host


class _Job:
    """Model, place and options, and the rows so far."""

    def __init__(
        self, model: ESM2, out: Path, checkpoint: str, options: Options, advance: Advance
    ) -> None:
        self.model, self.out, self.options, self.advance = model, out, options, advance
        self.rows: dict[str, Row] = {}
        [self.device] = {parameter.device for parameter in model.parameters()}
        self.made_with: dict[str, object] = {
            "checkpoint": checkpoint,
            "dtype": str(options.dtype),
            "tile": options.tile,
            "overlap": options.overlap,
        }
        self.room, self.host = _free(self.device, options.memory)

    def close(self, wanted: Wanted, **more: object) -> None:
        """Note what became of an input."""
        target = wanted.target
        told = (target.name, target.source, len(target.chain), len(wanted.chains))
        self.rows[target.name] = Row(*told, **more)  # type: ignore[arg-type]
        self.advance(1, target.name)

    def plan(self, wanted: Wanted) -> _Plan | None:
        """None if there is nothing to do, or nothing can be done."""
        made_with = dict(self.made_with)
        if wanted.is_complex:
            made_with |= {"linker": self.options.linker, "gap": self.options.gap}
        mark = fingerprint(wanted, made_with)
        found = None if self.options.overwrite else read_finished(self.out, wanted, mark)
        if found is not None:
            self.close(wanted, numbers=found, was_there=True)
            return None
        joint = join_chains(wanted.chains, self.options.linker, self.options.gap)
        try:
            tiles = self._tiles(joint)
            self.model.ids_of([joint.sequence])
        except InputError as error:
            self.close(wanted, problem=str(error))
            return None
        return _Plan(wanted, joint, tiles, mark)

    def _tiles(self, joint: Joint) -> list[Window]:
        """Whole if the user, the positions and the memory allow it, else windows.

        Raises:
            InputError: If windows do not fit, either.
        """
        T = len(joint)
        width = _width(self.model, self.options)
        cut = windows(T, width, self.options.overlap)
        whole = [Window(0, T)]
        if self.options.tile is None and self.model.longest is None and self._short(whole, T) == 0:
            return whole
        short = self._short(cut, T)
        if short:
            raise InputError(
                f"{T} residues need {short / GIGA:.3g} GB even in windows of {min(width, T)}, and "
                f"{min(self.room, self.host) / GIGA:.3g} GB are free; cut the sequence into its "
                "domains, or take a machine with more memory"
            )
        return cut

    def _short(self, tiles: list[Window], T: int) -> int:
        """Bytes that are needed, if they are not there; else 0."""
        model = contact_bytes(self.model, max(map(len, tiles)), self.options.dtype)
        files = writing_bytes(T, tiles, T <= PICTURED)
        if model <= self.room and files <= self.host:
            return 0
        return max(model, files)

    def run(self, plans: list[_Plan]) -> None:
        """Predict a batch; if it does not fit into memory, one by one.

        Raises:
            RuntimeError: If the model fails for another reason.
        """
        found = None
        try:
            found = self._predict(plans)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        except MemoryError:  # of numpy, which joins the windows
            found = None
        if found is not None:
            for plan, one in zip(plans, found, strict=True):
                self._finish(plan, one)
        elif len(plans) > 1:
            for plan in plans:
                self.run([plan])
        else:
            [plan] = plans
            widest = max(map(len, plan.tiles))
            problem = (
                f"{widest} residues at once do not fit into the memory of {self.device}; give "
                f"--pairs 1, or --tile {max(1, widest // 2)} or less"
            )
            self.close(plan.wanted, problem=problem)

    def _predict(self, plans: list[_Plan]) -> list[_Found]:
        """Of untiled inputs, or of one tiled."""
        if len(plans[0].tiles) == 1:
            maps = self._forward([(plan.joint, plan.tiles[0]) for plan in plans])
            return [_Found(found, Seam(), bool(np.isfinite(found).all())) for found in maps]
        [plan] = plans
        mosaic = Mosaic(len(plan.joint))
        step = at_once(len(plan.tiles[0]), self.options.pairs)
        is_finite = True
        for start in range(0, len(plan.tiles), step):
            tiles = plan.tiles[start : start + step]
            maps = self._forward([(plan.joint, tile) for tile in tiles])
            for tile, found in zip(tiles, maps, strict=True):
                is_finite &= bool(np.isfinite(found).all())
                mosaic.add(tile, found)
        return [_Found(mosaic.joined(), mosaic.seam(), is_finite)]

    def _forward(self, pieces: Sequence[tuple[Joint, Window]]) -> list[np.ndarray]:
        """Probabilities of windows of sequences, in one pass."""
        ids, mask = self.model.ids_of([joint.sequence[w.start : w.stop] for joint, w in pieces])
        index = torch.zeros(mask.shape, dtype=torch.int64)
        for row, (joint, window) in enumerate(pieces):
            index[row, : len(window)] = torch.from_numpy(joint.index[window.start : window.stop])
        half = self.options.dtype != torch.float32
        with torch.autocast(self.device.type, self.options.dtype, enabled=half):
            logits = self.model.contact_logits_of_ids(ids, mask, index.to(mask.device))
        sizes = [len(window) for _, window in pieces]
        return [
            logits[row, :size, :size].float().sigmoid().cpu().numpy()
            for row, size in enumerate(sizes)
        ]

    def _finish(self, plan: _Plan, found: _Found) -> None:
        """Write what was found, or note why that cannot be."""
        wanted = plan.wanted
        if not found.is_finite:
            problem = f"the model gives NaN in {self.options.dtype}; try --dtype float32"
            self.close(wanted, problem=problem)
            return
        try:
            cut = plan.joint.cut(found.joined)
            numbers = numbers_of(wanted, cut, len(plan.tiles), found.seam)
            write_contacts(self.out, wanted, cut, plan.mark, numbers)
        except MemoryError:
            residues = len(wanted.target.chain)
            problem = (
                f"writing the map of {residues} residues exhausts the memory; cut the sequence "
                "into its domains, or take a machine with more"
            )
            self.close(wanted, problem=problem)
            return
        self.close(wanted, numbers=numbers)
