"""Paints squares for a prompt: a list of files, each in a colour that the words choose."""

import hashlib
import struct
import tempfile
import zlib
from pathlib import Path as LocalPath

from cog import Input, Path


def run(
    prompt: str = Input(description="What to paint; the same words give the same colours."),
    image: Path | None = Input(description="A file to start from.", default=None),
    seed: int | None = Input(description="Another number, other colours.", default=None),
    num_outputs: int = Input(description="How many pictures.", default=1, ge=1, le=4),
    size: int = Input(description="Pixels of a side.", default=64, ge=1, le=1024),
) -> list[Path]:
    print(f"painting {prompt!r}")
    start = LocalPath(str(image)).read_bytes() if image is not None else b""
    folder = LocalPath(tempfile.mkdtemp())
    pictures = []
    for number in range(num_outputs):
        words = f"{prompt}/{seed}/{number}/".encode() + start
        target = folder / f"painting-{number}.png"
        target.write_bytes(_square(size, hashlib.sha256(words).digest()[:3]))
        pictures.append(Path(target))
    return pictures


def _square(size: int, colour: bytes) -> bytes:
    rows = (b"\0" + colour * size) * size
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
