"""How much memory may this process still take, before the system ends it?

Linux says what is free (``/proc/meminfo``), and a container or a cluster's job may be allowed less
than that (control groups, version 2). Elsewhere: all the memory that the machine has.
"""

import os
from pathlib import Path

MEMORY = Path("/proc/meminfo")
GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes that can be taken; None where the system does not say."""
    limits = [*_free(), *_allowed()]
    return min(limits) if limits else _physical()


def _free() -> list[int]:
    if not MEMORY.is_file():
        return []
    fields = (line.split() for line in MEMORY.read_text().splitlines())
    return [int(words[1]) * 1024 for words in fields if words[0] == "MemAvailable:"]


def _allowed() -> list[int]:
    """What each control group around this process has left."""
    if not GROUP.is_file():
        return []
    own = [line[3:].strip("/") for line in GROUP.read_text().splitlines() if line[:3] == "0::"]
    left = []
    for name in own:
        folder = GROUPS / name
        for group in (folder, *folder.parents):
            if not group.is_relative_to(GROUPS):
                break
            left += _left(group)
    return left


def _left(group: Path) -> list[int]:
    limit, used, kinds = (group / name for name in ("memory.max", "memory.current", "memory.stat"))
    if not (limit.is_file() and used.is_file() and kinds.is_file()):
        return []
    most = limit.read_text().strip()
    if not most.isdigit():  # "max": no limit here
        return []
    cached = [
        int(line.split()[1])
        for line in kinds.read_text().splitlines()
        if line.startswith("inactive_file ")  # file contents, which the system gives up
    ]
    return [max(0, int(most) - int(used.read_text()) + sum(cached))]


def _physical() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
