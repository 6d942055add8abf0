"""The front door: overview, misspelt verbs, one-line errors, exit statuses."""

import subprocess
import sys

import pytest

from protcontact import __version__, cli
from protcontact.errors import InputError


def run(*words):
    command = [sys.executable, "-m", "protcontact", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_overview_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    verbs = (*cli.VERBS, *cli.LIGHTNING_VERBS)
    for verb in verbs:
        assert f"  {verb}" in text
    assert sorted(verb for group in cli.GROUPS.values() for verb in group) == sorted(verbs)


def test_no_verb_shows_the_overview_and_fails(capsys):
    assert cli.main([]) == 2
    assert "usage: protcontact VERB" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"protcontact {__version__}"


def test_misspelt_verb_names_those_that_exist(capsys):
    assert cli.main(["prepair"]) == 2
    error = capsys.readouterr().err
    assert "no verb 'prepair'" in error
    assert "prepare" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_every_verb_teaches(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: protcontact {verb}" in text
    assert "xample" in text


@pytest.mark.parametrize("verb", cli.LIGHTNING_VERBS)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_of_the_lightning_verbs_is_a_page(verb, word, capsys):
    assert cli.main([verb, "--trainer.max_steps", "3", word]) == 0
    text = capsys.readouterr().out
    assert f"usage: protcontact {verb}" in text and "Examples:" in text
    assert f"protcontact {verb} --help-all" in text
    assert max(map(len, text.splitlines())) <= 100


def test_all_settings_are_behind_another_word(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", "--help-all"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--trainer.max_steps" in text and "--model.warmup_steps" in text


def test_modules_of_the_current_folder_are_found_last(tmp_path, monkeypatch, capsys):
    """A console script does not look there; whoever has a random.py there gets Python's."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    assert cli.main(["prepair"]) == 2
    assert sys.path[-1] == str(tmp_path) and sys.path.count(str(tmp_path)) == 1
    assert cli.main(["prepair"]) == 2
    assert sys.path.count(str(tmp_path)) == 1


def test_input_errors_are_one_line(monkeypatch, capsys):
    def fail(verb, arguments):
        raise InputError("file.pdb: empty; give another")

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["prepare", "x"]) == 2
    assert capsys.readouterr().err == "protcontact prepare: error: file.pdb: empty; give another\n"


def test_what_the_system_refuses_gets_a_remedy(monkeypatch, capsys):
    def fail(verb, arguments):
        raise OSError(28, "No space left on device", "out/data")

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["prepare", "x"]) == 2
    assert capsys.readouterr().err == (
        "protcontact prepare: error: out/data: No space left on device; "
        "check the path, its permissions and the free space\n"
    )


def test_debug_keeps_the_traceback(monkeypatch, capsys):
    def fail(verb, arguments):
        raise InputError("no")

    monkeypatch.setattr(cli, "_dispatch", fail)
    monkeypatch.setenv("PROTCONTACT_DEBUG", "1")
    assert cli.main(["prepare", "x"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_our_own_defects_keep_their_traceback(monkeypatch):
    def fail(verb, arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_dispatch", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["prepare", "x"])


def test_misspelt_option_is_refused():
    done = run("prepare", "x", "--ouput", "y")
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_module_and_script_are_the_same():
    assert run("--version").stdout.startswith("protcontact")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "x", "--out", "y"], "interrupted; the same command continues"),
        (
            ["prepare", "x", "--out", "y", "--overwrite"],
            "interrupted; the same command without --overwrite continues",
        ),
        (["download", "--ids", "x"], "interrupted; the same command continues"),
        (["split", "x"], "interrupted"),
        (["fit"], "interrupted"),
    ],
)
def test_ctrl_c_says_whether_the_same_command_continues(words, message, monkeypatch, capsys):
    def interrupt(verb, arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupt)
    assert cli.main(words) == 130
    assert capsys.readouterr().err == f"\nprotcontact {words[0]}: {message}\n"


def test_a_missing_library_is_named_with_its_remedy(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "protcontact.commands.predict", None)
    with pytest.raises(ModuleNotFoundError):  # a fault of ours stays one
        cli.main(["predict", "--help"])
    monkeypatch.delitem(sys.modules, "protcontact.commands.predict")

    def needs_it(verb, arguments):
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL.Image")

    monkeypatch.setattr("protcontact.cli._dispatch", needs_it)
    assert cli.main(["predict"]) == 2
    assert "this needs PIL, which is not installed; `pip install pillow`" in capsys.readouterr().err
