"""A uvicorn server in a process that handles signals itself."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import uvicorn
from typing_extensions import override


class Server(uvicorn.Server):
    """A uvicorn server that does not handle signals."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn's own raises the signal again after its end, which kills whoever called it.
        yield
