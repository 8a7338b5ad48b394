"""Builds images without Docker or a registry: Debian packages and buildah."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster import mounts
from localcluster.builds import cache, packages, wheels
from localcluster.lock import exclusive
from localcluster.progress import Command, Far, Step

_SUITE = "trixie"
_PACKAGES = (f"python{wheels.PYTHON}", f"python{wheels.PYTHON}-venv", "ca-certificates", "libgomp1")

# Manuals and translations: a third of a minimal Debian. Licences stay.
_DPKG = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
# What `python:3.13-slim`, the base where Docker is, offers too.
_HOOK = (
    f'ln -s /usr/bin/python{wheels.PYTHON} "$1/usr/local/bin/python"'
    f' && ln -s /usr/bin/python{wheels.PYTHON} "$1/usr/local/bin/python3"'
)
_MOST_LAYERS = 150

_BASE = """\
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""


class Buildah:
    """Builds in its own storage below the cache; the user's images are not touched."""

    def __init__(self) -> None:
        self._root = cache.folder() / "buildah"
        self._base_key = cache.key(_SUITE, *_PACKAGES, *_DPKG, _HOOK, _BASE)

    def key(self) -> str:
        """A key that changes with the base image."""
        return f"buildah {self._base_key}"

    def build(self, context: Path, name: str, tag: str, archive: Path, current: Step) -> None:
        """Build on our base image and write an OCI archive."""
        packages.require(packages.IMAGES, cache.folder() / "logs")
        base = f"localhost/mayfly/base:{self._base_key}"
        newest = f"{name}:newest"  # its layers are the next build's cache
        with self._storage() as buildah:
            self._shrink(buildah)
            if subprocess.run(
                [*buildah, "inspect", base], capture_output=True, check=False
            ).returncode:
                self._make_base(buildah, base, current)
            arguments = ["--build-arg", f"BASE={base}", "--pull-never", "--layers"]
            current.run(
                [*buildah, "build", *arguments, "--format=oci", "--tag", newest, context],
                env=_ENV,
                far=_steps,
            )
            target = f"oci-archive:{archive}:{name}:{tag}"
            # zstd packs and unpacks several times faster than gzip, the default.
            packing = ["--compression-format=zstd", "--compression-level=1"]
            current.run([*buildah, "push", "--format=oci", *packing, newest, target], env=_ENV)

    def push(
        self, archive: Path, target: str, digest: Path, current: Step, *, tls: bool = True
    ) -> None:
        """Copy a built archive to a registry, and write its digest there to a file."""
        with self._storage() as buildah:
            pulled = subprocess.run(
                [*buildah, "pull", "--quiet", f"oci-archive:{archive}"],
                capture_output=True, text=True, check=True,
            ).stdout.strip()  # fmt: skip
            how: Command = [f"--tls-verify={str(tls).lower()}", "--digestfile", digest]
            current.run([*buildah, "push", *how, pulled, f"docker://{target}"])

    def _shrink(self, buildah: list[str]) -> None:
        """Replace a storage that has grown too large.

        `rmi --prune` would remove the layers of a Dockerfile's first stage, the installed packages,
        which the next build needs.
        """
        listing = [*buildah, "images", "--all", "--quiet"]
        known = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
        if len(known) > _MOST_LAYERS:
            mounts.unmount(self._root)
            shutil.rmtree(self._root, ignore_errors=True)

    def _make_base(self, buildah: list[str], base: str, current: Step) -> None:
        with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
            context = Path(folder)
            (context / "Dockerfile").write_text(_BASE)
            cache.link_files([self.root_file_system() / "rootfs.tar"], context)
            current.run([*buildah, "build", "--format=oci", "--tag", base, context], env=_ENV)

    @staticmethod
    def root_file_system() -> Path:
        """A folder with the base image's files as `rootfs.tar`."""

        def build(folder: Path, current: Step) -> None:
            current.run(
                [
                    "mmdebstrap",
                    "--variant=minbase",
                    f"--include={','.join(_PACKAGES)}",
                    *(f"--dpkgopt={option}" for option in _DPKG),
                    f"--customize-hook={_HOOK}",
                    _SUITE,
                    folder / "rootfs.tar",
                ],
            )

        inputs = cache.key(_SUITE, *_PACKAGES, *_DPKG, _HOOK)
        title = f"make a Debian {_SUITE} with Python {wheels.PYTHON}"
        return cache.entry("rootfs", inputs, title, build)

    @contextmanager
    def _storage(self) -> Iterator[list[str]]:
        """The buildah command on our storage, for one caller at a time.

        `run` records mounts, which are gone after the build, so the record is removed. So is the
        storage's mount of its own folder.
        """
        with exclusive(cache.folder() / "buildah.lock", "an image is being built"):
            run = Path(tempfile.mkdtemp(prefix="mayfly-buildah-"))
            try:
                yield ["buildah", "--root", str(self._root), "--runroot", str(run)]
            finally:
                mounts.unmount(self._root)
                mounts.unmount(run)
                shutil.rmtree(run, ignore_errors=True)


def _steps(log: str) -> Far:
    """The Dockerfile step that buildah is working on."""
    found = re.findall(r"^(?:\[(\d+)/(\d+)\] )?STEP (\d+)/(\d+):", log, re.MULTILINE)
    if not found:
        return Far("")
    stage, stages, number, count = found[-1]
    return Far(
        f"stage {stage} of {stages}, step {number} of {count}"
        if stage
        else f"step {number} of {count}"
    )


# chroot isolation needs no runtime, cgroup or network of its own, so it works inside containers.
_ENV = {"BUILDAH_ISOLATION": "chroot", "TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
