"""Processor time and memory of a server: of its process and its descendants."""

import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
FIRST_FIELD_AFTER_NAME = 3
"""proc_pid_stat(5) counts from 1; its second field, the name, may hold blanks and brackets."""
PARENT, TIMES = 4, slice(14, 18)
"""Of `stat`: the parent; user and system time, and the same of children that have ended."""


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """Return the processor time of a process and its descendants, those that ended included."""
    ticks = sum(
        int(value)
        for process in family(pid, proc)
        for value in _between(_stat(process, proc), TIMES)
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds(proc: Path = PROC) -> float:
    """Return the processor time that all of this machine has used, guests included once."""
    user, nice, system, _idle, _waiting, *interrupts = map(
        int, (proc / "stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def family(pid: int, proc: Path = PROC) -> list[int]:
    """Return a process and all its descendants that live, parents first."""
    children = defaultdict(list)
    for folder in proc.iterdir():
        if folder.name.isdigit():
            children[parent(int(folder.name), proc)].append(int(folder.name))
    pids = [pid]
    for process in pids:
        pids += sorted(children[process])
    return pids


def parent(pid: int, proc: Path = PROC) -> int:
    """Return the parent of a process, 0 if the process has ended."""
    facts = _between(_stat(pid, proc), slice(PARENT, PARENT + 1))
    return int(facts[0]) if facts else 0


def proportional_mib(pid: int, proc: Path = PROC) -> float:
    """Return the memory of a process; a page that n processes share counts as 1/n."""
    for line in (proc / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) / 1024
    raise ValueError(f"no proportional memory of {pid}")


def _stat(pid: int, proc: Path) -> list[str]:
    """Return the fields after the name, none if the process has ended."""
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _between(facts: list[str], fields: slice) -> list[str]:
    return facts[fields.start - FIRST_FIELD_AFTER_NAME : fields.stop - FIRST_FIELD_AFTER_NAME]
