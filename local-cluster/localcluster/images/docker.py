"""Builds images with Docker, on the public Python image."""

import os
import shutil
import subprocess
from pathlib import Path

from localcluster.builds import wheels
from localcluster.progress import Step


def answers() -> bool:
    """Whether there is a Docker daemon that answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


class Docker:
    """Builds with `docker build`."""

    def __init__(self) -> None:
        self._base = os.environ.get("MAYFLY_BASE_IMAGE") or f"python:{wheels.PYTHON}-slim"

    def key(self) -> str:
        """A key that changes with the base image."""
        return f"docker {self._base}"

    def build(self, context: Path, name: str, tag: str, archive: Path, current: Step) -> None:
        """Build an image, and write it with `docker save`."""
        tagged = f"{name}:{tag}"
        base = f"BASE={self._base}"
        current.run(["docker", "build", "--build-arg", base, "--tag", tagged, context])
        current.run(["docker", "save", "--output", archive, tagged])

    def push(self, archive: Path, target: str, digest: Path, current: Step) -> None:
        """Push a built archive to a registry, and write its digest there to a file."""
        loaded = subprocess.run(
            ["docker", "load", "--quiet", "--input", archive],
            capture_output=True, text=True, check=True,
        ).stdout.rpartition(": ")[2].strip()  # fmt: skip
        current.run(["docker", "tag", loaded, target])
        current.run(["docker", "push", target])
        pushed = subprocess.run(
            ["docker", "image", "inspect", "--format={{index .RepoDigests 0}}", target],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        digest.write_text(pushed.rpartition("@")[2])
