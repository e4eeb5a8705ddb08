"""What a daemon costs: CPU and memory of a process and everything below it, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `resident` counts pages that processes share in each of them, `proportional` shares them out."""

    resident: int
    proportional: int


def below(root: int) -> tuple[int, ...]:
    """`root` and its descendants. Those that end meanwhile are left out."""
    children = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children[int(fields[1])].append(int(entry))
    found = [root]
    for pid in found:
        found += children[pid]
    return tuple(found)


def name(pid: int) -> str:
    """The command's name, cut at 15 bytes by the kernel; empty for a process that has ended."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu(pids: tuple[int, ...]) -> float:
    """Seconds that these have used in user and system mode, and their children that have ended."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICK


def busy() -> float:
    """Seconds that all processors have worked since the machine started, for whomever: time stolen by other guests of its host too."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, file.readline().split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / _TICK


def memory(pids: tuple[int, ...]) -> Memory:
    """What these hold at this moment."""
    rollups = [_rollup(pid) for pid in pids]
    return Memory(sum(rollup.get("Rss", 0) for rollup in rollups), sum(rollup.get("Pss", 0) for rollup in rollups))


def _stat(pid: int) -> list[str]:
    """Fields of proc(5) stat from the third on: the second, the name, may hold blanks and brackets."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _rollup(pid: int) -> dict[str, int]:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            lines = file.read().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {key: int(value.split()[0]) * 1024 for key, _, value in (line.partition(":") for line in lines)}
