"""Every file of every kind of source becomes one input, in an order that never changes."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from protcontact.data.inputs import Input, entry_stem, find_inputs
from protcontact.errors import InputError
from protcontact.structure.read import entry_name


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.pdb", "a.cif.gz", "deep/c.bcif", "README.md", ".hidden.pdb"):
        (tmp_path / "in" / name).write_text(f"content of {name}")
    return tmp_path / "in"


def find(tmp_path: Path, *sources: object, leave_out: Path | None = None) -> list[Input]:
    return find_inputs([str(source) for source in sources], tmp_path / "spool", leave_out)


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_folder_is_searched_in_order_of_file_names(folder, tmp_path):
    found = find(tmp_path, folder)
    assert [one.source for one in found] == ["README.md", "a.cif.gz", "b.pdb", "c.bcif"]
    assert [one.entry for one in found] == ["README.md", "a", "b", "c"]
    assert found[3].name == str(folder / "deep" / "c.bcif")
    assert found[3].read() == b"content of deep/c.bcif"


def test_other_files_of_a_folder_are_kept_with_their_problem(folder, tmp_path):
    problems = {one.source: one.problem for one in find(tmp_path, folder)}
    assert "does not end in .pdb" in problems["README.md"]
    assert problems["b.pdb"] == ""


def test_a_file_that_is_named_is_taken_whatever_its_name(folder, tmp_path):
    assert [one.problem for one in find(tmp_path, folder / "README.md")] == [""]
    both = find(tmp_path, folder, folder / "README.md")
    assert [one.problem for one in both if one.source == "README.md"] == [""]


def test_each_file_counts_once(folder, tmp_path):
    (folder / "link.pdb").symlink_to(folder / "b.pdb")
    found = find(tmp_path, folder, folder / "b.pdb", f"{folder}/*.pdb", f"{folder}/../in")
    assert [one.source for one in found] == ["README.md", "a.cif.gz", "b.pdb", "c.bcif"]


def test_globs(folder, tmp_path):
    assert [one.entry for one in find(tmp_path, f"{folder}/**/*.[bc]*if*")] == ["a", "c"]


def test_output_inside_the_source_is_left_out(folder, tmp_path):
    found = find(tmp_path, folder, leave_out=folder / "deep")
    assert "c.bcif" not in [one.source for one in found]


def test_what_is_no_file_is_kept_with_its_problem(folder, tmp_path):
    (folder / "gone.pdb").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.pdb")
    problems = {one.source: one.problem for one in find(tmp_path, folder)}
    assert "leads nowhere" in problems["gone.pdb"]
    assert "not a regular file" in problems["pipe.pdb"]


MEMBERS = {"./x/a.pdb": b"A" * 700, "b.cif": b"B", "x/notes.txt": b"N", "x/._a.pdb": b"mac"}


@pytest.mark.parametrize("kind", ["", ":gz", ":xz", ":bz2"])
def test_archives(tmp_path, kind):
    path = write_tar(tmp_path / f"t.tar{kind.replace(':', '.')}", MEMBERS, f"w{kind}")
    found = find(tmp_path, path)
    assert [(one.entry, one.source.split("/", 1)[1]) for one in found] == [
        ("a", "x/a.pdb"),
        ("b", "b.cif"),
        ("notes.txt", "x/notes.txt"),
    ]
    assert [one.read() for one in found] == [b"A" * 700, b"B", b"N"]
    assert [bool(one.problem) for one in found] == [False, False, True]
    assert (tmp_path / "spool").exists() == bool(kind)


def test_archives_are_found_in_folders_and_unpacked_once(folder, tmp_path):
    write_tar(folder / "t.tgz", {"m.pdb": b"M"}, "w:gz")
    assert "m" in [one.entry for one in find(tmp_path, folder)]
    (plain,) = (tmp_path / "spool").iterdir()
    before = plain.stat().st_mtime_ns
    assert "m" in [one.entry for one in find(tmp_path, folder)]
    assert plain.stat().st_mtime_ns == before


@pytest.mark.parametrize(("kind", "left"), [("", 20), (":gz", 20), (":xz", 15), (":bz2", 0)])
def test_a_cut_archive_gives_what_is_left_and_its_problem(tmp_path, kind, left):
    """Of bzip2 nothing is left here: its blocks are larger than this archive."""
    members = {f"m{number}.pdb": os.urandom(3000) for number in range(50)}
    path = write_tar(tmp_path / f"t.tar{kind.replace(':', '.')}", members, f"w{kind}")
    path.write_bytes(path.read_bytes()[:100_000])
    for _ in range(2):  # the second time as after a run that was killed
        found = find(tmp_path, path)
        problems = [one for one in found if one.problem]
        assert [one.source for one in problems] == [path.name]
        assert "damaged archive" in problems[0].problem
        whole = [one for one in found if not one.problem and one.offset + one.size < 90_000]
        assert all(one.read() == members[one.source.split("/")[1]] for one in whole)
        assert len(whole) >= left


def damage_header(path: Path, number: int) -> None:
    """Change one letter in the header of a member that has at most 512 bytes, like all others."""
    content = bytearray(path.read_bytes())
    content[1024 * number + 3] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_damaged_header_does_not_hide_what_follows(tmp_path, number):
    path = write_tar(tmp_path / "t.tar", {f"m{place}.pdb": b"M" * 500 for place in range(4)})
    assert not any(one.problem for one in find(tmp_path, path))
    damage_header(path, number)
    found = find(tmp_path, path)
    assert [one.entry for one in found if not one.problem] == [f"m{n}" for n in range(number)]
    (problem,) = [one.problem for one in found if one.problem]
    assert "damaged archive, what follows is lost" in problem


def test_a_damaged_header_in_a_compressed_archive(tmp_path):
    plain = write_tar(tmp_path / "t.tar", {f"m{place}.pdb": b"M" * 500 for place in range(3)})
    damage_header(plain, 1)
    (tmp_path / "t.tgz").write_bytes(gzip.compress(plain.read_bytes()))
    found = find(tmp_path, tmp_path / "t.tgz")
    assert [(one.source, bool(one.problem)) for one in found] == [
        ("t.tgz/m0.pdb", False),
        ("t.tgz", True),
    ]


@pytest.mark.parametrize(("left", "is_damaged"), [(1024, False), (1025, True), (1535, True)])
def test_a_header_that_ends_early_is_damage_and_no_end_mark_is_not(tmp_path, left, is_damaged):
    path = write_tar(tmp_path / "t.tar", {"a.pdb": b"A" * 500, "b.pdb": b"B" * 500})
    path.write_bytes(path.read_bytes()[:left])
    problems = [one.problem for one in find(tmp_path, path) if one.problem]
    assert [problem.partition(":")[0] for problem in problems] == (
        ["damaged archive, what follows is lost"] if is_damaged else []
    )


def test_time_of_modification_is_that_of_the_file_or_the_archive(folder, tmp_path):
    packed = write_tar(tmp_path / "t.tgz", {"m.pdb": b"M"}, "w:gz")
    for path, time in ((folder / "b.pdb", 5_000_000_001), (packed, 7_000_000_003)):
        os.utime(path, ns=(0, time))
    (alone,), (member,) = find(tmp_path, folder / "b.pdb"), find(tmp_path, packed)
    assert (alone.modified, member.modified) == (5_000_000_001, 7_000_000_003)


def test_a_member_that_ends_early_says_so(tmp_path):
    path = write_tar(tmp_path / "t.tar", {"a.pdb": b"A" * 2000})
    path.write_bytes(path.read_bytes()[:1500])
    one = next(one for one in find(tmp_path, path) if not one.problem)
    with pytest.raises(InputError, match="ends after 988 of 2000 bytes"):
        one.read()


def test_links_in_archives_are_kept_with_their_problem(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        info = tarfile.TarInfo("link.pdb")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    (one,) = find(tmp_path, tmp_path / "t.tar")
    assert "a link" in one.problem


def test_something_else_named_tar(tmp_path):
    (tmp_path / "t.tar").write_text("this is no archive" * 100)
    (one,) = find(tmp_path, tmp_path / "t.tar")
    assert "damaged archive" in one.problem


def test_entries_are_unique(tmp_path):
    names = ["x/1abc.pdb", "x/1abc.cif.gz", "y/1abc.pdb", "y/1abc.pdb.cif", "x/2xyz.ent"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    found = find(tmp_path, tmp_path / "in")
    assert [one.entry for one in found] == [
        "1abc.cif.gz",
        "1abc.pdb",
        "1abc.pdb~2",
        "1abc.pdb~3",  # the stem of 1abc.pdb.cif
        "2xyz",
    ]


def test_odd_names_do_not_break_tables(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b\tc\n.pdb").write_text("x")
    Path(os.fsdecode(bytes(tmp_path / "in") + b"/\xff.pdb")).write_text("x")
    found = find(tmp_path, tmp_path / "in")
    assert [one.entry for one in found] == ["_", "a_b_c_"]
    assert all(one.read() == b"x" for one in found)
    "".join(one.name + one.source for one in found).encode("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "1abc.pdb",
        "1abc.PDB",
        "1abc.ent.gz",
        "x.pdb1_3.dill.bcif.gz",
        "4mkw.pdb1.gz",
        "a.mmcif",
        "b",
    ],
)
def test_stem_is_what_the_reader_calls_the_entry(name):
    assert entry_stem(name) == entry_name(name)


def test_refuses_what_is_not_there(folder, tmp_path):
    for source in (folder / "absent.pdb", f"{folder}/*.xyz"):
        with pytest.raises(InputError, match="is no file, folder or pattern that matches anything"):
            find(tmp_path, source)


def test_refuses_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InputError, match=r"no files found in .*empty; give .*\.bcif .* tar archives"
    ):
        find(tmp_path, tmp_path / "empty")


def test_gzipped_members_stay_gzipped(tmp_path):
    content = gzip.compress(b"text")
    path = write_tar(tmp_path / "t.tar", {"a.pdb.gz": content})
    assert find(tmp_path, path)[0].read() == content
