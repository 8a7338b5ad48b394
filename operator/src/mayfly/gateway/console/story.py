"""One prediction's story as events: its state, log and output, from a position on.

What is stored and what is just arriving are read in the same way: from a position in the store.
Every event of the log or the output carries the position after it, so a reader whose connection
broke goes on exactly there, whichever gateway it reaches.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from mayfly.database.engine import Database
from mayfly.gateway.console.reader import Reader
from mayfly.gateway.console.server_sent import event
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.http import rawjson
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly_runtime.spec import strict_json

Json = dict[str, Any]

POSITION = r"[0-9]{1,15}\.[0-9]{1,12}"
"""A position as text: bytes of log, items of output."""

_POSITION = re.compile(r"([0-9]{1,15})\.([0-9]{1,12})")

OUTPUT_BYTES = 256 * 1024
"""About how much output one event has."""


@dataclass
class Position:
    """How far a reader is.

    Attributes:
        log: bytes of log that it has; one more once it also has the line about dropped bytes.
        items: items of output that it has.
    """

    log: int = 0
    items: int = 0

    @classmethod
    def read(cls, text: str) -> Position:
        """The position of this text; the beginning if it is not one of ours."""
        match = _POSITION.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else cls()

    @override
    def __str__(self) -> str:
        return f"{self.log}.{self.items}"


class Story:
    """Tells one prediction to one reader.

    Attributes:
        found: the prediction as it was last read.
        over: its end was told, with everything before it.
        closed: the reader knows that nothing more comes, of what is below it either.
    """

    def __init__(
        self,
        *,
        database: Database,
        reader: Reader,
        predictions: Predictions,
        presenter: Presenter,
        summaries: Summaries,
        found: Prediction,
        position: Position,
        base: str,
    ) -> None:
        """Begin to tell.

        Args:
            database: has the log and the output.
            reader: reads the state.
            predictions: reads the end with its output.
            presenter: makes links of files.
            summaries: presents the state.
            found: the prediction.
            position: where the reader is; it is advanced.
            base: the reader's base URL, for files.
        """
        self.found = found
        self.over = self.closed = False
        self._position = position
        self._base = base
        self._database = database
        self._reader = reader
        self._predictions = predictions
        self._presenter = presenter
        self._summaries = summaries
        self._summary: Json | None = None

    async def news(self) -> AsyncIterator[str]:
        """The events since the last call; everything there is, at the first."""
        # The state is read first: what a run makes is stored before its end.
        self.found = found = await self._state()
        [summary] = await self._summaries.of([found])
        if summary != self._summary:
            self._summary = summary
            yield event("prediction", json.dumps(summary))
        if not found.row.data_removed:
            async for each in self._pieces():
                yield each
        self.over = found.ended

    async def _pieces(self) -> AsyncIterator[str]:
        async for each in self._log():
            yield each
        async for each in self._items():
            yield each
        if self.found.ended:
            async for each in self._last():
                yield each

    async def _state(self) -> Prediction:
        # While it works its bodies, which may be large, are not read again and again.
        found = await self._reader.one(self.found)
        return await self._predictions.refresh(found) if found.ended else found

    async def _log(self) -> AsyncIterator[str]:
        position = self._position
        while True:
            text, position.log = await self._presenter.log_from(self.found.row, position.log)
            if not text:
                return
            yield self._piece("log", json.dumps({"text": text}))

    async def _items(self) -> AsyncIterator[str]:
        position = self._position
        while True:
            async with self._database.read() as tx:
                texts = await archive.some_items_from(tx, self.found.row.uid, position.items)
            if not texts:
                return
            yield await self._output(texts)

    async def _last(self) -> AsyncIterator[str]:
        """What only the end brings: how much log was dropped, and output that was not streamed."""
        async with self._database.read() as tx:
            size = await archive.log_size(tx, self.found.row.uid)
        if size.dropped and self._position.log <= size.kept:
            self._position.log = size.kept + 1
            yield self._piece("log", json.dumps({"text": size.dropped_line}))
        rest: list[str] = []
        length = 0
        for text in self._rest():
            rest.append(text)
            length += strict_json.size(text)
            if length >= OUTPUT_BYTES:
                yield await self._output(rest)
                rest, length = [], 0
        if rest:
            yield await self._output(rest)

    def _rest(self) -> list[str]:
        """The items of the final output that were not told before, as JSON texts."""
        row, text, given = self.found.row, self.found.output, self._position.items
        if text is None or not text.lstrip().startswith("["):
            return []
        if not given and not self._presenter.is_iterator(row):
            return []  # its output is one value: `GET …/output` has it
        return rawjson.items(text)[given:]

    async def _output(self, texts: list[str]) -> str:
        start = self._position.items
        self._position.items += len(texts)
        together = f"[{','.join(texts)}]"
        linked = await self._presenter.linked(self.found.row, together, self._base)
        fields = {"index": start, "items": rawjson.RawJSON(linked or "[]")}
        return self._piece("output", rawjson.dumps(fields))

    def _piece(self, name: str, data: str) -> str:
        return event(name, data, str(self._position))
