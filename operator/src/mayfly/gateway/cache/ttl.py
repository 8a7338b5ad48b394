"""TTL cache with a bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from mayfly.clock import Monotonic

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """TTL cache: values live at most `seconds`; beyond `size`, the oldest are evicted."""

    def __init__(self, *, seconds: float, size: int, monotonic: Monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value; None if it is missing or expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        since, value = entry
        if self._monotonic() - since >= self._seconds:
            del self._entries[key]
            return None
        return value

    def put(self, key: K, value: V) -> None:
        """Store a value."""
        self._entries.pop(key, None)
        self._entries[key] = (self._monotonic(), value)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
