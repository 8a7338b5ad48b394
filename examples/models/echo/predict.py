"""Says what it is told, after a while."""

import time

from cog import Input


def run(
    text: str = Input(description="What to say."),
    delay: float = Input(description="Seconds to wait first.", default=0.0, ge=0, le=600),
) -> str:
    print(f"waiting {delay} s")
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline:
        time.sleep(0.05)  # in short pieces, so that a cancel is noticed
    print("done")
    return text
