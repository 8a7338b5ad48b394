"""The state folder: everything that a running cluster stores, outside every clone."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from localcluster.lock import exclusive


@dataclass(frozen=True)
class State:
    """Paths below the state folder."""

    folder: Path

    def beside(self, kind: str) -> "State":
        """The state folder of another kind of cluster."""
        return State(self.folder.with_name(f"{self.folder.name}-{kind}"))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Contains only kubectl and helm: this goes on the caller's PATH."""
        return self.folder / "bin"

    @property
    def logs(self) -> Path:
        """One log file per process and per step."""
        return self.folder / "logs"

    @property
    def processes(self) -> Path:
        """One record per started process."""
        return self.folder / "processes"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def containerd_socket(self) -> Path:
        """The socket of containerd."""
        return self.folder / "containerd" / "containerd.sock"

    @property
    def gateway_volume(self) -> Path:
        """The folder behind the gateway's hostPath volume."""
        return self.folder / "volumes" / "gateway"

    @property
    def trusted_roots(self) -> Path:
        """A CA bundle of the system's authorities and the installation's."""
        return self.folder / "trusted-roots.pem"

    @property
    def token(self) -> Path:
        """The demo user's token and its expiry."""
        return self.folder / "token.json"

    def locked(self) -> AbstractContextManager[None]:
        """Lock against a second `up` or `down`; beside the folder, because `down` removes that."""
        return exclusive(self.folder.with_name(self.folder.name + ".lock"), "the cluster is busy")


def current() -> State:
    """$MAYFLY_LOCAL_STATE, or one folder per machine (root) or per user."""
    chosen = os.environ.get("MAYFLY_LOCAL_STATE")
    if chosen:
        return State(Path(chosen).absolute())
    if os.geteuid() == 0:
        return State(Path("/var/lib/mayfly-local"))
    return State(Path.home() / ".local" / "state" / "mayfly-local")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file atomically; readers never see a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.rename(path)
