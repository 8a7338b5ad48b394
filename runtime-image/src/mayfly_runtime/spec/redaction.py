"""Takes a run's secrets out of what it says: a net for accidents, not a wall.

The author's code has the secrets, and can always tell them in another form. What goes through
here is only what was not meant to be told: a print, a traceback, an exception's words.
"""

import json
import re
import threading
from collections.abc import Iterable

MARK = b"[redacted]"

MIN_CHARACTERS = 4
"""Shorter ones would be found in every other word."""

_MIN_LINE_CHARACTERS = 8


class Redactor:
    """Replaces secrets in a stream of bytes, however it is cut. Thread-safe.

    The end of a piece that may be the beginning of a secret is held back until the next piece
    tells; so the result is the same as if the whole had come at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self._held = b""

    def hide(self, values: Iterable[str]) -> None:
        """Replace these from now on."""
        found = {form for value in values for form in _forms(value)}
        with self._lock:
            found.update(self._forms)
            # At one place the longest wins.
            self._forms = sorted(found, key=lambda form: (-len(form), form))
            if self._forms:
                self._pattern = re.compile(b"|".join(re.escape(form) for form in self._forms))

    def feed(self, data: bytes) -> bytes:
        """The next piece: what can be told by now."""
        with self._lock:
            told, self._held = self._cut(self._held + data)
            return told

    def rest(self) -> bytes:
        """The stream is over: what was held back."""
        with self._lock:
            told, self._held = self._replaced(self._held), b""
            return told

    def error(self, text: str, limit_bytes: int) -> str:
        """A text of its own, at most so long. If it was cut, that may have been within a secret."""
        data = text.encode("utf-8", "replace")
        with self._lock:
            if self._pattern is None:
                return text
            whole = data.removesuffix("…".encode())
            told, held = self._cut(whole)
            if len(held) >= MIN_CHARACTERS and len(data) > limit_bytes - 8:
                told += MARK
            else:
                told = self._replaced(data)
        return told[:limit_bytes].decode("utf-8", "ignore")

    def _replaced(self, data: bytes) -> bytes:
        return data if self._pattern is None else self._pattern.sub(MARK, data)

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """What is decided, redacted, and the end that may still become a secret."""
        if self._pattern is None:
            return data, b""
        told: list[bytes] = []
        begin = 0
        while True:
            open_ = self._open(data, begin)
            match = self._pattern.search(data, begin)
            if match is None or open_ <= match.start():
                return b"".join([*told, data[begin:open_]]), data[open_:]
            told += [data[begin : match.start()], MARK]
            begin = match.end()

    def _open(self, data: bytes, begin: int) -> int:
        """Where the first unfinished secret begins; the end of the data if there is none."""
        best = len(data)
        for form in self._forms:
            at = data.find(form[:1], max(begin, len(data) - len(form) + 1), best)
            while at >= 0:
                if form.startswith(data[at:]):
                    best = at
                    break
                at = data.find(form[:1], at + 1, best)
        return best


def _forms(value: str) -> set[bytes]:
    """How a secret may show: whole, without the blanks around it, by lines, escaped."""
    inner = value.strip()
    shown = {value, inner, json.dumps(value)[1:-1], repr(value)[1:-1]}
    forms = {each for each in shown if len(each) >= MIN_CHARACTERS}
    lines = inner.splitlines()
    if len(lines) > 1:
        # A key file is printed line by line.
        forms |= {each for line in lines if len(each := line.strip()) >= _MIN_LINE_CHARACTERS}
    return {form.encode("utf-8", "replace") for form in forms}
