"""How do compared runs look on a wandb server? A W&B report, made with wandb-workspaces.

`definition` needs no server and no account: it is what `publish` sends. The report shows what wandb
holds of the runs (precision by range, gradient flow, pictures of contact maps, settings), and as
text what `protcontact compare` found, which wandb cannot compute.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protcontact.errors import InputError
from protcontact.metrics.ranges import RANGES
from protcontact.report.compare import Comparison
from protcontact.report.compare_text import markdown
from protcontact.report.runs import Run
from protcontact.training.module import NULL_LABELS

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report

STEP = "trainer/global_step"
PICTURES = ("depth", "distance", "time", "gates")  # of `GradientFlow`
_PROJECT = re.compile(r"[\w.-]+/[\w.-]+")
_WIDTH, _HEIGHT = 8, 8  # of a panel; a report is 24 wide


def definition(found: Comparison, project: str) -> "Report":
    """Describe the report of a comparison.

    Args:
        found: The comparison.
        project: ``entity/project``, where the runs are.

    Returns:
        The report, not sent.

    Raises:
        InputError: If wandb-workspaces is missing, or `project` is no path of a project.
    """
    if not _PROJECT.fullmatch(project):
        raise InputError(f"--wandb-report must be ENTITY/PROJECT, not {project!r}")
    try:
        import wandb_workspaces.reports.v2 as wr
    except ImportError as error:
        raise InputError(
            "a report needs wandb-workspaces: pip install 'wandb-workspaces>=0.3'"
        ) from error
    entity, name = project.split("/")
    runs = [run for model in found.models for run in model.runs]
    shown = wr.Runset(entity=entity, project=name, name="compared", filters=_filter(runs))
    parts: Sequence[tuple[str, list[Any]]] = (
        ("Precision by range", _precision(wr)),
        ("Gradient flow", _gradient(wr)),
        ("Contact maps", [_media(wr, "predicted above, true below", ["val/contact_maps"])]),
    )
    blocks: list[Any] = [wr.H1("Which is better?"), wr.MarkdownBlock(markdown(found))]
    for title, panels in parts:
        blocks += [wr.H1(title), wr.PanelGrid(runsets=[shown], panels=panels)]
    blocks += [wr.H1("Settings"), wr.PanelGrid(runsets=[shown], panels=[_settings(wr)])]
    title = "Contacts: " + ", ".join(model.name for model in found.models)
    return wr.Report(
        project=name,
        entity=entity,
        title=title[:120],
        description=f"{found.column} on the {found.split} split",
        blocks=blocks,
        width="fluid",
    )


def _filter(runs: Sequence[Run]) -> str:
    """By the ids of the runs, as others may have their names; by names where an id is unknown."""
    ids = [_id_of(run) for run in runs]
    known = [each for each in ids if each is not None]
    what, values = ("ID", known) if len(known) == len(ids) else ("Name", [r.name for r in runs])
    return f"Metric('{what}') in [" + ", ".join(map(repr, sorted(set(values)))) + "]"


def _id_of(run: Run) -> str | None:
    """What wandb calls a run: the end of its path there, or of its offline folder."""
    place = Path(run.source)
    if not place.exists():
        return place.name if len(place.parts) == 3 else None
    folders = [place, *(place / "wandb").glob("*run-*")]
    found = [re.fullmatch(r"(?:offline-)?run-\d{8}_\d{6}-(\w+)", each.name) for each in folders]
    return next((match[1] for match in found if match), None)


def _precision(wr: Any) -> list[Any]:
    """For each range the model and its nulls over the training, and the loss."""
    panels = []
    for place, span in enumerate(RANGES):
        names = [f"val/{span.name}/P@L"]
        names += [f"val/{label}/{span.name}/P@L" for label in NULL_LABELS.values()]
        panels.append(_line(wr, f"{span.name} range P@L", names, place))
    return [*panels, _line(wr, "loss", ["train/loss", "val/loss"], len(RANGES))]


def _gradient(wr: Any) -> list[Any]:
    every = wr.LinePlot(
        title="all that GradientFlow logs", x=STEP, metric_regex="gradflow/.*", log_y=True
    )
    every.layout = wr.Layout(x=0, y=0, w=2 * _WIDTH, h=_HEIGHT)
    maps = _media(wr, "by depth and step, by distance", [f"gradflow/{name}" for name in PICTURES])
    maps.layout = wr.Layout(x=2 * _WIDTH, y=0, w=_WIDTH, h=_HEIGHT)
    return [every, maps]


def _line(wr: Any, title: str, names: list[str], place: int) -> Any:
    panel = wr.LinePlot(title=title, x=STEP, y=names)
    across = 24 // _WIDTH
    panel.layout = wr.Layout(
        x=place % across * _WIDTH, y=place // across * _HEIGHT, w=_WIDTH, h=_HEIGHT
    )
    return panel


def _media(wr: Any, title: str, keys: list[str]) -> Any:
    panel = wr.MediaBrowser(title=title, media_keys=keys, num_columns=2)
    panel.layout = wr.Layout(x=0, y=0, w=24, h=2 * _HEIGHT)
    return panel


def _settings(wr: Any) -> Any:
    panel = wr.RunComparer(diff_only="split")
    panel.layout = wr.Layout(x=0, y=0, w=24, h=_HEIGHT)
    return panel


def publish(found: Comparison, project: str) -> str:
    """Send the report to a server.

    Args:
        found: The comparison.
        project: ``entity/project``.

    Returns:
        Its address.

    Raises:
        InputError: If the server refuses, or `definition` does.
    """
    report = definition(found, project)
    from wandb.errors import Error

    try:
        report.save()
    except (Error, OSError, ValueError) as error:
        raise InputError(
            f"wandb refuses the report for {project} ({error}); `wandb login`"
        ) from error
    return str(report.url)
