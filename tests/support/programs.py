"""Pipelines that several tests run."""

SLOW = """
import time
def main(seconds: float) -> str:
    print("before", flush=True)
    time.sleep(seconds)
    print("after", flush=True)
    return "done"
"""
"""Says that it began and that it came through."""

LONG = """
import time
def main(seconds: float) -> str:
    print("before", flush=True)
    time.sleep(seconds)
    print("after", flush=True)
    return "long " * 2000
"""
"""The same, with an output that no termination message holds."""
