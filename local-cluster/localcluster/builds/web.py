"""Builds the web UI, on the host: as with the wheels, an image's build itself needs no network."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from localcluster.builds import cache
from localcluster.clone import ROOT
from localcluster.failure import Failure
from localcluster.progress import Command, Step

SOURCES = ROOT / "web"
NEEDS = "the web UI is built with npm and Node.js, 20.19 or a newer 20, or 22.12 or newer"
"""What Vite runs on."""

_LOCKED = ("package.json", "package-lock.json", ".npmrc")

# Tests, and types, some of which are generated, change nothing that is built.
_LEFT_OUT = (".test.ts", ".test.tsx", ".d.ts")


def modules() -> Path:
    """The folder `node_modules` of the locked packages, shared by all clones."""
    found = ".".join(map(str, _node()))

    def build(folder: Path, current: Step) -> None:
        for name in _LOCKED:
            shutil.copy2(SOURCES / name, folder / name)
        # Vite is one of those for development, which NODE_ENV=production would leave out.
        how: Command = ["--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        current.run(["npm", "ci", *how, "--prefix", folder])

    inputs = cache.key(found, *((SOURCES / name).read_bytes() for name in _LOCKED))
    return cache.entry("node", inputs, "install the web UI's packages", build) / "node_modules"


def dist() -> Path:
    """The folder of the built UI: index.html and its assets, compressed.

    The copy is hashed, not the tree, because the tree may be edited at the same time.
    """
    packages = modules()
    with tempfile.TemporaryDirectory(dir=cache.folder(), prefix="sources-") as temporary:
        sources = Path(temporary) / "web"
        for name in cache.source_files(SOURCES):
            if not name.name.endswith(_LEFT_OUT):
                (sources / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(SOURCES / name, sources / name)

        def build(folder: Path, current: Step) -> None:
            (sources / "node_modules").symlink_to(packages)
            command: Command = ["npm", "run", "build", "--prefix", sources]
            current.run(command, env={"NODE_ENV": "production"})
            (sources / "dist").rename(folder / "dist")

        inputs = cache.key(cache.tree_key(sources), packages.parent.name)
        return cache.entry("web", inputs, "build the web UI", build) / "dist"


def _node() -> tuple[int, ...]:
    """The version of Node.js.

    Raises:
        Failure: it is missing or too old, or npm is missing.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Failure(f"{NEEDS}; install both, for example Debian 13's packages nodejs and npm")
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    found = tuple(int(part) for part in re.findall(r"\d+", shown.stdout))
    if not ((20, 19) <= found < (21,) or found >= (22, 12)):
        raise Failure(f"{NEEDS}; `node --version` says {shown.stdout.strip() or 'nothing'}")
    return found
