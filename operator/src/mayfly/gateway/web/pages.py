"""The built web UI in memory: its files, compressed as they were built.

A request names a key of a dictionary, never a path of the file system. The folder is read again
when its index has changed, so that a developer sees a new build.
"""

from __future__ import annotations

import hashlib
import html
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

INDEX = "index.html"
ASSETS = "assets/"
"""Below it each name has a hash of the content in it, so the content never changes."""

MAX_BYTES = 16 * 1024**2
"""A larger file is none of ours."""

ENCODINGS = {".br": "br", ".gz": "gzip"}
"""What a compressed copy of a file ends with; the best one first."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""By suffix; not the machine's own table, which differs from one to the next."""

UNKNOWN = "application/octet-stream"

_RELATIVE = re.compile(r'\b(src|href)="\./')
_BASE = re.compile(r'(<meta name="mayfly-base" content=")[^"]*"')


@dataclass(frozen=True)
class Page:
    """A file of the web UI.

    Attributes:
        content_type: its media type.
        bodies: its content by encoding; "" is the file itself.
        etag: of the content.
    """

    content_type: str
    bodies: Mapping[str, bytes] = field(repr=False)
    etag: str

    def best(self, accepted: str) -> str:
        """The best encoding that an Accept-Encoding header allows; "" for none."""
        weights = _weights(accepted)
        able = (each for each in ENCODINGS.values() if each in self.bodies)
        return next((each for each in able if weights.get(each, weights.get("*", 0.0)) > 0), "")


class Pages:
    """The files of a folder, by their path in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read_at: int | None = None
        self._pages: dict[str, Page] = {}

    def there(self) -> bool:
        """Whether the web UI is installed."""
        return INDEX in self._current()

    def find(self, path: str) -> Page | None:
        """A file; None if there is none."""
        return self._current().get(path)

    def index(self, prefix: str) -> bytes | None:
        """The index for readers that reach us below a prefix; None if there is none."""
        page = self.find(INDEX)
        if page is None:
            return None
        text = page.bodies[""].decode()
        base = html.escape(prefix)
        text = _BASE.sub(lambda found: f'{found[1]}{base}"', text)
        return _RELATIVE.sub(lambda found: f'{found[1]}="{base}/ui/', text).encode()

    def _current(self) -> Mapping[str, Page]:
        try:
            changed = (self.folder / INDEX).stat().st_mtime_ns
        except OSError:
            self._read_at, self._pages = None, {}
            return self._pages
        if changed != self._read_at:
            self._pages = _read(self.folder)
            self._read_at = changed
        return self._pages


def _read(folder: Path) -> dict[str, Page]:
    root = folder.resolve()
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        # A link may lead anywhere; inside, as in a mounted ConfigMap, it is as good as a file.
        real = path.resolve()
        if not real.is_file() or not real.is_relative_to(root):
            continue
        if real.stat().st_size > MAX_BYTES:
            logger.warning("%s is too large for the web UI", path)
            continue
        found[path.relative_to(folder).as_posix()] = real.read_bytes()
    compressed = {name for name in found if _plain(name) in found}
    return {name: _page(name, found) for name in found if name not in compressed}


def _page(name: str, found: Mapping[str, bytes]) -> Page:
    bodies = {"": found[name]}
    for suffix, encoding in ENCODINGS.items():
        if name + suffix in found:
            bodies[encoding] = found[name + suffix]
    content_type = TYPES.get(Path(name).suffix.lower(), UNKNOWN)
    return Page(content_type, bodies, f'"{hashlib.sha256(found[name]).hexdigest()[:32]}"')


def _plain(name: str) -> str:
    """The file that a name is the compressed copy of; "" if it is none."""
    return next((name.removesuffix(each) for each in ENCODINGS if name.endswith(each)), "")


def _weights(accepted: str) -> dict[str, float]:
    """The encodings of an Accept-Encoding header, and how much each is wanted."""
    found: dict[str, float] = {}
    for part in accepted.split(","):
        name, _, parameter = part.partition(";")
        weight = parameter.strip().removeprefix("q=")
        try:
            found[name.strip().lower()] = float(weight) if parameter else 1.0
        except ValueError:
            continue
    return found
