"""Progress goes to stderr: lines where there is no terminal, a bar where there is one."""

import sys

from protcontact.data import progress as progress_module
from protcontact.data.progress import progress


def test_lines_for_log_files(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 1e9)
    with progress("inputs", 10) as advance:
        advance(4, "few")
        advance(6, "all")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "inputs 10/10 all\n"


def test_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.0)
    with progress("inputs", 10) as advance:
        advance(4, "")
        advance(1, "note")
    assert capsys.readouterr().err == "inputs 4/10\ninputs 5/10 note\n"


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("inputs", 10) as advance:
        advance(10, "all")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "10/10" in captured.err
