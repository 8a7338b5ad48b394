"""Retention: how long a namespace's finished predictions are kept, by annotation or default."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement

from mayfly.api.v1alpha1 import duration
from mayfly.api.v1alpha1.names import RETENTION
from mayfly.gateway.namespaces.watch import Namespaces

logger = logging.getLogger(__name__)

FOREVER = "forever"

LONGEST = timedelta(days=36_525)
"""A hundred years: anything longer is a typo."""


class Retention:
    """The retention of every namespace; None means for ever."""

    def __init__(self, namespaces: Namespaces, default_seconds: int) -> None:
        """Create it.

        Args:
            namespaces: have the annotations.
            default_seconds: without an annotation; 0 for ever.
        """
        self._default = timedelta(seconds=default_seconds) or None
        self._own: dict[str, timedelta | None] = {}
        self._wrong: dict[str, str] = {}
        self._namespaces = namespaces
        namespaces.changes.listen(self._on_namespace)

    async def synced(self) -> None:
        """Wait until every namespace is known: before that, nothing may be removed."""
        await self._namespaces.synced.wait()

    def of(self, namespace: str) -> timedelta | None:
        """The retention of a namespace; without an annotation, the installation's."""
        return self._own.get(namespace, self._default)

    def scopes(
        self, namespace: ColumnElement[Any], now: datetime
    ) -> Iterator[tuple[ColumnElement[bool], datetime]]:
        """Filters of rows past their retention: namespaces, and the latest end.

        Args:
            namespace: the table's column of the namespace.
            now: the time.
        """
        for name, age in self._own.items():
            if age is not None:
                yield namespace == name, now - age
        if self._default is not None:
            yield namespace.not_in(list(self._own)), now - self._default

    def _on_namespace(self, name: str, annotations: dict[str, str]) -> None:
        self._own.pop(name, None)
        text = annotations.get(RETENTION)
        if text is None:
            self._wrong.pop(name, None)
            return
        try:
            self._own[name] = read(text)
        except ValueError:
            # What is removed can't be had again, so a slip removes nothing.
            self._own[name] = None
            if self._wrong.get(name) != text:
                self._wrong[name] = text
                logger.warning(
                    "Annotation %s of namespace %s is %r, which is not a duration such as 30d or "
                    '12h, and not "forever". Nothing in it is removed until this is fixed.',
                    RETENTION,
                    name,
                    text[:64],
                )
        else:
            self._wrong.pop(name, None)


def read(text: str) -> timedelta | None:
    """Parse a retention: "30d", "1d12h", "90m"; "forever" and "0" are None.

    Raises:
        ValueError: it is none of these.
    """
    if text in {FOREVER, "0"}:
        return None
    length = duration.seconds(text)
    if length > LONGEST.total_seconds():
        raise ValueError(f'"{text}" is longer than a hundred years')
    return timedelta(seconds=length) or None
