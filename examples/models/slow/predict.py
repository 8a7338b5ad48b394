"""Takes its time in one long call, which no cancel interrupts."""

import time

from cog import Input


def run(seconds: float = Input(description="How long.", default=30.0, ge=0, le=600)) -> str:
    print("sleeping")
    time.sleep(seconds)
    return "slept"
