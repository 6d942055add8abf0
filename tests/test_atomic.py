"""A file appears whole or not at all."""

import os
import stat

import pytest

from protcontact.atomic import file_name, replacing, write_bytes, write_text


def test_replaces_the_old_content(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    write_bytes(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_exception_keeps_the_old_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    """`mkstemp` makes files that only their owner reads; a shared data set must not be so."""
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(28, "No space left on device"), "a.txt"),  # write() names no file
        (OSError(13, "Permission denied", "elsewhere"), "elsewhere"),
        (OSError("said by a library"), None),
    ],
)
def test_what_the_system_refuses_names_the_final_file(tmp_path, error, name):
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.txt"):
        raise error
    named = caught.value.filename
    assert (os.path.basename(named) if named else None) == name


@pytest.mark.parametrize("folder", ["a.txt", "absent/a.txt"])
def test_the_temporary_file_is_never_named(tmp_path, folder):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / folder, "")
    assert caught.value.filename == str(tmp_path / folder)
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1abc_A", "1abc_A"),
        ("m/A:1", "m_A_1"),
        ("../x", "_x"),
        ("", "unnamed"),
        ("a" * 300, "a" * 120),
    ],
)
def test_ids_become_names_that_file_systems_take(text, name):
    assert file_name(text) == name
