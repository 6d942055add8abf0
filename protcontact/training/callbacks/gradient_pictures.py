"""What do people look at when they ask where the gradient goes?

Keeps what was measured so far, writes the curves as rows of a table, and draws: the gradient over
depth and training, over time steps, over distances, and the gates.
"""

import csv
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from protcontact.figures.contact_map import to_array
from protcontact.figures.gradient_flow import draw_curves, draw_depth_profile, draw_gates

FOLDER = "gradient_flow"
COLUMNS = 512  # of the heat map; with more readings every second one is dropped


class GradientPictures:
    """What was measured in a run, for drawing."""

    def __init__(self) -> None:
        self._profiles: list[tuple[int, dict[str, float]]] = []
        self._first: tuple[int, dict[str, Sequence[float]]] | None = None
        self._curves: dict[str, Sequence[float]] = {}
        self._step = 0

    def add(
        self,
        folder: Path,
        step: int,
        rms: Mapping[str, float],
        curves: Mapping[str, Sequence[float]],
    ) -> None:
        """Take in a reading and write its curves to ``gradient_flow/curves.csv``.

        Args:
            folder: Of the run.
            step: Optimizer steps before this one.
            rms: Block -> rms of its gradient.
            curves: Name below ``gradflow/`` -> values by place.
        """
        self._profiles.append((step, dict(rms)))
        if len(self._profiles) > COLUMNS:
            del self._profiles[1::2]
        if curves:
            self._first = self._first or (step, dict(curves))
            self._curves, self._step = dict(curves), step
            _write(folder / FOLDER / "curves.csv", step, curves)

    def draw(self, folder: Path) -> dict[str, np.ndarray]:
        """Draw what there is as PNG files into ``gradient_flow/``.

        Returns:
            Name of the picture -> ``(height, width, 3)`` uint8.
        """
        if importlib.util.find_spec("matplotlib") is None:
            rank_zero_warn("no gradient flow is drawn: `pip install matplotlib` to have pictures")
            return {}
        images = self._depth() | self._distances() | self._gates()
        from PIL import Image  # comes with matplotlib

        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for name, image in images.items():
            Image.fromarray(image).save(folder / FOLDER / f"{name}.png")
        return images

    def _depth(self) -> dict[str, np.ndarray]:
        blocks = list(dict.fromkeys(block for _, rms in self._profiles for block in rms))
        if not blocks:
            return {}
        table = np.array([[rms.get(b, np.nan) for _, rms in self._profiles] for b in blocks])
        steps = [step for step, _ in self._profiles]
        return {"depth": to_array(draw_depth_profile(steps, blocks, table, "gradient by block"))}

    def _distances(self) -> dict[str, np.ndarray]:
        images = {}
        through_time = self._named("time/", "/log10_costate")
        if through_time:
            figure = draw_curves(
                through_time,
                "time steps back",
                "log10 costate",
                f"what reaches earlier time steps, at step {self._step}",
            )
            images["time"] = to_array(figure)
        readings = [] if self._first is None else [self._first, (self._step, self._curves)]
        by_distance = {f"step {s}": c["dist/curve"] for s, c in readings if "dist/curve" in c}
        if by_distance:
            figure = draw_curves(
                by_distance,
                "distance |i - j|, residues",
                "log10 gradient",
                "d output(i) / d input(j) of the encoder",
            )
            images["distance"] = to_array(figure)
        return images

    def _gates(self) -> dict[str, np.ndarray]:
        layers: dict[str, dict[str, Sequence[float]]] = {}
        for name, values in self._named("lstm/", "_hist").items():
            layer, _, gate = name.rpartition("/")
            layers.setdefault(layer, {})[gate] = values
        # what all names begin with says nothing
        shared = len(os.path.commonprefix([f"{layer}." for layer in layers]).rpartition(".")[0])
        layers = {name[shared:].lstrip(".") or name: gates for name, gates in layers.items()}
        if not layers:
            return {}
        return {"gates": to_array(draw_gates(layers, f"gates of the LSTMs, at step {self._step}"))}

    def _named(self, start: str, end: str) -> dict[str, Sequence[float]]:
        return {
            name.removeprefix(start).removesuffix(end): values
            for name, values in sorted(self._curves.items())
            if name.startswith(start) and name.endswith(end)
        }


def _write(file: Path, step: int, curves: Mapping[str, Sequence[float]]) -> None:
    """Append rows of step, name, place and value."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_new = not file.exists()
    with file.open("a", newline="") as stream:
        table = csv.writer(stream)
        if is_new:
            table.writerow(["step", "name", "place", "value"])
        table.writerows(
            (step, name, place, f"{value:.6g}")
            for name, values in curves.items()
            for place, value in enumerate(values)
        )
