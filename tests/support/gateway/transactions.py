"""Counts the SQL transactions of HTTP requests; those of background tasks are not counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mayfly.database.engine import Database

REQUEST = "RequestResponseCycle.run_asgi"
"""The coroutine in which uvicorn serves a request."""


class Transactions:
    """Counts transactions since it was last read."""

    def __init__(self, patch: pytest.MonkeyPatch, database: Database) -> None:
        self._begun: list[str] = []
        for kind in ("read", "write"):
            patch.setattr(database, kind, self._counted(kind, getattr(database, kind)))

    def _counted(self, kind: str, begin: Callable[..., Any]) -> Callable[..., Any]:
        def counted(**options: bool) -> Any:
            task = asyncio.current_task()
            if task is not None and getattr(task.get_coro(), "__qualname__", "") == REQUEST:
                self._begun.append(kind)
            return begin(**options)

        return counted

    def taken(self) -> tuple[int, int]:
        """The number of reads and writes since the last call."""
        reads, writes = self._begun.count("read"), self._begun.count("write")
        self._begun.clear()
        return reads, writes
