"""uvicorn inside a process that has its own way to end."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import uvicorn
from typing_extensions import override


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the process."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn's own raises the signal again after its end, which kills whoever called it.
        yield
