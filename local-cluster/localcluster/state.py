"""The one folder, outside every clone, that holds all that a running cluster keeps."""

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
        """The state of another kind of cluster."""
        return State(self.folder.with_name(f"{self.folder.name}-{kind}"))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Holds kubectl and helm and nothing else: this goes on the caller's PATH."""
        return self.folder / "bin"

    @property
    def logs(self) -> Path:
        """A log file per process and per step."""
        return self.folder / "logs"

    @property
    def processes(self) -> Path:
        """A record per process that was started."""
        return self.folder / "processes"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers."""
        return self.folder / "containerd" / "containerd.sock"

    @property
    def gateway_volume(self) -> Path:
        """What the gateway's hostPath volume shows."""
        return self.folder / "volumes" / "gateway"

    @property
    def trusted_roots(self) -> Path:
        """The system's certificate authorities and the installation's."""
        return self.folder / "trusted-roots.pem"

    @property
    def token(self) -> Path:
        """The demo user's token with its end."""
        return self.folder / "token.json"

    def locked(self) -> AbstractContextManager[None]:
        """Keep a second `up` or `down` out; beside the folder, because `down` removes that."""
        return exclusive(self.folder.with_name(self.folder.name + ".lock"), "the cluster is busy")


def current() -> State:
    """$MAYFLY_LOCAL_STATE, else one folder a machine (root) or a user."""
    chosen = os.environ.get("MAYFLY_LOCAL_STATE")
    if chosen:
        return State(Path(chosen).absolute())
    if os.geteuid() == 0:
        return State(Path("/var/lib/mayfly-local"))
    return State(Path.home() / ".local" / "state" / "mayfly-local")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file whole or not at all; readers never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.rename(path)
