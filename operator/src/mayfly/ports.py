"""Opens ports: by default on every address, IPv6 and IPv4, on hosts with one or both."""

from __future__ import annotations

import socket

EVERY = "::"
"""Every address of both families; 0.0.0.0 where the kernel has no IPv6."""


def listening(host: str, port: int) -> socket.socket:
    """Open a port: from now on connections wait to be accepted.

    Args:
        host: an IPv6 or IPv4 address, or `EVERY`.
        port: 0 for any free one.

    Raises:
        OSError: the port is in use, or the host doesn't have this address.
    """
    if host == EVERY and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - the same, of a kernel without IPv6
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=host == EVERY)
