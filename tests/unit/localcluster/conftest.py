"""Nothing here may reach this machine's own cluster: state, cache, tools, cgroups are stand-ins."""

import os
from pathlib import Path

import pytest
from support.tools.fake_tools import FakeTools

from localcluster import state
from localcluster.builds import wheels
from localcluster.images import recipes
from localcluster.node import cgroups, leftovers, network
from localcluster.progress import Step

CALLERS = (
    "MAYFLY_CLUSTER", "MAYFLY_VALUES", "MAYFLY_URL", "MAYFLY_TOKEN", "MAYFLY_REGISTRY",
    "MAYFLY_OPERATOR_IMAGE", "MAYFLY_RUNTIME_IMAGE", "MAYFLY_BASE_IMAGE", "KUBECONFIG",
    "SSL_CERT_FILE", "NO_PROXY", "no_proxy", "http_proxy", "https_proxy", "all_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch) -> FakeTools:
    """A PATH with nothing on it but what a test installs."""
    made = FakeTools(tmp_path / "tools")
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch) -> None:
    for name in CALLERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAYFLY_LOCAL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MAYFLY_CACHE", str(tmp_path / "cache"))
    for name in ("_SHIM_SOCKETS", "_CONTAINER_LOGS", "_DEVICE_PLUGINS", "_CNI_RESULTS"):
        monkeypatch.setattr(leftovers, name, tmp_path / "host" / name / "inner")
    monkeypatch.setattr(cgroups, "_hierarchies", list)
    monkeypatch.setattr(network, "_sysctl", lambda name: tmp_path / "host" / "sys" / name)
    monkeypatch.setattr(network, "bridge_exists", lambda: False)
    monkeypatch.setattr(network, "owner", lambda: None)


@pytest.fixture(autouse=True)
def signals(monkeypatch) -> list[tuple[int, int]]:
    """The signals that were sent; one to a process that is no child of the test is refused."""
    sent: list[tuple[int, int]] = []
    kill = os.kill

    def guarded(pid: int, number: int) -> None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            raise ProcessLookupError from None
        assert int(fields[1]) == os.getpid(), f"a signal to somebody else's process {pid}"
        sent.append((pid, number))
        kill(pid, number)

    monkeypatch.setattr(os, "kill", guarded)
    return sent


@pytest.fixture
def here() -> state.State:
    return state.current()


@pytest.fixture
def step(tmp_path) -> Step:
    return Step("a step", tmp_path / "step.log")


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> recipes.Recipe:
    """A small image to build; its packages are there already."""
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (source / "requirements.txt").write_text("thing==1\n")
    (source / "src" / "main.py").write_text("print()\n")
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    (downloaded / "thing-1-py3-none-any.whl").write_text("wheel")
    monkeypatch.setattr(wheels, "download", lambda requirements, purpose: downloaded)
    return recipes.Recipe("operator", ((str(source), "."),))
