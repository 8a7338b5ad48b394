"""Work for longer than the run's timeout allows."""

import time

from cog import Input


def main(seconds: int = Input(description="How long to work.", default=60, min=0)) -> str:
    for second in range(1, seconds + 1):
        time.sleep(1)
        print(f"worked for {second} of {seconds} seconds")
    return "done"
