"""Finds a Python of at least a version: this one, another of the machine, or our images'."""

import shutil
import subprocess
import sys
from pathlib import Path

from localcluster.builds import cache, packages, wheels
from localcluster.images.buildah import Buildah
from localcluster.progress import Step

LAUNCHER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
set -- --library-path "$(echo "$here"/usr/lib/*-linux-gnu)" "$here/usr/bin/python{version}" "$@"
exec "$here"/usr/lib*/ld-linux-*.so.* "$@"
"""
"""It has its own C library, because the machine's may be older."""

WITH_SITE = """\
#!/bin/sh
PYTHONPATH="$(dirname "$(readlink -f "$0")")/site" exec {python} "$@"
"""


def at_least(version: tuple[int, int]) -> str:
    """The path of such a Python."""
    if sys.version_info >= version:
        return sys.executable
    found = [shutil.which(f"python3.{minor}") for minor in range(version[1], 16)]
    found += sorted(str(each) for each in Path.home().glob(".pyenv/versions/3.*/bin/python"))
    for each in filter(None, found):
        code = f"import sys, venv; sys.exit(sys.version_info < {version!r})"
        if subprocess.run([each, "-c", code], capture_output=True, check=False).returncode == 0:
            return each
    return str(of_images())


def of_images() -> Path:
    """The Python of our images, unpacked from Debian packages; independent of the machine."""
    packages.require(packages.IMAGES, cache.folder() / "logs")
    root = Buildah.root_file_system()

    def build(folder: Path, current: Step) -> None:
        parts = ["./usr", "./lib64", "./lib"]
        current.run(["tar", "--extract", "--file", root / "rootfs.tar", "-C", folder, *parts])
        launcher = folder / "python"
        launcher.write_text(LAUNCHER.format(version=wheels.PYTHON))
        launcher.chmod(0o755)

    inputs = cache.key(root.name, LAUNCHER)
    return cache.entry("python", inputs, f"unpack Python {wheels.PYTHON}", build) / "python"


def with_packages(python: str, requirements: Path, name: str, sources: Path | None = None) -> Path:
    """The interpreter with the packages of a locked requirements file, and nothing else.

    Args:
        python: the interpreter.
        requirements: the locked packages.
        name: of the environment.
        sources: packages that are published as sources only, locked likewise; their build
            dependencies are among the requirements.
    """
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    version = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout

    def build(folder: Path, current: Step) -> None:
        # The wheels have to fit the interpreter that they are for, not the one that runs pip.
        command = [*packages.pip(), "install", "--require-hashes", "--ignore-requires-python"]
        command += ["--no-deps", "--progress-bar=off", "--python-version", version.strip()]
        command += ["--target", folder / "site"]
        wheel = [word for tag in wheels.platforms() for word in ("--platform", tag)]
        current.run([*command, "--only-binary=:all:", *wheel, "--requirement", requirements])
        if sources is not None:
            current.run(
                [*command, "--no-build-isolation", "--requirement", sources],
                env={"PYTHONPATH": str(folder / "site")},
            )
        launcher = folder / "python"
        launcher.write_text(WITH_SITE.format(python=python))
        launcher.chmod(0o755)

    locks = [each.read_bytes() for each in (requirements, sources) if each is not None]
    inputs = cache.key(*locks, python, version, WITH_SITE)
    return cache.entry(f"client-{name}", inputs, f"set up {name}", build) / "python"
