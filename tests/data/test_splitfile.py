"""splits.tsv comes back as it was written, and edits by hand that break it are refused."""

import pytest

from protcontact.data.splitfile import (
    Assignment,
    read_assignments,
    read_splits,
    write_assignments,
)
from protcontact.errors import InputError

ROWS = [Assignment("a_A", "train", "a_A", 50), Assignment("b_A", "test", "b_A", 70)]


def test_round_trip(tmp_path):
    write_assignments(tmp_path / "splits.tsv", ROWS)
    assert read_assignments(tmp_path / "splits.tsv") == ROWS
    assert read_splits(tmp_path) == {"a_A": "train", "b_A": "test"}


def test_refuses_an_absent_file(tmp_path):
    with pytest.raises(InputError, match="make it with `protcontact split"):
        read_splits(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must start with the columns id split cluster length"),
        ("id\tsplit\n", "must start with the columns"),
        ("id\tsplit\tcluster\tlength\na\tdev\ta\t5\n", "line 2: expected id, one of train, val"),
        ("id\tsplit\tcluster\tlength\na\ttrain\ta\n", "line 2: expected id"),
        ("id\tsplit\tcluster\tlength\na\ttrain\ta\tlong\n", "line 2: expected id"),
        ("id\tsplit\tcluster\tlength\n" + "a\ttrain\ta\t5\n" * 2, "line 3: chain 'a' stands there"),
    ],
)
def test_refuses_other_content(tmp_path, text, reason):
    (tmp_path / "splits.tsv").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_assignments(tmp_path)


def test_refuses_what_is_no_text(tmp_path):
    (tmp_path / "splits.tsv").write_bytes("id\tsplit\tcluster\tlength\n\u00e9".encode("latin-1"))
    with pytest.raises(InputError, match="splits.tsv is not UTF-8 text .* save it as UTF-8"):
        read_assignments(tmp_path)
