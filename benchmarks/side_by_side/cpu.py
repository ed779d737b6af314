"""CPU time of processes, from the operating system's accounting (/proc)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def cpu_seconds(root: int | None) -> float:
    """Return the user and system seconds of a process and of all its descendants, also ended ones.

    0 if there is no such process.
    """
    if root is None:
        return 0.0
    parents, ticks = {}, {}
    for pid, (parent, used) in _processes():
        parents[pid], ticks[pid] = parent, used
    return sum(used for pid, used in ticks.items() if _is_below(pid, root, parents)) / _TICKS


def thread_seconds(thread: int | None) -> float:
    """Return the seconds that one thread of this machine has worked; 0 if there is none."""
    try:
        spent = (_PROC / str(thread) / "task" / str(thread) / "schedstat").read_text()
    except OSError:
        return 0.0
    return int(spent.split()[0]) / 1e9


def machine_seconds() -> float:
    """Return the seconds that all processors of the machine have worked."""
    fields = (_PROC / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft = (int(field) for field in fields[:7])
    return (user + nice + system + irq + soft) / _TICKS


def root_of(pid: int, names: tuple[str, ...]) -> int | None:
    """Return the outermost ancestor of ``pid`` whose name begins with one of ``names``.

    None if ``pid`` is no such process, because the server runs on another machine.
    """
    found = None
    known = dict(_processes())
    while pid in known and _name(pid).startswith(names):
        found, pid = pid, known[pid][0]
    return found


def process_of_thread(thread: int) -> int | None:
    """Return the process of a thread of this machine."""
    try:
        status = (_PROC / str(thread) / "status").read_text()
    except OSError:
        return None
    return int(next(line for line in status.splitlines() if line.startswith("Tgid")).split()[1])


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid and pid != root:
        pid = parents.get(pid, 0)
    return pid == root


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield pid, and its parent and ticks; those of ended children are counted at the parent."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # it has ended
            continue
        # The name, in parentheses, may contain spaces.
        fields = stat.rpartition(")")[2].split()
        yield int(entry.name), (int(fields[1]), sum(int(field) for field in fields[11:15]))


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
