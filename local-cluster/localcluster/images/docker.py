"""Builds images with Docker or Podman, on the public Python image."""

import os
import shutil
import subprocess
from pathlib import Path

from localcluster.builds import wheels
from localcluster.progress import Command, Step


def answers(tool: str = "docker") -> bool:
    """Whether Docker (or Podman) is installed and its daemon, if it has one, answers."""
    if shutil.which(tool) is None:
        return False
    return subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0


class Docker:
    """Builds with `docker build`, or with Podman, which takes the same commands."""

    def __init__(self, tool: str = "docker") -> None:
        self._tool = tool
        # Podman may have no default registry for short names.
        public = f"docker.io/library/python:{wheels.PYTHON}-slim"
        default = f"python:{wheels.PYTHON}-slim" if tool == "docker" else public
        self._base = os.environ.get("MAYFLY_BASE_IMAGE") or default

    def key(self) -> str:
        """A key that changes with the base image."""
        return f"{self._tool} {self._base}"

    def build(self, context: Path, name: str, tag: str, archive: Path, current: Step) -> None:
        """Build an image, and write it as an archive."""
        tagged = f"{name}:{tag}"
        base = f"BASE={self._base}"
        current.run([self._tool, "build", "--build-arg", base, "--tag", tagged, context])
        current.run([self._tool, "save", "--output", archive, tagged])

    def push(
        self, archive: Path, target: str, digest: Path, current: Step, *, tls: bool = True
    ) -> None:
        """Push a built archive to a registry, and write its digest there to a file."""
        loaded = subprocess.run(
            [self._tool, "load", "--quiet", "--input", archive],
            capture_output=True, text=True, check=True,
        ).stdout.rpartition(": ")[2].strip()  # fmt: skip
        current.run([self._tool, "tag", loaded, target])
        if self._tool == "podman":  # the digest that it shows is that of the local copy
            how: Command = [f"--tls-verify={str(tls).lower()}", "--digestfile", digest]
            current.run(["podman", "push", *how, target])
            return
        current.run([self._tool, "push", target])
        pushed = subprocess.run(
            [self._tool, "image", "inspect", "--format={{index .RepoDigests 0}}", target],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        digest.write_text(pushed.rpartition("@")[2])
