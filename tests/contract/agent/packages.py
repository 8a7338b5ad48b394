"""Interpreters with packages: those of the runtime image, or small ones that misbehave."""

import subprocess
import textwrap
from pathlib import Path

import pytest
from contract.agent.conftest import SOURCE, make_venv
from support.tools import interpreter

LOCK = SOURCE.parent / "requirements.txt"


def of_the_image(folder: Path) -> Path:
    """An environment as the image's: the runtime and the locked packages, found under `-I`."""
    newer = interpreter.at_least((3, 12))  # replicate's client needs it
    if not _starts_itself(newer):
        pytest.skip("there is no Python 3.12 or newer, and that of our images can't start another")
    packages = Path(interpreter.with_packages(newer, LOCK, "runtime")).parent / "site"
    python = make_venv(folder, newer, SOURCE)
    _site(folder).joinpath("packages.pth").write_text(f"{packages}\n")
    return python


def _starts_itself(python: str) -> bool:
    """Whether its `sys.executable` runs: the agent starts its worker by it."""
    ask = [python, "-I", "-c", "import sys; print(sys.executable)"]
    told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    return subprocess.run([told, "-I", "-c", ""], capture_output=True, check=False).returncode == 0


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
