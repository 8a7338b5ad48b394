"""containerd's images, managed through `ctr` on our own socket."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from localcluster.progress import Command, Step
from localcluster.state import State


@dataclass(frozen=True)
class Containerd:
    """The containerd of one state folder."""

    state: State

    def answers(self) -> bool:
        """Whether containerd serves requests."""
        return self._ctr("version").returncode == 0

    def has(self, name: str) -> bool:
        """Whether an image of that name exists."""
        return self.digest(name) is not None

    def digest(self, name: str) -> str | None:
        """The digest of an image, by its full name; None if it is missing."""
        lines = self._ctr("images", "list", f"name=={name}").stdout.splitlines()
        return lines[1].split()[2] if len(lines) > 1 else None

    def load(self, archive: Path, name: str, tagged: str, current: Step) -> str:
        """Import an archive and also name it by digest: an import creates only the tag."""
        ctr: Command = ["ctr", "--address", self.state.containerd_socket, "--namespace", "k8s.io"]
        current.run([*ctr, "images", "import", archive])
        digest = self.digest(tagged)
        if digest is None:
            raise current.failure(f"{archive} holds no image {tagged}")
        current.run([*ctr, "images", "tag", "--force", tagged, f"{name}@{digest}"])
        return digest

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        address = ["--address", str(self.state.containerd_socket), "--connect-timeout", "2s"]
        return subprocess.run(
            ["ctr", *address, "--namespace", "k8s.io", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
