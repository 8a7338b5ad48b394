"""Listeners: callbacks for one kind of notification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Registered callbacks, called in the order of registration."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[P, None]] = []

    def listen(self, hear: Callable[P, None]) -> None:
        """Register a callback."""
        self._callbacks.append(hear)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every callback."""
        for hear in self._callbacks:
            hear(*args, **kwargs)
