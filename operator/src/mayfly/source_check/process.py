"""The owner's side of the process that checks: starts it, asks it, replaces it if it died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import mayfly_runtime

CPU_SECONDS = 1
MEMORY_BYTES = 256 * 1024 * 1024
WALL_SECONDS = 15
"""Well above a second of CPU, for overloaded nodes."""

ANSWER_BYTES = 4 * 1024 * 1024
TRIES = 3

SERVER = Path(__file__).with_name("server.py")
FOLDER = str(Path(mayfly_runtime.__file__).parent.parent)
CHUNK_BYTES = 65_536


class NotCheckedError(Exception):
    """The process that checks does not start a job: not the fault of what is to be checked."""


class CheckProcess:
    """One process that waits for jobs and forks for each; see `server`.

    It ends with this object, and with the process that owns it, however that ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None
        self._end: Callable[[], object] = lambda: None

    def start(self) -> socket.socket:
        """Start it, if it isn't there: the first job then finds it ready.

        Returns:
            The socket that it takes jobs from.

        Raises:
            OSError: no process can be started.
        """
        if self._jobs is not None:
            return self._jobs
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-s", "-P", SERVER, *map(str, _limits())],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={"PYTHONPATH": FOLDER, "PATH": "/usr/bin:/bin"},
                    process_group=0,
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._jobs = ours
        self._end = weakref.finalize(self, _end, self._process, ours)
        return ours

    def close(self) -> None:
        """End it and its jobs. A later job starts a new one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._drop(self._jobs)

    async def ask(self, request: bytes) -> bytes | None:
        """The answer of a job of its own; None if it ran out of time or memory.

        Args:
            request: as `mayfly_runtime.spec.check` reads it.

        Raises:
            NotCheckedError: no job starts.
            OSError: no process can be started.
        """
        for _ in range(TRIES):
            job, jobs = self._hand_over()
            with job:
                if await _started(job):
                    return await _answer(job, request)
            self._drop(jobs)
        raise NotCheckedError("the process that checks sources does not answer")

    def _hand_over(self) -> tuple[socket.socket, socket.socket]:
        """Our end of the new job's socket, and the socket of the process that has the other."""
        jobs = self.start()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, contextlib.suppress(OSError):  # it died: `ours` ends before a job started
            socket.send_fds(jobs, [b"j"], [theirs.fileno()])
        return ours, jobs

    def _drop(self, jobs: socket.socket | None) -> None:
        """End the process of this socket, unless that is done; its forks go on."""
        if jobs is self._jobs:
            self._end()
            self._process = self._jobs = None


def _end(process: subprocess.Popen[bytes], jobs: socket.socket) -> None:
    jobs.close()
    process.kill()
    process.wait()


def _limits() -> tuple[int, int, int]:
    return CPU_SECONDS, MEMORY_BYTES, WALL_SECONDS


async def _started(job: socket.socket) -> bool:
    try:
        async with asyncio.timeout(WALL_SECONDS):
            return bool(await asyncio.get_running_loop().sock_recv(job, 1))
    except (TimeoutError, OSError):
        return False


async def _answer(job: socket.socket, request: bytes) -> bytes | None:
    loop, answer = asyncio.get_running_loop(), bytearray()
    try:
        async with asyncio.timeout(WALL_SECONDS):
            await loop.sock_sendall(job, request)
            job.shutdown(socket.SHUT_WR)
            while part := await loop.sock_recv(job, CHUNK_BYTES):
                answer += part
                if len(answer) > ANSWER_BYTES:
                    return None
    except (TimeoutError, OSError):
        return None
    return bytes(answer) or None
