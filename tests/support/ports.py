"""Ports for servers of tests."""

import random
import socket

LOWEST, HIGHEST = 15_000, 29_999
"""Below those that the kernel gives to outgoing connections, and node ports: a port from there may
be taken between its choice and its use."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    dice = random.SystemRandom()
    while True:
        port = dice.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
