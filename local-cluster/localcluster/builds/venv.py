"""The development environment: locked packages, in the cache, shared by all clones.

It contains no path of a clone; the Makefile sets PYTHONPATH instead.
"""

import sys
from pathlib import Path

from localcluster.builds import cache, packages
from localcluster.clone import ROOT
from localcluster.progress import Command, Step


def prepare() -> Path:
    """The virtual environment for tests/requirements.txt, created if it is missing."""
    requirements = ROOT / "tests" / "requirements.txt"
    inputs = cache.key(requirements.read_bytes(), sys.version)

    def build(folder: Path, current: Step) -> None:
        packages.require_venv()
        current.run([sys.executable, "-m", "venv", folder])
        pip: Command = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--progress-bar=off", "--no-deps", "--require-hashes"]
        current.run([*install, "--requirement", requirements])
        _move_scripts(folder / "bin", str(folder), str(cache.place("venv", inputs)))

    return cache.entry("venv", inputs, "set up the developers' packages", build)


def _move_scripts(scripts: Path, before: str, after: str) -> None:
    """Rewrite the interpreter's path in scripts, because the folder is renamed at the end."""
    for script in scripts.iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        data = script.read_bytes()
        if before.encode() in data:
            script.write_bytes(data.replace(before.encode(), after.encode()))
