"""Give a text piece by piece: each one is shown as soon as it is there."""

import time

from cog import ConcatenateIterator, Input


def main(
    text: str = Input(description="What to say, word by word.", default="One day is enough."),
    pause: float = Input(description="Seconds between two words.", default=0.2, ge=0, le=5),
) -> ConcatenateIterator[str]:
    for word in text.split():
        time.sleep(pause)
        yield f"{word} "
