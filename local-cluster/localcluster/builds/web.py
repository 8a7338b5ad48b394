"""Builds the web UI, on the host: as with the wheels, an image's build itself needs no network."""

import re
import shutil
import subprocess
from pathlib import Path

from localcluster.builds import cache
from localcluster.clone import ROOT
from localcluster.failure import Failure
from localcluster.progress import Step

SOURCES = ROOT / "web"
NODE = (20, 19)
"""The oldest Node.js that Vite runs on."""

_LOCKED = ("package.json", "package-lock.json", ".npmrc")


def modules() -> Path:
    """The folder `node_modules` of the locked packages, shared by all clones."""
    found = ".".join(map(str, _node()))

    def build(folder: Path, current: Step) -> None:
        for name in _LOCKED:
            shutil.copy2(SOURCES / name, folder / name)
        current.run(["npm", "ci", "--no-audit", "--no-fund", "--prefix", folder])

    inputs = cache.key(found, *((SOURCES / name).read_bytes() for name in _LOCKED))
    return cache.entry("node", inputs, "install the web UI's packages", build) / "node_modules"


def dist() -> Path:
    """The folder of the built UI: index.html and its assets, compressed."""
    packages = modules()

    def build(folder: Path, current: Step) -> None:
        draft = folder / "sources"
        for name in cache.source_files(SOURCES):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCES / name, draft / name)
        (draft / "node_modules").symlink_to(packages)
        current.run(["npm", "run", "build", "--prefix", draft])
        (draft / "dist").rename(folder / "dist")
        shutil.rmtree(draft)

    inputs = cache.key(cache.tree_key(SOURCES), packages.parent.name)
    return cache.entry("web", inputs, "build the web UI", build) / "dist"


def _node() -> tuple[int, ...]:
    """The version of Node.js.

    Raises:
        Failure: it is missing or too old, or npm is missing.
    """
    needs = f"the web UI is built with Node.js {NODE[0]}.{NODE[1]} or newer, and npm"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Failure(f"{needs}; install both, for example the Debian packages nodejs and npm")
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    found = tuple(int(part) for part in re.findall(r"\d+", shown))
    if found < NODE:
        raise Failure(f"{needs}; this is Node.js {shown.strip()}")
    return found
