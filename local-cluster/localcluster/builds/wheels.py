"""Downloads Python packages for the images, on the host.

pip inside an image build knows neither the host's certificate authorities nor its package index, so
downloads would fail behind a corporate proxy. With the wheels in the build context, the Dockerfile
installs offline everywhere.
"""

import platform
import re
from collections.abc import Callable
from pathlib import Path

from localcluster.builds import cache, packages
from localcluster.progress import Far, Step

PYTHON = "3.13"  # of the images

# Debian trixie, below both bases, has glibc 2.41. pip takes these tags literally.
_GLIBC = range(41, 16, -1)


def download(requirements: Path, purpose: str) -> Path:
    """A folder with a wheel for every line of a locked requirements file."""

    def build(folder: Path, current: Step) -> None:
        command = [*packages.pip(), "download", "--require-hashes", "--only-binary=:all:"]
        command += ["--no-deps", "--progress-bar=off", "--python-version", PYTHON]
        command += [word for tag in platforms() for word in ("--platform", tag)]
        count = len(re.findall(r"^\S+==", requirements.read_text(), re.MULTILINE))
        command += ["--requirement", str(requirements), "--dest", str(folder)]
        current.run(command, far=_downloaded(count))

    inputs = cache.key(requirements.read_bytes(), PYTHON, *platforms())
    title = f"download the packages of the {purpose} image"
    return cache.entry("wheels", inputs, title, build)


def platforms() -> list[str]:
    """The platform tags of wheels that our images accept, as pip options."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    newest = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC]
    old = [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return [*newest, *old, f"linux_{machine}"]


def _downloaded(count: int) -> Callable[[str], Far]:
    """How many of the packages pip has downloaded."""

    def far(log: str) -> Far:
        done = len(re.findall(r"^Collecting ", log, re.MULTILINE))
        return Far(f"{done} of {count} packages", done / count if count else None)

    return far
