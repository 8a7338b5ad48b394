"""Streaming parser of multipart/form-data: no part is held in memory unless requested."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mayfly.gateway.http.errors import Invalid, TooLarge
from mayfly_runtime.spec.disposition import file_name

MAX_PARTS = 100


class Part:
    """One part of a multipart form, read as a stream.

    Attributes:
        name: the field.
        filename: as given by the client; "" for a plain field.
        content_type: as given by the client, or "".
    """

    def __init__(self, form: Form, headers: dict[str, bytes]) -> None:
        self._form = form
        disposition, options = parse_options_header(headers.get("content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise Invalid("A part of the form has no name.")
        self.name = options[b"name"].decode(errors="replace")
        self.filename = file_name(headers.get("content-disposition", b"").decode("latin-1"))
        self.content_type = headers.get("content-type", b"").decode("latin-1")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the part's bytes, once."""
        while (piece := await self._form.piece()) is not None:
            yield piece

    async def read(self, limit: int) -> bytes:
        """Read the whole part.

        Raises:
            TooLarge: it has more than `limit` bytes.
        """
        whole = bytearray()
        async for piece in self.pieces():
            whole += piece
            if len(whole) > limit:
                raise TooLarge(f"{self.name} may have at most {limit} bytes.")
        return bytes(whole)


class Form:
    """A multipart form, read part by part."""

    def __init__(self, request: Request) -> None:
        """Begin to parse a request.

        Raises:
            Invalid: the request is not a form.
        """
        kind, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise Invalid("Send multipart/form-data.")
        self._chunks = request.stream()
        self._events: deque[dict[str, bytes] | bytes | None] = deque()
        self._headers: dict[str, bytes] = {}
        self._field = b""
        self._value = b""
        self._ended = False
        self._count = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_begin,
                    "on_part_data": self._on_data,
                    "on_part_end": lambda: self._events.append(None),
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": lambda: self._events.append(self._headers),
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise Invalid(f"The form can't be read: {error}") from None

    async def next(self) -> Part | None:
        """The next part, skipping the rest of the previous one; None after the last."""
        while await self._more():
            event = self._events.popleft()
            if isinstance(event, dict):
                self._count += 1
                if self._count > MAX_PARTS:
                    raise Invalid(f"A form may have at most {MAX_PARTS} parts.")
                return Part(self, event)
        return None

    async def piece(self) -> bytes | None:
        """Bytes of the current part; None at its end."""
        if not await self._more():
            return None
        event = self._events.popleft()
        return event if isinstance(event, bytes) else None

    async def _more(self) -> bool:
        while not self._events:
            if self._ended:
                return False
            try:
                chunk = await anext(self._chunks, None)
            except ClientDisconnect:
                raise Invalid("The client disconnected before the request was complete.") from None
            if chunk is None:
                raise Invalid("The form ends too early.")
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise Invalid(f"The form can't be read: {error}") from None
        return True

    def _on_begin(self) -> None:
        self._headers, self._field, self._value = {}, b"", b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value
        self._field, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True
