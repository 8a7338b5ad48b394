"""Writes word by word."""

import time

from cog import ConcatenateIterator, Input


def run(
    words: int = Input(description="How many words.", default=5, ge=1, le=10_000),
    pause: float = Input(description="Seconds between two words.", default=0.1, ge=0, le=60),
) -> ConcatenateIterator[str]:
    for number in range(words):
        print(f"word {number}")
        yield f"word{number} "
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            time.sleep(0.02)
