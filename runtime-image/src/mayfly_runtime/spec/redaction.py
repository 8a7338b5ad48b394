"""Redacts a run's secrets in its log and errors: protects against accidents, not against attacks.

The author's code has the secrets, and can always tell them in another form. What goes through
here is only what was not meant to be told: a print, a traceback, an exception's words.
"""

import json
import re
import threading
from collections.abc import Iterable

MARK = b"[redacted]"

MIN_CHARACTERS = 4
"""Shorter values would match inside ordinary words."""

_MIN_LINE_CHARACTERS = 8


class Redactor:
    """Redacts secrets in a stream of bytes, however it is split. Thread-safe.

    The end of a piece that may be the beginning of a secret is held back until the next piece
    tells; so the result is the same as if the whole had come at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self._held = b""

    def hide(self, values: Iterable[str]) -> None:
        """Redact these values from now on."""
        found = {form for value in values for form in _forms(value)}
        with self._lock:
            found.update(self._forms)
            # At one place the longest wins.
            self._forms = sorted(found, key=lambda form: (-len(form), form))
            if self._forms:
                self._pattern = re.compile(b"|".join(re.escape(form) for form in self._forms))

    def feed(self, data: bytes) -> bytes:
        """Add a piece; returns what can be released so far."""
        with self._lock:
            told, self._held = self._cut(self._held + data)
            return told

    def rest(self) -> bytes:
        """End of the stream: returns what was held back."""
        with self._lock:
            told, self._held = self._replaced(self._held), b""
            return told

    def error(self, text: str, limit_bytes: int) -> str:
        """Redact and truncate a separate text; a secret that was cut off is redacted too."""
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
        """The decided part, redacted, and the end that may still become a secret."""
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
        """Where the first incomplete secret begins; the end of the data if there is none."""
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
    """The forms of a secret: whole, stripped, by lines, escaped."""
    inner = value.strip()
    shown = {value, inner, json.dumps(value)[1:-1], repr(value)[1:-1]}
    forms = {each for each in shown if len(each) >= MIN_CHARACTERS}
    lines = inner.splitlines()
    if len(lines) > 1:
        # A key file is printed line by line.
        forms |= {each for line in lines if len(each := line.strip()) >= _MIN_LINE_CHARACTERS}
    return {form.encode("utf-8", "replace") for form in forms}
