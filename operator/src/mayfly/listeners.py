"""Callbacks for one sort of news: who has it tells, and does not know who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Those who want to hear of something, in the order in which they asked."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[P, None]] = []

    def listen(self, hear: Callable[P, None]) -> None:
        """Have `hear` called at each news."""
        self._callbacks.append(hear)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call everyone."""
        for hear in self._callbacks:
            hear(*args, **kwargs)
