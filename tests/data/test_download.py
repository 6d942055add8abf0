"""Entries come whole from a server that fails now and then, or their reason is told."""

import io
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from biotite.database import rcsb

from protcontact.data import download as download_module
from protcontact.data.download import download, read_ids
from protcontact.errors import InputError


class Rcsb:
    """A server on loopback with four entries; `trouble` is what it answers first."""

    def __init__(self) -> None:
        self.files = {f"/{one}.{kind}": f"{one} {kind}" for one in ENTRIES for kind in KINDS}
        self.trouble: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                here.asked[self.path] += 1
                waiting = here.trouble.get(self.path, [])
                status = waiting.pop(0) if waiting else 200 if self.path in here.files else 404
                body = here.files.get(self.path, "").encode()
                if status == CUT:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body) + 10))
                else:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


ENTRIES = ("1abc", "2abc", "3abc", "pdb_00014abc")
KINDS = ("bcif", "cif", "pdb")
CUT = -1


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download_module, "FIRST_PAUSE", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    rcsb_server = Rcsb()
    yield rcsb_server
    rcsb_server.server.shutdown()
    rcsb_server.server.server_close()


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name[0] != "."}


@pytest.mark.parametrize("kind", KINDS)
def test_fetches(server, tmp_path, kind):
    report = download(ENTRIES, tmp_path / "out", kind, 2, server.url)
    assert (report.fetched, report.present, report.failed) == (4, 0, {})
    assert files(tmp_path / "out") == {
        "failed.tsv": "id\treason\n",
        **{f"{one}.{kind}": f"{one} {kind}" for one in ENTRIES},
    }


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    (tmp_path / "1abc.bcif").write_text("mine")
    report = download(ENTRIES[:2], tmp_path, "bcif", 1, server.url)
    assert (report.fetched, report.present) == (1, 1)
    assert str(report) == "1 fetched, 1 there before, 0 failed"
    assert (tmp_path / "1abc.bcif").read_text() == "mine"
    assert server.asked == {"/2abc.bcif": 1}


def test_unknown_ids_are_accounted_for(server, tmp_path):
    report = download(["9zzz", "1abc"], tmp_path, "cif", 2, server.url)
    assert list(report.failed) == ["9zzz"]
    assert "unknown or obsolete id, or no cif file" in files(tmp_path)["failed.tsv"]
    assert server.asked["/9zzz.cif"] == 1
    assert report.fetched == 1


@pytest.mark.parametrize("status", [500, 503, 429, CUT])
def test_passing_trouble_is_tried_again(server, tmp_path, status):
    server.trouble["/1abc.bcif"] = [status, status]
    assert download(["1abc"], tmp_path, "bcif", 1, server.url).fetched == 1
    assert server.asked["/1abc.bcif"] == 3
    assert files(tmp_path)["1abc.bcif"] == "1abc bcif"


def test_lasting_trouble_fails_and_the_same_command_mends_it(server, tmp_path):
    server.trouble["/1abc.bcif"] = [503] * download_module.TRIES
    report = download(ENTRIES, tmp_path, "bcif", 2, server.url)
    assert "503" in report.failed["1abc"]
    assert f"({download_module.TRIES} tries)" in report.failed["1abc"]
    assert report.fetched == 3
    assert download(ENTRIES, tmp_path, "bcif", 2, server.url).failed == {}
    assert files(tmp_path)["failed.tsv"] == "id\treason\n"


def test_a_server_that_is_gone_is_told_once(server, tmp_path):
    server.server.shutdown()
    server.server.server_close()
    ids = [f"{number}aaa" for number in range(1, 10)]
    with pytest.raises(InputError, match=r"http.* cannot be reached .*; 0 of 9 files are in"):
        download(ids, tmp_path, "bcif", 2, server.url)
    assert len(files(tmp_path)["failed.tsv"].splitlines()) == 10


def test_the_rcsb_is_named_when_offline(server, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", offline)
    with pytest.raises(InputError, match="the RCSB cannot be reached .ConnectionError.; check the"):
        download(["1abc"], tmp_path)


def test_one_bad_connection_does_not_end_the_others(server, tmp_path):
    server.trouble["/1abc.bcif"] = [CUT] * download_module.TRIES
    report = download(ENTRIES, tmp_path, "bcif", 1, server.url)
    assert list(report.failed) == ["1abc"]
    assert report.fetched == 3


def test_a_full_disk_is_raised(server, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_module, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        download(ENTRIES, tmp_path, "bcif", 2, server.url)


def test_biotite_is_left_as_it_was(server, tmp_path):
    before = rcsb.download.requests
    download(["1abc"], tmp_path, "bcif", 1, server.url)
    assert rcsb.download.requests is before is requests


def plain_fetch(one: str, file_format: str) -> io.BytesIO:
    """As biotite 1.0 does it: no session, and no look at the status."""
    url = f"https://files.rcsb.org/download/{one}.{file_format}"
    return io.BytesIO(rcsb.download.requests.get(url).content)


def test_a_biotite_without_sessions(server, tmp_path, monkeypatch):
    monkeypatch.setattr(rcsb, "fetch", plain_fetch)
    server.trouble["/2abc.cif"] = [503]
    report = download(["1abc", "2abc", "9zzz"], tmp_path, "cif", 1, server.url)
    assert list(report.failed) == ["9zzz"]
    assert "not found" in report.failed["9zzz"]
    assert files(tmp_path)["2abc.cif"] == "2abc cif"
    assert server.asked == {"/1abc.cif": 1, "/2abc.cif": 2, "/9zzz.cif": 1}


def test_without_a_base_url_the_rcsb_is_asked(tmp_path, monkeypatch):
    asked = []

    def answer(url, timeout):
        asked.append((url, timeout))
        response = requests.Response()
        response.status_code = 200
        response._content = b"x"
        return response

    monkeypatch.setattr(requests, "get", answer)
    download(["1abc"], tmp_path)
    ((url, timeout),) = asked
    assert url.startswith("https://") and "rcsb.org" in url and url.endswith("1abc.bcif")
    assert min(timeout) > 0


def test_reads_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("1ABC, 2abc # comment 9zzz\n\n  3abc\t1abc\npdb_00004xyz PDB_00015XYZ\n")
    assert read_ids(path) == ["1abc", "2abc", "3abc", "4xyz", "pdb_00015xyz"]


@pytest.mark.parametrize("word", ["1abc_A", "abcd", "12345", "pdb_1abc", "../x"])
def test_refuses_what_is_no_id(tmp_path, word):
    path = tmp_path / "ids.txt"
    path.write_text(f"1abc\n{word}\n")
    with pytest.raises(InputError, match=f"line 2: '{word}' is no PDB id; expected 4 characters"):
        read_ids(path)


def test_refuses_files_without_ids(tmp_path):
    with pytest.raises(InputError, match="is no file; give a text file"):
        read_ids(tmp_path / "absent")
    (tmp_path / "ids.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="holds no PDB id"):
        read_ids(tmp_path / "ids.txt")


def test_refuses_no_workers(tmp_path):
    with pytest.raises(InputError, match="--workers must be at least 1, not 0"):
        download(["1abc"], tmp_path, workers=0)
