"""Paints a square, as a file, in the colours of a file or of none."""

import struct
import tempfile
import zlib
from pathlib import Path as LocalPath

from cog import Input, Path


def run(
    size: int = Input(description="Pixels of a side.", default=64, ge=1, le=2048),
    seed: Path | None = Input(description="A file whose bytes choose the colour.", default=None),
) -> Path:
    given = LocalPath(str(seed)).read_bytes() if seed is not None else b"\x20\x60\xa0"
    colour = (given + b"\0\0\0")[:3]
    rows = (b"\0" + colour * size) * size
    target = LocalPath(tempfile.mkdtemp()) / "square.png"
    target.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )
    return Path(target)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
