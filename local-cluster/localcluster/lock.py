"""A lock between processes, as a context manager."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.progress import check_stopping, note


@contextmanager
def exclusive(path: Path, purpose: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; says so once if another process holds it.

    The kernel releases the lock when its process ends, so a killed holder never blocks anyone. The
    file is removed at the end, so a process that waited must check that the path is still the file
    that it locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait(descriptor, purpose)
            if _still_named(path, descriptor):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)


def _wait(descriptor: int, purpose: str) -> None:
    if not _taken(descriptor):
        note(f"waiting for another process: {purpose}")
        while not _taken(descriptor):
            check_stopping()
            time.sleep(0.1)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_named(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
