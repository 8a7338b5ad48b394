"""Results of slow work, kept outside every clone and keyed by what went into them.

An entry appears by one rename when it is whole, so a killed build leaves no
half of one, and a lock per key keeps two callers from building the same thing.
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

# Tests, and the bytecode that they leave, are no input of anything that is built.
_LEFT_OUT = {"__pycache__", "tests", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


def folder() -> Path:
    """Where the cache is: $MAYFLY_CACHE, or ~/.cache/mayfly."""
    return Path(os.environ.get("MAYFLY_CACHE") or Path.home() / ".cache" / "mayfly").absolute()


def key(*parts: str | bytes) -> str:
    """The first 12 hex digits of a hash over parts, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:12]


def source_files(root: Path) -> list[Path]:
    """Every file of a source folder that counts, sorted, relative to it."""
    found = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        found += [
            Path(parent, name).relative_to(root) for name in names if not name.endswith(".pyc")
        ]
    return sorted(found)


def tree_key(root: Path) -> str:
    """A key over the names, modes and bytes of a source folder."""
    parts: list[str | bytes] = []
    for name in source_files(root):
        path = root / name
        parts += [str(name), "x" if os.access(path, os.X_OK) else "-", path.read_bytes()]
    return key(*parts)


def place(kind: str, inputs: str) -> Path:
    """Where an entry is, or will be."""
    return folder() / f"{kind}-{inputs}"


def entry(kind: str, inputs: str, title: str, build: Callable[[Path, Step], None]) -> Path:
    """The folder `<kind>-<inputs>`, built by `build(folder, step)` if it is not there."""
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
    """Remove all but the entries of a kind that were used last: each edit of the tree makes one."""
    entries = [
        path for path in folder().glob(f"{kind}-*") if path.is_dir() and path.suffix != ".draft"
    ]
    for old in sorted(entries, key=_last_use, reverse=True)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _last_use(path: Path) -> float:
    return path.stat().st_mtime


def link_files(files: Iterable[Path], target: Path) -> None:
    """Put files into a folder without copying their bytes where the file system allows it."""
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)
