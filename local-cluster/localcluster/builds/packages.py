"""Debian packages of the local cluster, and our own pip."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.builds import cache
from localcluster.failure import Failure
from localcluster.progress import Step, step

NODE = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iproute2",
    "iptables",
    "nftables",
    "conntrack",
    "ethtool",
    "socat",
    "openssl",
    "util-linux",
)
IMAGES = ("mmdebstrap", "buildah", "debian-archive-keyring")
PYTHON = ("python3-venv",)
TESTS = ("prometheus", "postgresql", "docker-registry", "chromium", "fonts-dejavu-core")
"""Servers, and a browser with a font, that tests start themselves, as their own processes."""

_POLICY = Path("/usr/sbin/policy-rc.d")
_START_NOTHING = "#!/bin/sh\nexit 101\n"


def require(wanted: Sequence[str], log_folder: Path) -> None:
    """Install those Debian packages that are missing."""
    missing = _missing(wanted)
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Failure(
            f"this machine has no apt-get; install these yourself: {' '.join(missing)}\n"
            "  (or use Docker and kind: see local-cluster/README.md)"
        )
    if os.geteuid() != 0:
        raise Failure(f"not root, so install these first: apt-get install {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"install {' '.join(missing)}", log_folder / "packages.log") as current:
        current.run(["apt-get", "update", "-q"], env=quiet)
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
        with _services_left_alone():
            current.run([*install, *missing], env=quiet)


@contextmanager
def _services_left_alone() -> Iterator[None]:
    """Keep packages from starting their services; an existing policy is left in place."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_START_NOTHING)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _missing(wanted: Sequence[str]) -> list[str]:
    if shutil.which("dpkg-query") is None:
        return list(wanted)
    shown = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,  # it exits 1 when one of them is unknown, and still prints the others
    ).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def pip() -> list[str]:
    """The command of our own pip: the system's may be missing or disabled."""

    def build(folder: Path, current: Step) -> None:
        require_venv()
        # The scripts of a virtual environment hold its path, which changes; `-m pip` does not.
        current.run([sys.executable, "-m", "venv", folder / "venv"])

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = cache.entry("pip", cache.key(version, sys.executable), "set up pip", build)
    return [str(made / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]


def require_venv() -> None:
    """Require `ensurepip`, which Debian packages separately from Python."""
    try:
        import ensurepip  # noqa: F401, PLC0415  (only its presence is asked)
    except ImportError:
        require(PYTHON, cache.folder() / "logs")
