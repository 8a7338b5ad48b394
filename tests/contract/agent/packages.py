"""Interpreters with packages: those of the runtime image, or small ones that misbehave."""

import textwrap
from pathlib import Path

from contract.agent.conftest import SOURCE, make_venv
from support.tools import interpreter

LOCK = SOURCE.parent / "requirements.txt"


def of_the_image(folder: Path) -> Path:
    """An environment as the image's: the runtime and the locked packages, found under `-I`."""
    newer = interpreter.at_least((3, 12))  # replicate's client needs it
    packages = Path(interpreter.with_packages(newer, LOCK, "runtime")).parent / "site"
    python = make_venv(folder, newer, SOURCE)
    _site(folder).joinpath("packages.pth").write_text(f"{packages}\n")
    return python


def install(folder: Path, name: str, source: str) -> None:
    """Install a package of one module in the environment in this folder."""
    site = _site(folder)
    (site / f"{name}.py").write_text(textwrap.dedent(source))
    told = site / f"{name}-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (told / "top_level.txt").write_text(f"{name}\n")


def _site(folder: Path) -> Path:
    return next((folder / "lib").glob("python3*/site-packages"))
