"""The process that checks: it waits with all its imports done, and forks for each job.

A script, run with `mayfly_runtime` alone on its path. Its standard input is a Unix socket. Each job
comes as one byte with a socket of its own, on which its fork says `STARTED`, reads the request to
its end, and writes the answer. Only the fork reads what a user wrote: this process hands over file
descriptors, so nothing of a job can reach another, and no job can end it. It ends with its owner,
when the socket is closed.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys

from mayfly_runtime.spec.check import answer

STARTED = b" "
"""What a fork says first. A space may stand before a JSON text."""

CHUNK_BYTES = 65_536


def main(cpu_seconds: int, memory_bytes: int, wall_seconds: int) -> None:
    """Fork for each job until the owner closes the socket.

    Args:
        cpu_seconds: of processor time that a job may use.
        memory_bytes: of address space that a job may have, the interpreter's included.
        wall_seconds: that a job may take.
    """
    jobs = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(jobs, 1, 1)
        if not message:
            return
        with socket.socket(fileno=descriptors[0]) as job:
            if os.fork() == 0:
                try:
                    jobs.close()
                    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
                    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    signal.alarm(wall_seconds)
                    _work(job)
                finally:
                    os._exit(0)


def _work(job: socket.socket) -> None:
    job.sendall(STARTED)
    request = b"".join(iter(lambda: job.recv(CHUNK_BYTES), b""))
    job.sendall(json.dumps(answer(json.loads(request))).encode())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
