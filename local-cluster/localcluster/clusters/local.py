"""The cluster for machines without Docker: Kubernetes' programs as processes of the host."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template

from localcluster import mounts
from localcluster.builds import cache, packages, programs
from localcluster.clone import LOCAL_CLUSTER, MANIFESTS
from localcluster.failure import Failure
from localcluster.images import archive, recipes
from localcluster.images.buildah import Buildah
from localcluster.images.recipes import Image, Recipe
from localcluster.kubectl import Kubectl
from localcluster.node import cgroups, components, control_plane, dns, leftovers, network, pki
from localcluster.node.containerd import Containerd
from localcluster.node.processes import Processes
from localcluster.progress import Step, note, step
from localcluster.side_by_side import side_by_side
from localcluster.state import State

_GATEWAY_USER = 65532  # of the image; a hostPath volume knows no fsGroup


class LocalCluster:
    """A cluster of one node, with all its state below one folder."""

    title = "the local cluster"
    warm = True

    def __init__(self, state: State) -> None:
        self.state = state
        self._processes = Processes(state)
        self._containerd = Containerd(state)
        self.url = f"https://{network.GATEWAY_SERVICE}"
        self.values = [LOCAL_CLUSTER / "values-local.yaml"]

    @property
    def kubectl(self) -> Kubectl:
        """An administrator's kubectl."""
        return Kubectl(self.state.bin / "kubectl", self.state.kubeconfig)

    @property
    def helm(self) -> Path:
        """The helm that we build: Debian has no package."""
        return self.state.bin / "helm"

    @property
    def manifests(self) -> str:
        """The gateway's volume, because there is no StorageClass."""
        folder = self.state.gateway_volume
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, _GATEWAY_USER, _GATEWAY_USER)
        template = Template((MANIFESTS / "gateway-volume.yaml").read_text())
        return template.substitute(folder=folder)

    def prepare(self, wanted: Sequence[Recipe]) -> None:
        """Compile Kubernetes and build images in parallel: images mostly wait for the network."""
        _require_root()
        packages.require((*packages.NODE, *packages.IMAGES), cache.folder() / "logs")

        def build_images() -> None:
            for recipe in wanted:
                recipes.build(recipe, Buildah())

        side_by_side(programs.kubernetes, build_images)

    def up(self) -> None:
        """Build what is missing, start what is not running, and repair what was killed."""
        _require_root()
        packages.require(packages.NODE, cache.folder() / "logs")
        binaries, helm = programs.kubernetes(), programs.helm()
        pause = _scratch("pause", binaries / "pause")
        coredns = _scratch("coredns", binaries / "coredns")
        with self.state.locked():
            self._take_over()
            self._link_clients(binaries, helm)
            had_data = (self.state.folder / "etcd").exists()
            try:
                self._start(binaries, pause, coredns)
            except Failure as failure:
                if not had_data or self._processes.running("etcd"):
                    raise
                # etcd runs without fsync: a power cut can cost its data, which is no loss here.
                why = str(failure).splitlines()[0]
                note(f"the cluster's data did not survive, so it starts anew ({why})")
                self._stop()
                self._link_clients(binaries, helm)
                self._start(binaries, pause, coredns)

    def down(self) -> None:
        """Stop every process, and remove what they have created on the host."""
        with self.state.locked():
            if not self.state.folder.exists() and not leftovers.listing(self.state):
                note("no local cluster here")
                return
            self._take_over()
            with step("stop the local cluster", _log("down")):
                self._stop()

    def running(self) -> bool:
        """Whether every process is running and the API answers."""
        names = (*control_plane.NAMES, *components.NAMES)
        return all(map(self._processes.running, names)) and self.kubectl.ok("get", "--raw=/readyz")

    def image(self, recipe: Recipe) -> str:
        """Build an image with buildah and import it into containerd."""
        return self._load(recipes.build(recipe, Buildah()))

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """The Service's address: kube-proxy serves it on the host too."""
        yield self.url

    def status(self) -> list[str]:
        """The state of each process, and its log file."""
        lines = []
        for name in (*control_plane.NAMES[::-1], *components.NAMES[::-1]):
            word = "runs" if self._processes.running(name) else "does not run"
            lines.append(f"{name:24} {word:13} {self._processes.log(name)}")
        return lines

    def _start(self, binaries: Path, pause: Image, coredns: Image) -> None:
        with step("start the local cluster", _log("up")) as current:
            if not self._processes.running("containerd") or not network.bridge_exists():
                self._heal()
            network.prepare(self.state)
            network.resolv_conf(self.state)
            pki.prepare(self.state)
            started = components.start_containerd(
                self.state, self._processes, pause.tagged, current
            )
            references = [self._load(image) for image in (pause, coredns)]
            started |= control_plane.start(self.state, binaries, self._processes, current)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            since = now if components.start_kubelet(self.state, binaries, self._processes) else ""
            started |= components.start_proxy(self.state, binaries, self._processes)
            components.wait_ready(self.kubectl, self._processes, since, current)
            current.wait(
                lambda: network.api_service_answers(self.state.pki / "ca.crt"),
                60,
                "the API's Service answers",
                self._processes.log("kube-proxy"),
            )
            dns.start(self.state, self.kubectl, references[1], current)
            if not (started or since):
                current.cached("runs already")

    def _take_over(self) -> None:
        """Claim the machine: a cluster of another state folder must be stopped or dead."""
        owner = network.owner()
        if owner is None or owner == self.state.folder:
            return
        other = State(owner)
        if any(record.alive() for record in Processes(other).recorded()):
            raise Failure(
                f"another local cluster runs on this machine, from {owner}; stop it first:\n"
                f"  MAYFLY_LOCAL_STATE={owner} make down"
            )
        leftovers.sweep(other)
        network.remove(other)

    def _heal(self) -> None:
        """Before a start, remove leftovers of killed processes that would block new ones."""
        for name in components.NAMES:
            self._processes.stop(name)
        leftovers.sweep(self.state)

    def _stop(self) -> None:
        """Stop the processes; the kubelet first, because it would restart containers."""
        for name in ("kubelet", "kube-proxy", *control_plane.NAMES, "containerd"):
            self._processes.stop(name, grace=3)
        leftovers.sweep(self.state)
        network.remove(self.state)
        cgroups.remove()
        if mounts.below(self.state.folder):
            raise Failure(f"still mounted, so not removed: {mounts.below(self.state.folder)}")
        shutil.rmtree(self.state.folder, ignore_errors=True)
        left = leftovers.listing(self.state)
        if left:
            raise Failure("still there after the stop:" + "".join(f"\n  {line}" for line in left))

    def _load(self, image: Image) -> str:
        """Import an image unless containerd has it; returns its name by digest."""
        digest = self._containerd.digest(image.tagged)
        if digest is None or not self._containerd.has(f"{image.name}@{digest}"):
            with step(f"load {image.tagged}", _log("load")) as current:
                digest = self._containerd.load(image.archive, image.name, image.tagged, current)
        return f"{image.name}@{digest}"

    def _link_clients(self, binaries: Path, helm: Path) -> None:
        self.state.bin.mkdir(parents=True, exist_ok=True)
        for name, target in (("kubectl", binaries / "kubectl"), ("helm", helm)):
            draft = self.state.bin / f"{name}.draft"
            draft.unlink(missing_ok=True)
            draft.symlink_to(target)
            draft.rename(self.state.bin / name)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise Failure(
            "the local cluster needs root (it makes network interfaces, mounts and cgroups):\n"
            "  run it as root, or use Docker with kind, or MAYFLY_CLUSTER=current"
        )


def _scratch(name: str, binary: Path) -> Image:
    """An image of one static binary, in the cache."""
    inputs = cache.key(binary.parent.name)
    image = f"localhost/mayfly/{name}"

    def build(folder: Path, _: Step) -> None:
        archive.write_scratch(binary, f"{image}:{inputs}", folder / "image.tar")

    made = cache.entry(f"image-{name}", inputs, f"pack the {name} image", build)
    return Image(image, inputs, made / "image.tar")


def _log(name: str) -> Path:
    """The path of a step's log; in the cache, so that it outlives the state folder."""
    return cache.folder() / "logs" / f"{name}.log"
