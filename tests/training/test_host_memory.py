"""Memory that may be taken, as Linux and control groups tell it."""

import pytest

from protcontact.training import host_memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files like those of Linux: 3 GiB free, this process in the group a/b, no limits."""
    groups = tmp_path / "cgroup"
    (groups / "a" / "b").mkdir(parents=True)
    (tmp_path / "meminfo").write_text(
        "MemTotal: 9 kB\nMemAvailable:    3145728 kB\nBuffers: 1 kB\n"
    )
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/a/b\n")
    monkeypatch.setattr(host_memory, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(host_memory, "GROUP", tmp_path / "own")
    monkeypatch.setattr(host_memory, "GROUPS", groups)
    return groups


def limit(group, most, used, cached):
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\nactive_file 7\n")


def test_what_is_free(system):
    assert host_memory.available_bytes() == 3 * 2**30


def test_a_job_may_be_allowed_less_at_any_level(system):
    limit(system / "a" / "b", "max", 0, 0)
    assert host_memory.available_bytes() == 3 * 2**30
    limit(system / "a", 2**30, 2**29, 1000)
    assert host_memory.available_bytes() == 2**29 + 1000
    limit(system / "a" / "b", 2**20, 100, 0)
    assert host_memory.available_bytes() == 2**20 - 100
    limit(system, 10, 90, 0)
    assert host_memory.available_bytes() == 0


def test_a_group_outside_of_what_is_mounted_says_nothing(system, tmp_path):
    (tmp_path / "own").write_text("0::/../../elsewhere\n")
    assert host_memory.available_bytes() == 3 * 2**30


def test_other_systems_say_what_the_machine_has(system, monkeypatch, tmp_path):
    monkeypatch.setattr(host_memory, "MEMORY", tmp_path / "absent")
    monkeypatch.setattr(host_memory, "GROUP", tmp_path / "absent")
    names = {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 2}
    monkeypatch.setattr(host_memory.os, "sysconf_names", names)
    monkeypatch.setattr(
        host_memory.os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__
    )
    assert host_memory.available_bytes() == 4_096_000
    monkeypatch.setattr(host_memory.os, "sysconf_names", {})
    assert host_memory.available_bytes() is None
