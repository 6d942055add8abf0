"""The definition of a W&B report, which needs no server."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from protcontact.errors import InputError
from protcontact.report import wandb_report
from protcontact.report.compare import compare
from protcontact.report.runs import make_run
from protcontact.report.wandb_report import definition, publish
from tests.report.stored_runs import settings, tables
from tests.report.test_compare import trio

wr = pytest.importorskip("wandb_workspaces.reports.v2", reason="wandb-workspaces is missing")


@pytest.fixture(scope="module", autouse=True)
def wandb_forgets():
    """What wandb has read of the environment; other tests of this process set another one."""
    yield
    __import__("wandb").teardown()


@pytest.fixture(scope="module")
def report():
    return definition(compare(trio()), "lab/contacts")


def grids(report):
    return [block for block in report.blocks if isinstance(block, wr.PanelGrid)]


def test_it_is_about_these_runs_and_says_what_was_found(report):
    assert (report.entity, report.project) == ("lab", "contacts")
    assert "good" in report.title and "long/P@L" in report.description
    (text,) = [block.text for block in report.blocks if isinstance(block, wr.MarkdownBlock)]
    assert "not distinguishable" in text and "model.encoder.init_args.channels" in text
    for grid in grids(report):
        (runset,) = grid.runsets
        assert (runset.entity, runset.project) == ("lab", "contacts")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("lab/contacts/3xk2a9f1", "3xk2a9f1"),
        ("offline-run-20260101_120000-abc123", "abc123"),
        ("runs/a", "def456"),
        ("runs/bare", None),
        ("runs/absent", None),
    ],
)
def test_runs_are_known_by_their_ids(tmp_path, monkeypatch, source, expected):
    monkeypatch.chdir(tmp_path)
    for name in (
        "offline-run-20260101_120000-abc123",
        "runs/a/wandb/run-20260101_120000-def456",
        "runs/bare/wandb/latest-run",
    ):
        Path(name).mkdir(parents=True)
    runs = [make_run("a", source, settings(), {}, tables([0.5]))]
    (grid, *_) = grids(definition(compare(runs), "lab/contacts"))
    (runset,) = grid.runsets
    text = f"Metric('ID') in ['{expected}']" if expected else "Metric('Name') in ['a']"
    assert text.replace(" ", "") in str(runset.filters).replace(" ", "").replace('"', "'")


def test_panels_show_what_runs_log(report):
    precision, gradient, maps, settings = grids(report)
    shown = [[str(getattr(y, "name", y)) for y in panel.y] for panel in precision.panels]
    assert shown[2] == [
        "val/long/P@L",
        "val/null/long/P@L",
        "val/null_copy/long/P@L",
        "val/null_random/long/P@L",
    ]
    assert shown[3] == ["train/loss", "val/loss"]
    assert gradient.panels[0].metric_regex == "gradflow/.*"
    assert gradient.panels[1].media_keys[0] == "gradflow/depth"
    assert maps.panels[0].media_keys == ["val/contact_maps"]
    assert isinstance(settings.panels[0], wr.RunComparer)


def test_panels_do_not_lie_upon_each_other(report):
    for grid in grids(report):
        taken = set()
        for panel in grid.panels:
            place = panel.layout
            cells = {
                (x, y)
                for x in range(place.x, place.x + place.w)
                for y in range(place.y, place.y + place.h)
            }
            assert not taken & cells and place.x + place.w <= 24
            taken |= cells


def test_the_server_gets_its_own_form(report):
    """What is sent is made of it; of a grid the panels, as its runs are asked for on the server."""
    for block in report.blocks:
        parts = block.panels if isinstance(block, wr.PanelGrid) else [block]
        assert parts and all(part._to_model() is not None for part in parts)


@pytest.mark.parametrize("project", ["contacts", "lab/contacts/x1", "lab /c"])
def test_other_paths_are_refused(project):
    with pytest.raises(InputError, match="ENTITY/PROJECT"):
        definition(compare(trio()), project)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(InputError, match="pip install"):
        definition(compare(trio()), "lab/contacts")


def test_publish(monkeypatch):
    sent = []
    fake = SimpleNamespace(save=lambda: sent.append(1), url="https://wandb/r")
    monkeypatch.setattr(wandb_report, "definition", lambda found, project: fake)
    assert publish(None, "lab/contacts") == "https://wandb/r" and sent == [1]

    def refuse():
        raise ValueError("no permission")

    fake.save = refuse
    with pytest.raises(InputError, match="no permission.*wandb login"):
        publish(None, "lab/contacts")
