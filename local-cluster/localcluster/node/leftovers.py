"""Leftovers of the node's processes on the host: removed by `down` and before a start."""

import shutil
import signal
import socket
import time
from pathlib import Path

from localcluster import mounts
from localcluster.node import cgroups, network
from localcluster.node.processes import Processes, send
from localcluster.state import State

_SHIM = "containerd-shim-runc-v2"
_SHIM_SOCKETS = Path("/run/containerd/s")  # compiled into containerd's shim
_CONTAINER_LOGS = Path("/var/log/containers")  # compiled into kubelet
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")  # likewise
_CNI_RESULTS = Path("/var/lib/cni/results")  # compiled into containerd's CNI library


def sweep(state: State) -> None:
    """End containers and their shims, unmount, remove sockets and links.

    Call it only when containerd and the kubelet are stopped. containerd's records of its containers
    stay: after a restart, containerd and the kubelet must know that a container has run, or a pod
    that never restarts would be run a second time.
    """
    for _ in range(50):
        pids = shims(state)
        for pid in pids:
            send(pid, signal.SIGKILL)
        if not pids:
            break
        time.sleep(0.1)
    cgroups.kill()
    _remove_shim_sockets(state)
    mounts.unmount(state.folder)
    shutil.rmtree(state.folder / "containerd" / "runc", ignore_errors=True)
    state.containerd_socket.unlink(missing_ok=True)
    _remove_compiled_in(state)


def shims(state: State) -> list[int]:
    """Shim processes of containerd that serve our socket; one per pod."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        if Path(words[0]).name == _SHIM and str(state.containerd_socket) in words:
            found.append(int(entry.name))
    return found


def listing(state: State) -> list[str]:
    """Everything of ours that is still on the host, for people."""
    alive = [record for record in Processes(state).recorded() if record.alive()]
    found = [f"process {record.pid} ({record.name})" for record in alive]
    found += [f"process {pid} ({_SHIM})" for pid in shims(state)]
    found += [f"process {pid} (in our cgroup)" for pid in sorted(cgroups.members())]
    found += [f"mount {point}" for point in mounts.below(state.folder)]
    found += [f"cgroup {group}" for group in cgroups.left()]
    found += [f"nft table {family} {name}" for family, name in network.tables()]
    if network.bridge_exists():
        found.append(f"bridge {network.BRIDGE}")
    return found


def _remove_shim_sockets(state: State) -> None:
    """Remove the shims' sockets, which lie outside our folder; each bundle names its own."""
    tasks = state.folder / "containerd" / "state" / "io.containerd.runtime.v2.task"
    for address in tasks.glob("*/*/address"):
        path = Path(address.read_text().strip().removeprefix("unix://"))
        if path.parent == _SHIM_SOCKETS:
            path.unlink(missing_ok=True)
    _remove_if_empty(_SHIM_SOCKETS, _SHIM_SOCKETS.parent)


def _remove_compiled_in(state: State) -> None:
    """Remove what the kubelet and containerd keep at paths that can't be configured."""
    for link in _CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and state.folder in link.readlink().parents:
            link.unlink()
    _remove_if_empty(_CONTAINER_LOGS)
    for result in _CNI_RESULTS.glob(f"{network.CNI_NETWORK}-*-eth0"):
        sandbox = result.name.removeprefix(f"{network.CNI_NETWORK}-").removesuffix("-eth0")
        result.unlink()
        (_CNI_RESULTS / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
    _remove_if_empty(_CNI_RESULTS, _CNI_RESULTS.parent)
    plugins = _DEVICE_PLUGINS / "kubelet.sock"
    if plugins.is_socket() and not _listens(plugins):
        plugins.unlink()
    _remove_if_empty(_DEVICE_PLUGINS, _DEVICE_PLUGINS.parent)


def _listens(path: Path) -> bool:
    """Whether a process, such as another kubelet, serves this socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _remove_if_empty(*folders: Path) -> None:
    """Remove folders, inner ones first, unless they are in use."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
