"""Pipelines that several tests run, and what is true of a run of them that nothing harmed."""

from support.cluster.installation import Json, Namespace, message, reason

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


def came_through(namespace: Namespace, run: str) -> Json:
    """A run of one of these, at its end: once, and from the first line to the last."""
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["attempt"] == 1
    assert namespace.logs(run).split() == ["before", "after"]
    return ended
