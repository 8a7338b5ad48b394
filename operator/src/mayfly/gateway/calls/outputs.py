"""Output files of calls: moved into the file store, and replaced by references in the output."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from mayfly.gateway.files.store import Files
from mayfly.gateway.http.errors import TooLarge
from mayfly.gateway.http.outbound import Outbound, OutboundError
from mayfly_runtime.spec import data_urls, strict_json, urls
from mayfly_runtime.spec.disposition import file_name

_MAY_BE_DATA = re.compile(r'"(?:\s|\\)*data:|\\u00', re.IGNORECASE)
"""In JSON: a `data:` URL, or text that is escaped and may be one."""

Fetchable = Callable[[str], bool]
"""Whether a string in an output is the URL of a file to fetch."""


class OutputLost(Exception):
    """A file of an output could not be stored; the message is for people."""


class Outputs:
    """Stores the files of outputs."""

    def __init__(self, files: Files, outbound: Outbound) -> None:
        self._files = files
        self._outbound = outbound

    async def stored(
        self,
        text: str,
        *,
        namespace: str,
        uid: str,
        fetchable: Fetchable | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """An output's JSON text with its files replaced by references; without files, unchanged.

        Args:
            text: JSON.
            namespace: owns the files.
            uid: the prediction.
            fetchable: which URLs are files to fetch; None for none.
            headers: of a fetch.

        Raises:
            OutputLost: a file is too large, can't be read, or can't be fetched.
        """
        if fetchable is None and not _MAY_BE_DATA.search(text):
            return text
        keep = _Keep(self._files, self._outbound, namespace, uid, fetchable, headers or {})
        value = json.loads(text)
        replaced = await _walk(value, keep.one)
        if not keep.changed:
            return text
        return strict_json.dump(replaced)


async def _walk(value: Any, one: Callable[[str], Awaitable[str]]) -> Any:
    if isinstance(value, str):
        return await one(value)
    if isinstance(value, list):
        return [await _walk(each, one) for each in value]
    if isinstance(value, dict):
        return {name: await _walk(each, one) for name, each in value.items()}
    return value


class _Keep:
    def __init__(
        self,
        files: Files,
        outbound: Outbound,
        namespace: str,
        uid: str,
        fetchable: Fetchable | None,
        headers: Mapping[str, str],
    ) -> None:
        self._files = files
        self._outbound = outbound
        self._namespace = namespace
        self._uid = uid
        self._fetchable = fetchable
        self._headers = headers
        self._count = 0

    @property
    def changed(self) -> bool:
        return self._count > 0

    async def one(self, text: str) -> str:
        try:
            if data_urls.looks_like_one(text):
                return await self._data(text)
            if self._fetchable is not None and self._fetchable(text):
                return await self._fetched(text)
        except TooLarge as error:
            raise OutputLost(error.detail) from None
        return text

    async def _data(self, text: str) -> str:
        try:
            found = data_urls.read(text)
        except ValueError:
            raise OutputLost("A data: URI of the output can't be decoded.") from None

        async def once() -> AsyncIterator[bytes]:
            yield found.data

        name = found.file_name("output")
        return await self._put(once(), name, found.media_type, len(found.data))

    async def _fetched(self, url: str) -> str:
        try:
            async with self._outbound.stream("GET", url, headers=self._headers) as got:
                status, headers, pieces = got
                there = urls.read(url)
                if status != 200:
                    raise OutputLost(
                        f"A file of the output can't be fetched: {there.authority} says {status}."
                    )
                name = file_name(headers.get("content-disposition", "")) or there.name
                return await self._put(pieces, name, headers.get("content-type"), None)
        except OutboundError as error:
            raise OutputLost(f"A file of the output can't be fetched: {error}.") from None

    async def _put(
        self, pieces: AsyncIterator[bytes], name: str, kind: str | None, announced: int | None
    ) -> str:
        stored = await self._files.put(
            pieces,
            namespace=self._namespace,
            run_uid=self._uid,
            name=name,
            content_type=kind,
            announced=announced,
        )
        self._count += 1
        return stored.reference
