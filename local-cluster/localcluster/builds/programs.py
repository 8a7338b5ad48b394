"""Programs built from their Go modules: Kubernetes, helm, CoreDNS and the pause container."""

import os
import shutil
from pathlib import Path

from localcluster import state
from localcluster.builds import cache, packages
from localcluster.clone import LOCAL_CLUSTER
from localcluster.progress import Command, Step

KUBERNETES_VERSION = "v1.35.4"
HELM_VERSION = "v3.21.4"
COREDNS_VERSION = "v1.14.7"

_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)


def kubernetes() -> Path:
    """The folder with one binary and a link per program (etcd and kubectl included)."""
    source = LOCAL_CLUSTER / "kubernetes"
    _, minor, _ = KUBERNETES_VERSION.split(".")
    package = "k8s.io/component-base/version"
    # Without these the API server calls itself v0.0.0 and clients refuse its features.
    stamps = [f"gitVersion={KUBERNETES_VERSION}", "gitMajor=1", f"gitMinor={minor}"]
    flags = _flags([f"{package}.{stamp}" for stamp in stamps])

    def build(folder: Path, current: Step) -> None:
        command: Command = [packages.go(), "build", "-trimpath", "-ldflags", flags]
        current.run([*command, "-o", folder / "kubernetes", "."], cwd=source, env=_environment())
        for program in _PROGRAMS:
            (folder / program).symlink_to("kubernetes")

    title = f"build Kubernetes {KUBERNETES_VERSION} (10 minutes the first time)"
    return cache.entry("kubernetes", cache.key(cache.tree_key(source), flags), title, build)


def helm() -> Path:
    """The helm binary."""
    module = "helm.sh/helm/v3"
    _, minor, _ = KUBERNETES_VERSION.split(".")
    stamps = [f"{module}/internal/version.version={HELM_VERSION}"]
    # Without these `helm template` and `helm lint` render for a Kubernetes 1.20.
    for package in ("chartutil", "lint/rules"):
        stamps.append(f"{module}/pkg/{package}.k8sVersionMajor=1")
        stamps.append(f"{module}/pkg/{package}.k8sVersionMinor={minor}")
    return _install("helm", f"{module}/cmd/helm", HELM_VERSION, stamps) / "helm"


def coredns() -> Path:
    """The CoreDNS binary, static."""
    return _install("coredns", "github.com/coredns/coredns", COREDNS_VERSION, []) / "coredns"


def pause() -> Path:
    """The program that holds a pod's namespaces open."""
    source = LOCAL_CLUSTER / "pause"

    def build(folder: Path, current: Step) -> None:
        command: Command = [packages.go(), "build", "-trimpath", "-ldflags", _flags([])]
        current.run(
            [*command, "-o", folder / "pause", source / "main.go"], cwd=folder, env=_environment()
        )

    made = cache.entry("pause", cache.tree_key(source), "build the pause container", build)
    return made / "pause"


def clients() -> dict[str, Path]:
    """The kubectl and helm to use: those on PATH, else our own builds."""
    # Not those that `env` has put there: a link to itself would come of it.
    local = state.current()
    ours = {str(each.bin) for each in (local, local.beside("kind"), local.beside("current"))}
    path = os.pathsep.join(folder for folder in os.get_exec_path() if folder not in ours)
    found_kubectl, found_helm = shutil.which("kubectl", path=path), shutil.which("helm", path=path)
    return {
        "kubectl": Path(found_kubectl) if found_kubectl else kubernetes() / "kubectl",
        "helm": Path(found_helm) if found_helm else helm(),
    }


def _install(name: str, module: str, version: str, stamps: list[str]) -> Path:
    flags = _flags(stamps)

    def build(folder: Path, current: Step) -> None:
        command: Command = [packages.go(), "install", "-trimpath", "-ldflags", flags]
        # Outside the clone: `go install` of a version ignores go.mod files, but not go.work ones.
        current.run([*command, f"{module}@{version}"], cwd=folder, env=_environment(bin_=folder))

    inputs = cache.key(module, version, flags)
    return cache.entry(name, inputs, f"build {name} {version}", build)


def _flags(stamps: list[str]) -> str:
    """Linker flags: no debug information, and the versions that programs say they have."""
    return " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in stamps)])


def _environment(bin_: Path | None = None) -> dict[str, str]:
    """Static binaries; no GOOS or GOFLAGS of the caller may change what the key stands for."""
    chosen = {"CGO_ENABLED": "0", "GOOS": "linux", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
    if bin_ is not None:
        chosen["GOBIN"] = str(bin_)
    if "HOME" not in os.environ:
        chosen["GOPATH"] = str(cache.folder() / "gopath")
    return chosen
