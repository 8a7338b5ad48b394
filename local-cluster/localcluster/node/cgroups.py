"""The cgroup of all pods: ours, in each hierarchy (v1) or in the one (v2)."""

import os
import signal
import time
from pathlib import Path

from localcluster.node.processes import send

NAME = "mayfly-local"

# The resources that kubelet limits; it refuses a cgroup root that lacks one.
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


def prepare() -> None:
    """Create our cgroup in every hierarchy."""
    for mount, version in _hierarchies():
        group = mount / NAME
        if version == 2:
            _delegate(mount)
        group.mkdir(exist_ok=True)
        if version == 1 and (group / "cpuset.cpus").exists():
            _fill_cpuset(mount, group)


def unified() -> bool:
    """Whether cgroup v2 has the controllers, as opposed to v1 hierarchies."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def kill() -> None:
    """Kill every process in our cgroups, such as containers."""
    deadline = time.monotonic() + 20
    while (pids := members()) and time.monotonic() < deadline:
        for pid in pids:
            send(pid, signal.SIGKILL)
        time.sleep(0.1)


def members() -> set[int]:
    """The processes in our cgroups."""
    found: set[int] = set()
    for group in _ours():
        for parent, _, names in os.walk(group):
            if "cgroup.procs" in names:
                found |= _read_pids(Path(parent, "cgroup.procs"))
    return found - {0}  # 0: a process that this namespace can't see


def remove() -> None:
    """Remove our cgroups, leaves first: a cgroup with children can't be removed."""
    for group in _ours():
        for parent, _, _ in os.walk(group, topdown=False):
            _remove_one(Path(parent))


def left() -> list[Path]:
    """Our cgroups that still exist."""
    return _ours()


def _ours() -> list[Path]:
    return [group for mount, _ in _hierarchies() if (group := mount / NAME).is_dir()]


def _hierarchies() -> list[tuple[Path, int]]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split()[0]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(before.split()[4]), 2 if kind == "cgroup2" else 1))
    return found


def _delegate(mount: Path) -> None:
    """Enable each controller for our cgroup (v2) separately: the kernel may lack one."""
    for controller in (mount / "cgroup.controllers").read_text().split():
        if controller in _CONTROLLERS:
            try:
                (mount / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError:
                continue  # kubelet says which one it misses


def _fill_cpuset(mount: Path, group: Path) -> None:
    """Initialise a new v1 cpuset: an empty one accepts no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text().strip():
            (group / name).write_text((mount / name).read_text())


def _read_pids(path: Path) -> set[int]:
    try:
        return {int(line) for line in path.read_text().split()}
    except OSError:
        return set()  # the cgroup went away, or is a threaded one


def _remove_one(group: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            # The kernel frees a dead process's cgroup a moment after the process.
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        else:
            return
