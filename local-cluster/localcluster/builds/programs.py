"""Builds Kubernetes, helm, CoreDNS and the pause container from their Go modules."""

import os
import re
import shutil
from functools import cache as once
from pathlib import Path

from localcluster import state
from localcluster.builds import cache, golang
from localcluster.clone import LOCAL_CLUSTER
from localcluster.progress import Step

_SOURCE = LOCAL_CLUSTER / "programs"
_HELM = "helm.sh/helm/v3"
_HELM_COMMAND = f"{_HELM}/cmd/helm"
_OWN = ("./kubernetes", "./coredns", "./pause")

# Names of the one binary that holds them all.
_KUBERNETES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)


def kubernetes() -> Path:
    """The folder with all programs: Kubernetes' own, etcd, kubectl, helm, coredns and pause."""

    def build(folder: Path, current: Step) -> None:
        golang.build(_SOURCE, (*_OWN, _HELM_COMMAND), _stamps(), folder, current)
        for program in _KUBERNETES:
            (folder / program).symlink_to("kubernetes")

    title = f"build Kubernetes {_version('k8s.io/kubernetes')}, helm and CoreDNS"
    return cache.entry("kubernetes", _key(), title, build)


def helm() -> Path:
    """The helm binary: the one built with Kubernetes, or built alone."""
    beside = cache.place("kubernetes", _key()) / "helm"
    if beside.exists():
        return beside

    def build(folder: Path, current: Step) -> None:
        golang.build(_SOURCE, (_HELM_COMMAND,), _stamps(), folder, current)

    return cache.entry("helm", _key(), f"build helm {_version(_HELM)}", build) / "helm"


def clients() -> dict[str, Path]:
    """The kubectl and helm to use: those on PATH, otherwise our own builds."""
    # Not those that `env` has put there: a link to itself would come of it.
    local = state.current()
    ours = {str(each.bin) for each in (local, local.beside("kind"), local.beside("current"))}
    path = os.pathsep.join(folder for folder in os.get_exec_path() if folder not in ours)
    found_kubectl, found_helm = shutil.which("kubectl", path=path), shutil.which("helm", path=path)
    return {
        "kubectl": Path(found_kubectl) if found_kubectl else kubernetes() / "kubectl",
        "helm": Path(found_helm) if found_helm else helm(),
    }


def _key() -> str:
    return golang.key(_SOURCE, (*_OWN, _HELM_COMMAND), _stamps())


def _stamps() -> list[str]:
    """Linker variables: the versions that the programs report."""
    version = _version("k8s.io/kubernetes")
    _, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    # Without these the API server calls itself v0.0.0 and clients refuse its features.
    stamps = [f"{package}.gitVersion={version}", f"{package}.gitMajor=1"]
    stamps += [f"{package}.gitMinor={minor}", f"{_HELM}/internal/version.version={_version(_HELM)}"]
    # Without these `helm template` and `helm lint` render for a Kubernetes 1.20.
    for part in ("chartutil", "lint/rules"):
        stamps.append(f"{_HELM}/pkg/{part}.k8sVersionMajor=1")
        stamps.append(f"{_HELM}/pkg/{part}.k8sVersionMinor={minor}")
    return stamps


@once
def _version(module: str) -> str:
    """The version of a module in our go.mod."""
    found = re.search(
        rf"^\s+{re.escape(module)} (v\S+)", (_SOURCE / "go.mod").read_text(), re.MULTILINE
    )
    assert found, module
    return found[1]
