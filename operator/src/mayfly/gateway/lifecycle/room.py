"""Builds the lifecycle room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.process import Process


@dataclass(frozen=True)
class Lifecycle:
    """What the room offers: notifications, and when work was sent."""

    notices: Notices
    dispatches: Dispatches


def build(process: Process) -> Lifecycle:
    """Build the room."""
    return Lifecycle(Notices(), Dispatches(process.clock, process.monotonic))
