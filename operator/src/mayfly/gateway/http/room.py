"""Builds the HTTP room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.http.outbound import Outbound
from mayfly.gateway.process import Process


@dataclass(frozen=True)
class HTTP:
    """What the room offers: the client for outgoing requests."""

    outbound: Outbound


def build(process: Process) -> HTTP:
    """Build the room."""
    outbound = process.config.outbound
    return HTTP(
        Outbound(
            allowed=outbound.allow_cidrs, denied=outbound.deny_cidrs, proxy=outbound.proxy or None
        )
    )
