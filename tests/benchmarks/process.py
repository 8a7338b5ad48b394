"""Memory and CPU of the installation's processes, from this machine's /proc."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process of the installation.

    Attributes:
        pid: on this machine.
        pod: its pod's name.
        part: controller or gateway.
    """

    pid: int
    pod: str
    part: str


@dataclass(frozen=True)
class Usage:
    """What a process has taken since it began.

    Attributes:
        cpu_ms: user and system time, its own.
        rss_mib: resident memory now.
    """

    cpu_ms: float
    rss_mib: float


def find(pods: dict[str, str], proc: Path = PROC) -> list[Process]:
    """The processes `… -m mayfly controller|gateway` of these pods.

    Args:
        pods: names by UID. A machine may run other Mayflies, tests' for example.
        proc: where processes are listed.
    """
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            cgroups = (folder / "cgroup").read_text().replace("_", "-")
        except OSError:
            continue
        part = part_of(words)
        pod = next((name for uid, name in pods.items() if uid in cgroups), None)
        if part and pod:
            found.append(Process(int(folder.name), pod, part))
    return sorted(found, key=lambda each: (each.part, each.pod, each.pid))


def part_of(words: list[str]) -> str:
    """Which part of Mayfly a command line runs; empty for none."""
    for module, part in itertools.pairwise(words):
        if module == "mayfly" and part in {"controller", "gateway"}:
            return part
    return ""


def usage(process: Process, proc: Path = PROC) -> Usage:
    """What a process has taken until now.

    Raises:
        LookupError: it is gone; numbers of its successor would not compare.
    """
    try:
        text = (proc / str(process.pid) / "stat").read_text()
    except OSError as error:
        words = f"{process.part} {process.pod} ended meanwhile: somebody else uses the cluster?"
        raise LookupError(words) from error
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(fields[21])
    return Usage(
        cpu_ms=ticks * 1000 / os.sysconf("SC_CLK_TCK"),
        rss_mib=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )


@dataclass
class Meter:
    """CPU that processes took in some stretches of time, less what they take when idle."""

    processes: list[Process]

    def __post_init__(self) -> None:
        self._idle: dict[int, float] = {}
        self._taken: dict[int, float] = dict.fromkeys((each.pid for each in self.processes), 0.0)
        self._seconds = 0.0

    def anew(self) -> Meter:
        """One that has counted nothing yet, and knows what idling costs."""
        meter = Meter(self.processes)
        meter._idle = self._idle
        return meter

    def read(self) -> dict[int, float]:
        """CPU milliseconds by pid."""
        return {each.pid: usage(each).cpu_ms for each in self.processes}

    def idle(self, before: dict[int, float], seconds: float) -> None:
        """Nothing has happened since `before`: that is what idling costs."""
        now = self.read()
        self._idle = {pid: (now[pid] - before[pid]) / seconds for pid in now}

    def add(self, before: dict[int, float], seconds: float) -> None:
        """A run has happened since `before`."""
        now = self.read()
        self._seconds += seconds
        for pid, value in now.items():
            self._taken[pid] += value - before[pid]

    def rows(self, runs: int) -> list[ProcessRow]:
        """What a run costs each process."""
        return [
            ProcessRow(
                part=each.part,
                pod=each.pod,
                rss_mib=usage(each).rss_mib,
                idle_percent=self._idle.get(each.pid, 0.0) / 10,
                run_ms=(self._taken[each.pid] - self._idle.get(each.pid, 0.0) * self._seconds)
                / runs,
            )
            for each in self.processes
        ]


@dataclass(frozen=True)
class ProcessRow:
    """A process in the table.

    Attributes:
        part: controller or gateway.
        pod: its pod.
        rss_mib: resident memory at the end.
        idle_percent: of one core, while nothing runs.
        run_ms: CPU a run takes beyond that.
    """

    part: str
    pod: str
    rss_mib: float
    idle_percent: float
    run_ms: float
