"""Where and of what a measurement was made."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Machine:
    """The machine that the benchmark ran on."""

    cores: int
    processor: str
    memory_gib: float
    kernel: str


def describe() -> Machine:
    """This machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_gib=pages / 2**30,
        kernel=platform.release(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def commit() -> str:
    """The checked-out commit, and whether files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes that are not committed" if changed else head


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def today() -> str:
    """The date."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def boot() -> str:
    """The identity of this kernel's boot: who reads the same one shares our monotonic clock."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Load:
    """Time that all cores spent, in ticks."""

    busy: int
    total: int

    def share_since(self, before: Load) -> float:
        """The busy part of the time since, 0 to 1."""
        return (self.busy - before.busy) / max(self.total - before.total, 1)


def load() -> Load:
    """What the cores have done since boot."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return Load(busy=sum(fields) - idle, total=sum(fields))
