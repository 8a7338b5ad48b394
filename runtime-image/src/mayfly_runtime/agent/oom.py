"""Detects out-of-memory kills: the cgroup's counter tells them from other SIGKILLs."""

from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def oom_kills(root: Path = CGROUP_ROOT, proc_cgroup: Path = Path("/proc/self/cgroup")) -> int:
    """How many processes of this cgroup the kernel has OOM-killed; 0 if unknown.

    cgroup v2 counts in `memory.events`, v1 in `memory.oom_control`. In a pod the container's own
    cgroup is mounted at the root; outside a pod, `/proc/self/cgroup` gives the path below it.
    """
    for file in _candidates(root, proc_cgroup):
        try:
            text = file.read_text("ascii")
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return int(value)
    return 0


def _candidates(root: Path, proc_cgroup: Path) -> list[Path]:
    try:
        lines = proc_cgroup.read_text("utf-8").splitlines()
    except OSError:
        lines = []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            files.append(root / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            files.append(root / "memory" / path.lstrip("/") / "memory.oom_control")
    return [*files, root / "memory.events", root / "memory" / "memory.oom_control"]


class OomCounter:
    """Counts OOM kills since its creation."""

    def __init__(self, root: Path = CGROUP_ROOT) -> None:
        self._root = root
        self._before = oom_kills(root)

    def grew(self) -> bool:
        """Whether a process of this cgroup was OOM-killed since then."""
        return oom_kills(self._root) > self._before
