"""Enlarges a PNG: a file in, a file out."""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path as LocalPath

from cog import Input, Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of grey, colour, and both with transparency


def run(
    image: Path = Input(description="A PNG of 8 bits a channel, without a palette."),
    scale: int = Input(description="How many times as wide and as high.", default=2, ge=1, le=8),
) -> Path:
    name = LocalPath(str(image))
    found = list(_chunks(name.read_bytes()))
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", found[0][1])
    if bits != 8 or kind not in CHANNELS or interlaced:
        raise ValueError("this PNG has a palette, more or fewer than 8 bits, or is interlaced")
    print(f"from {width} by {height} to {width * scale} by {height * scale}")
    data = zlib.decompress(b"".join(data for which, data in found if which == b"IDAT"))
    pixel = CHANNELS[kind]
    rows = b"".join(
        (b"\0" + _wider(row, pixel, scale)) * scale for row in _rows(data, width * pixel, pixel)
    )
    target = LocalPath(tempfile.mkdtemp()) / f"{name.stem}-large.png"
    target.write_bytes(
        SIGNATURE
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width * scale, height * scale, 8, kind, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )
    return Path(target)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(SIGNATURE):
        raise ValueError("this is no PNG")
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += length + 12


def _rows(data: bytes, length: int, pixel: int) -> Iterator[bytes]:
    """The rows of an image, with their filters undone."""
    above = bytearray(length)
    for at in range(0, len(data), length + 1):
        row = bytearray(data[at + 1 : at + 1 + length])
        for place in range(length):
            left = row[place - pixel] if place >= pixel else 0
            corner = above[place - pixel] if place >= pixel else 0
            up = above[place]
            guess = (0, left, up, (left + up) // 2, _nearest(left, up, corner))[data[at]]
            row[place] = (row[place] + guess) % 256
        yield bytes(row)
        above = row


def _nearest(left: int, up: int, corner: int) -> int:
    return min((left, up, corner), key=lambda each: abs(left + up - corner - each))


def _wider(row: bytes, pixel: int, scale: int) -> bytes:
    return b"".join(row[at : at + pixel] * scale for at in range(0, len(row), pixel))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
