"""``protcontact compare`` as called by users."""

import importlib.util

import pytest

from protcontact.cli import main
from tests.report.stored_runs import write_run


@pytest.fixture
def runs(tmp_path):
    scores = [0.01 * n for n in range(40)]
    return [
        str(write_run(tmp_path / "a", scores)),
        str(write_run(tmp_path / "b", [score + 0.1 for score in scores], channels=8)),
    ]


@pytest.mark.parametrize("rich", [True, False])
def test_prints_what_differs_and_a_verdict(runs, capsys, monkeypatch, tmp_path, rich):
    if not rich:
        found = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "rich" else found(name)
        )
    assert main(["compare", *runs, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "model.encoder.init_args.channels" in told and "better" in told
    assert "+0.1000" in told and "separation" in told
    assert (tmp_path / "out" / "compare.csv").is_file()


def test_names_are_shown_as_they_are(tmp_path, capsys):
    """Brackets are markup to rich, and the names of sweeps have them."""
    runs = [write_run(tmp_path / f"b[lr={n}]", [0.1 * n] * 3, channels=n) for n in (1, 2)]
    assert main(["compare", *map(str, runs)]) == 0
    told = capsys.readouterr().out
    assert "b[lr=1]" in told and "b[lr=2]" in told


def test_another_score_and_reference(runs, capsys):
    assert main(["compare", *runs, "--metric", "short/AUPRC", "--reference", "b"]) == 0
    told = capsys.readouterr().out
    assert "short/AUPRC" in told and "worse" in told


def test_refusals(runs, capsys, tmp_path):
    assert main(["compare", "runs/absent"]) == 2
    assert "runs/absent does not exist" in capsys.readouterr().err
    other = write_run(tmp_path / "c", [0.5] * 40, fingerprint="e" * 64)
    assert main(["compare", runs[0], str(other)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["compare", runs[0], str(other), "--force"]) == 0
    with pytest.raises(SystemExit):
        main(["compare", *runs, "--metric", "long/P@9"])
