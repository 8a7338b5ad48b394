"""The build cache: results of slow steps, outside every clone, keyed by a hash of their inputs.

An entry appears by one rename when it is complete, so a killed build leaves no partial entry. A
lock per key keeps two callers from building the same entry.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from localcluster.lock import exclusive
from localcluster.progress import Step, step

_KEPT = 3  # entries of each kind
_told: set[Path] = (
    set()
)  # entries that this process has spoken of: asked for again, nothing is news

# Tests, and what tools leave in the tree, are no input of anything that is built.
_LEFT_OUT = {
    "__pycache__",
    "tests",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "node_modules",
    "dist",
}


def folder() -> Path:
    """The cache folder: $MAYFLY_CACHE, or ~/.cache/mayfly."""
    return Path(os.environ.get("MAYFLY_CACHE") or Path.home() / ".cache" / "mayfly").absolute()


def key(*parts: str | bytes) -> str:
    """The first 12 hex digits of a hash over the parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:12]


def source_files(root: Path) -> list[Path]:
    """Every relevant file of a source folder, sorted, relative to it."""
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        found += [
            Path(parent, name).relative_to(root) for name in names if not name.endswith(".pyc")
        ]
    return sorted(found)


def tree_key(root: Path) -> str:
    """A key over the names, modes and bytes of the files of a source folder."""
    parts: list[str | bytes] = []
    for name in source_files(root):
        path = root / name
        parts += [str(name), "x" if os.access(path, os.X_OK) else "-", path.read_bytes()]
    return key(*parts)


def place(kind: str, inputs: str) -> Path:
    """The path of an entry, whether it exists or not."""
    return folder() / f"{kind}-{inputs}"


def entry(kind: str, inputs: str, title: str, build: Callable[[Path, Step], None]) -> Path:
    """The folder `<kind>-<inputs>`, built by `build(folder, step)` if it does not exist."""
    final = place(kind, inputs)
    log = folder() / "logs" / f"{kind}.log"
    if final.is_dir():
        os.utime(final)  # `_prune` keeps what was used last
        if final not in _told:
            with Step(title, log) as current:
                current.cached()
        _told.add(final)
        return final
    _told.add(final)
    with exclusive(folder() / f"{final.name}.lock", title), step(title, log) as current:
        if final.is_dir():
            current.cached("built by another process")
            return final
        draft = folder() / f"{final.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)  # of a build that was killed
        draft.mkdir(parents=True)
        try:
            build(draft, current)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        os.utime(draft)  # used now, however long nothing was added to the folder itself
        draft.rename(final)
        _prune(kind)
    return final


def _prune(kind: str) -> None:
    """Remove a kind's entries except the most recently used: each edit of the tree adds one."""
    entries = [
        path for path in folder().glob(f"{kind}-*") if path.is_dir() and path.suffix != ".draft"
    ]
    for old in sorted(entries, key=_last_use, reverse=True)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _last_use(path: Path) -> float:
    return path.stat().st_mtime


def link_files(files: Iterable[Path], target: Path) -> None:
    """Hard-link files into a folder; copies them if the file system does not allow links."""
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)
