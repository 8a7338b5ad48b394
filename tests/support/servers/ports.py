"""Ports for the servers of tests."""

import os
import random
import socket
from collections.abc import Iterator

LOWEST, HIGHEST = 15_000, 29_999
"""Below the ports of outgoing connections and node ports: those could be taken between choice and
use."""

SHARES = 8
"""Maximum number of parallel test processes; each chooses from its own range."""


def _ports() -> Iterator[int]:
    """The ports of this process, in turn."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
    size = (HIGHEST - LOWEST + 1) // SHARES
    # Not from the same port each time: what ran before may still hold some.
    at = random.SystemRandom().randrange(size)
    while True:
        yield LOWEST + worker * size + at
        at = (at + 1) % size


_PORTS = _ports()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
