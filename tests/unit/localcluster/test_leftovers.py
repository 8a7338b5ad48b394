"""What killed processes leave on the host: found, and only ours removed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from localcluster import mounts
from localcluster.clusters.local import LocalCluster
from localcluster.failure import Failure
from localcluster.node import cgroups, leftovers, network, processes
from localcluster.node.processes import Process
from localcluster.state import State, write

HIERARCHIES = cgroups._hierarchies  # conftest puts a stand-in in its place
FOLDER = Path("/var/lib/mayfly-local")
PAUSE = "import signal; signal.pause()"


@pytest.fixture
def mountinfo(monkeypatch):
    """Says what /proc/self/mountinfo holds."""
    read = Path.read_text

    def hold(*lines: str) -> None:
        text = "".join(f"{line}\n" for line in lines)
        wanted = Path("/proc/self/mountinfo")
        monkeypatch.setattr(
            Path, "read_text", lambda path, *a, **k: text if path == wanted else read(path, *a, **k)
        )

    return hold


def mount(point: str, kind: str = "tmpfs", optional: str = "shared:1 ") -> str:
    return f"36 35 98:0 / {point} rw,noatime {optional}- {kind} source rw,errors=continue"


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([], []),
        (["/", "/var", "/var/lib"], []),
        (["/var/lib/mayfly-local"], ["/var/lib/mayfly-local"]),
        (["/var/lib/mayfly-local-kind/x", "/srv/var/lib/mayfly-local/x"], []),
        (
            ["/var/lib/mayfly-local/kubelet", "/home", "/var/lib/mayfly-local/kubelet/pods/1"],
            ["/var/lib/mayfly-local/kubelet/pods/1", "/var/lib/mayfly-local/kubelet"],
        ),
        (["/var/lib/mayfly-local/a", "/var/lib/mayfly-local/a"], ["/var/lib/mayfly-local/a"] * 2),
        (
            [r"/var/lib/mayfly-local/with\040space\011tab\134040"],
            ["/var/lib/mayfly-local/with space\ttab\\040"],
        ),
    ],
)
@pytest.mark.parametrize("optional", ["", "shared:1 ", "shared:1 master:2 "])
def test_mounts_below_a_folder_the_last_first(mountinfo, points, found, optional):
    mountinfo(*(mount(point, optional=optional) for point in points))
    assert [str(path) for path in mounts.below(FOLDER)] == found


def test_unmounting_is_lazy_where_something_holds_on(mountinfo, tools):
    tools.install("umount")
    mountinfo(*(mount(f"{FOLDER}/{name}") for name in ("a", "b")), mount("/home"))
    tools.answer("umount", f"{FOLDER}/a", code=32)
    mounts.unmount(FOLDER)
    assert [call.words for call in tools.calls("umount")] == [
        [f"{FOLDER}/b"],
        [f"{FOLDER}/a"],
        ["--lazy", f"{FOLDER}/a"],
    ]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([mount("/"), mount("/sys/fs/cgroup")], []),
        ([mount("/sys/fs/cgroup", "cgroup2")], [("/sys/fs/cgroup", 2)]),
        (
            [
                mount("/sys/fs/cgroup/cpu,cpuacct", "cgroup"),
                mount("/sys/fs/cgroup/memory", "cgroup", ""),
                mount("/sys/fs/cgroup/unified", "cgroup2", "shared:1 master:2 "),
                mount("/cgroup", "ext4"),
            ],
            [
                ("/sys/fs/cgroup/cpu,cpuacct", 1),
                ("/sys/fs/cgroup/memory", 1),
                ("/sys/fs/cgroup/unified", 2),
            ],
        ),
    ],
)
def test_cgroup_hierarchies(mountinfo, lines, found):
    mountinfo(*lines)
    assert [(str(path), version) for path, version in HIERARCHIES()] == found


@pytest.fixture
def hierarchies(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """A v1 and a v2 hierarchy with somebody else's group in each."""
    one, two = tmp_path / "cgroup" / "cpuset", tmp_path / "cgroup" / "unified"
    for root in (one, two):
        (root / "docker").mkdir(parents=True)
        (root / "docker" / "cgroup.procs").write_text("1\n")
        (root / "cgroup.procs").write_text("1\n")
    monkeypatch.setattr(cgroups, "_hierarchies", lambda: [(one, 1), (two, 2)])
    return one, two


@pytest.mark.parametrize(
    ("procs", "pids"),
    [
        ({}, set()),
        ({"": "", "pods": "\n"}, set()),
        ({"": "12\n13\n", "pods/a": "14\n", "pods/b": "12\n"}, {12, 13, 14}),
        ({"pods": "0\n15\n0\n"}, {15}),
    ],
)
def test_members_are_those_of_our_groups_only(hierarchies, procs, pids):
    for root in hierarchies:
        for name, text in procs.items():
            (root / "mayfly-local" / name).mkdir(parents=True, exist_ok=True)
            (root / "mayfly-local" / name / "cgroup.procs").write_text(text)
    assert cgroups.members() == pids


def test_a_group_that_goes_away_while_it_is_read(tmp_path):
    assert cgroups._read_pids(tmp_path / "gone" / "cgroup.procs") == set()


def test_groups_are_removed_from_the_leaves_up_and_others_stay(hierarchies):
    for root in hierarchies:
        (root / "mayfly-local" / "kubepods" / "besteffort" / "pod1").mkdir(parents=True)
        (root / "mayfly-local-of-another").mkdir()
    assert cgroups.left() == [root / "mayfly-local" for root in hierarchies]
    cgroups.remove()
    assert cgroups.left() == []
    for root in hierarchies:
        assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [
            "docker",
            "mayfly-local-of-another",
        ]


def test_processes_in_our_groups_are_killed_until_none_is_left(hierarchies, monkeypatch):
    procs = hierarchies[1] / "mayfly-local" / "cgroup.procs"
    procs.parent.mkdir()
    procs.write_text("12\n13\n")
    sent = []

    def send(pid: int, number: int) -> None:
        sent.append((pid, number))
        procs.write_text("14\n" if pid == 13 else "")  # one that the others started meanwhile

    monkeypatch.setattr(cgroups, "send", send)
    cgroups.kill()
    assert sorted(sent) == [(pid, signal.SIGKILL) for pid in (12, 13, 14)]


def test_a_group_is_made_in_each_hierarchy(hierarchies):
    one, two = hierarchies
    (one / "cpuset.cpus").write_text("0-1\n")
    (one / "cpuset.mems").write_text("0\n")
    ours = one / "mayfly-local"
    ours.mkdir()
    (ours / "cpuset.cpus").write_text("\n")  # as the kernel makes them
    (ours / "cpuset.mems").write_text("\n")
    (two / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc")
    (two / "cgroup.subtree_control").write_text("")
    cgroups.prepare()
    assert (ours / "cpuset.cpus").read_text() == "0-1\n"
    assert (ours / "cpuset.mems").read_text() == "0\n"
    assert (two / "mayfly-local").is_dir()
    assert (two / "cgroup.subtree_control").read_text() == "+pids"  # the last of them
    (ours / "cpuset.cpus").write_text("1\n")
    cgroups.prepare()
    assert (ours / "cpuset.cpus").read_text() == "1\n"


@pytest.fixture
def shim():
    """A process that looks like containerd's shim of some socket."""
    started = []

    def start(name: str, socket_: Path) -> subprocess.Popen:
        words = [name, "-IS", "-c", PAUSE, "-namespace", "k8s.io", "-address", str(socket_)]
        child = subprocess.Popen(words, executable=sys.executable)
        started.append(child)
        # Popen returns when the new program's descriptors are set, a moment before its words are.
        while not Path(f"/proc/{child.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_shims_are_told_by_name_and_socket(here, shim):
    ours = shim("/usr/bin/containerd-shim-runc-v2", here.containerd_socket)
    shim("/usr/bin/containerd-shim-runc-v2", Path("/run/containerd/containerd.sock"))
    shim("/usr/bin/containerd-shim-runc-v2", here.beside("kind").containerd_socket)
    shim("/usr/bin/ctr", here.containerd_socket)
    assert leftovers.shims(here) == [ours.pid]


@pytest.fixture
def no_mounts(mountinfo) -> None:
    mountinfo(mount("/"))


def test_a_sweep_kills_our_shims_and_no_other(here, shim, signals, no_mounts, monkeypatch):
    ours = shim("containerd-shim-runc-v2", here.containerd_socket)
    shim("containerd-shim-runc-v2", Path("/run/containerd/containerd.sock"))

    def send(pid: int, number: signal.Signals) -> None:
        processes.send(pid, number)
        os.waitpid(pid, 0)  # what init does with an orphan

    monkeypatch.setattr(leftovers, "send", send)
    leftovers.sweep(here)
    assert signals == [(ours.pid, signal.SIGKILL)]
    assert leftovers.shims(here) == []


def test_a_sweep_removes_our_sockets_and_keeps_what_containers_have_run(here, no_mounts):
    sockets = leftovers._SHIM_SOCKETS
    sockets.mkdir(parents=True)
    tasks = here.folder / "containerd" / "state" / "io.containerd.runtime.v2.task" / "k8s.io"
    elsewhere = here.folder.parent / "elsewhere"
    addresses = {"a": sockets / "ours", "b": sockets / "gone", "c": elsewhere}
    for name, path in addresses.items():
        (tasks / name).mkdir(parents=True)
        (tasks / name / "address").write_text(f"unix://{path}\n")
    for path in (sockets / "ours", sockets / "theirs", elsewhere):
        path.touch()
    here.containerd_socket.touch()
    (here.folder / "containerd" / "root").mkdir()
    (here.folder / "containerd" / "runc").mkdir()
    leftovers.sweep(here)
    assert [path.name for path in sockets.iterdir()] == ["theirs"]
    assert elsewhere.exists()
    assert not here.containerd_socket.exists()
    assert not (here.folder / "containerd" / "runc").exists()
    assert (here.folder / "containerd" / "root").exists()
    assert (tasks / "a" / "address").exists()


def test_a_sweep_removes_our_links_and_results_only(here, no_mounts):
    logs, results = leftovers._CONTAINER_LOGS, leftovers._CNI_RESULTS
    logs.mkdir(parents=True)
    results.mkdir(parents=True)
    (logs / "ours.log").symlink_to(here.logs / "pods" / "x" / "0.log")
    (logs / "theirs.log").symlink_to("/var/log/pods/x/0.log")
    (logs / "kinds.log").symlink_to(here.beside("kind").logs / "0.log")
    (logs / "file.log").touch()
    names = ("mayfly-local-123-eth0", "cni-loopback-123-lo", "theirs-9-eth0", "cni-loopback-9-lo")
    for name in names:
        (results / name).touch()
    leftovers.sweep(here)
    assert sorted(path.name for path in logs.iterdir()) == ["file.log", "kinds.log", "theirs.log"]
    assert sorted(path.name for path in results.iterdir()) == ["cni-loopback-9-lo", "theirs-9-eth0"]


def test_a_sweep_removes_folders_that_nobody_uses(here, no_mounts):
    folders = (leftovers._SHIM_SOCKETS, leftovers._CNI_RESULTS, leftovers._DEVICE_PLUGINS)
    for folder in folders:
        folder.mkdir(parents=True)
    leftovers.sweep(here)
    assert [folder for folder in folders if folder.parent.exists()] == []


@pytest.mark.parametrize("served", [True, False])
def test_a_kubelets_socket_stays_while_it_is_served(here, no_mounts, monkeypatch, served):
    plugins = leftovers._DEVICE_PLUGINS
    plugins.mkdir(parents=True)
    monkeypatch.chdir(plugins)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as kubelet:
        kubelet.bind("kubelet.sock")
        if served:
            kubelet.listen()
        monkeypatch.setattr(leftovers, "_DEVICE_PLUGINS", Path())
        leftovers.sweep(here)
        assert (plugins / "kubelet.sock").exists() is served


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-IS", "-c", PAUSE]) as started:
        yield started
        started.kill()


def put(state: State, child: subprocess.Popen, **changes: str) -> Process:
    started = processes._start_time(child.pid)
    record = Process("kubelet", child.pid, started, processes._boot(), "inputs")
    record = replace(record, **changes)
    write(state.processes / "kubelet.json", json.dumps(asdict(record)))
    return record


def test_the_listing_names_everything(here, hierarchies, mountinfo, tools, child, monkeypatch):
    put(here, child)
    mountinfo(mount(f"{here.folder}/kubelet"))
    group = hierarchies[0] / "mayfly-local"
    group.mkdir()
    (group / "cgroup.procs").write_text("77\n")
    monkeypatch.setattr(network, "bridge_exists", lambda: True)
    monkeypatch.setattr(network, "tables", lambda: [("ip", "mayfly-local")])
    assert leftovers.listing(here) == [
        f"process {child.pid} (kubelet)",
        "process 77 (in our cgroup)",
        f"mount {here.folder}/kubelet",
        f"cgroup {group}",
        "nft table ip mayfly-local",
        "bridge mayfly0",
    ]


def test_the_listing_of_a_clean_host(here, hierarchies, no_mounts, child):
    put(here, child, started="1")  # the pid belongs to somebody else
    assert leftovers.listing(here) == []


@pytest.fixture
def swept(monkeypatch) -> list[Path]:
    folders: list[Path] = []
    monkeypatch.setattr(leftovers, "sweep", lambda state: folders.append(state.folder))
    monkeypatch.setattr(network, "remove", lambda state: folders.append(state.folder))
    return folders


def test_another_living_local_cluster_is_not_taken_over(here, swept, child, monkeypatch, signals):
    other = here.beside("other")
    put(other, child)
    monkeypatch.setattr(network, "owner", lambda: other.folder)
    with pytest.raises(Failure, match=f"MAYFLY_LOCAL_STATE={other.folder} make down"):
        LocalCluster(here)._take_over()
    assert swept == []
    assert signals == []


def test_another_dead_one_is_swept(here, swept, child, monkeypatch, signals):
    other = here.beside("other")
    put(other, child, boot="of the day before")
    monkeypatch.setattr(network, "owner", lambda: other.folder)
    LocalCluster(here)._take_over()
    assert swept == [other.folder, other.folder]
    assert signals == []


@pytest.mark.parametrize("own", [True, False])
def test_our_own_or_nobodys_bridge_is_no_other_cluster(here, swept, monkeypatch, own):
    monkeypatch.setattr(network, "owner", lambda: here.folder if own else None)
    LocalCluster(here)._take_over()
    assert swept == []


def test_the_local_cluster_needs_root(here, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Failure, match="needs root"):
        LocalCluster(here).up()
    assert not here.folder.exists()


def test_down_where_nothing_is(here, hierarchies, no_mounts, capsys):
    LocalCluster(here).down()
    assert "no local cluster here" in capsys.readouterr().err
    assert list(here.folder.parent.glob("state*")) == []


def test_down_removes_the_folder(here, hierarchies, no_mounts, child, capsys):
    record = put(here, child)
    LocalCluster(here).down()
    assert not record.alive()
    assert not here.folder.exists()


def test_down_keeps_a_folder_in_which_something_is_mounted(here, hierarchies, mountinfo, tools):
    tools.install("umount")  # in vain
    here.gateway_volume.mkdir(parents=True)
    mountinfo(mount(str(here.gateway_volume)))
    with pytest.raises(Failure, match="still mounted"):
        LocalCluster(here).down()
    assert here.gateway_volume.is_dir()


def test_down_tells_what_it_could_not_remove(here, no_mounts, tools, monkeypatch):
    here.folder.mkdir()
    monkeypatch.setattr(network, "tables", lambda: [("ip6", "kube-proxy")])
    tools.install("nft")
    with pytest.raises(Failure, match="still there after the stop:\n  nft table ip6 kube-proxy"):
        LocalCluster(here).down()
    assert [call.words for call in tools.calls("nft")] == [["delete", "table", "ip6", "kube-proxy"]]
