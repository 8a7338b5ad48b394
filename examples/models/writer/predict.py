"""Answers a prompt word by word, and says how large an image is that comes with it."""

import struct
import time
from pathlib import Path as LocalPath

from cog import ConcatenateIterator, Input, Path


def run(
    prompt: str = Input(description="What to write about."),
    image: Path | None = Input(description="A PNG to look at.", default=None),
    pause: float = Input(description="Seconds between two words.", default=0.2, ge=0, le=60),
) -> ConcatenateIterator[str]:
    answer = f"You said: {prompt}"
    if image is not None:
        answer += " " + _described(LocalPath(str(image)).read_bytes())
    print(f"writing {len(answer.split())} words")
    for word in answer.split():
        yield f"{word} "
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            time.sleep(0.02)  # in short pieces, so that a cancel is noticed


def _described(image: bytes) -> str:
    if not image.startswith(b"\x89PNG\r\n\x1a\n"):
        return f"I see a file of {len(image)} bytes."
    width, height = struct.unpack(">II", image[16:24])
    return f"I see an image of {width} by {height} pixels."
