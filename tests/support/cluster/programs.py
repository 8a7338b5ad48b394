"""Pipelines that several tests run, and what holds for an undisturbed run of them."""

from support.cluster.installation import Json, Namespace, message, reason

SLOW = """
import time
def main(seconds: float) -> str:
    print("before", flush=True)
    time.sleep(seconds)
    print("after", flush=True)
    return "done"
"""
"""Logs when it begins and when it ends."""

LONG = """
import time
def main(seconds: float) -> str:
    print("before", flush=True)
    time.sleep(seconds)
    print("after", flush=True)
    return "long " * 2000
"""
"""The same, with an output that is too large for a termination message."""


def came_through(namespace: Namespace, run: str) -> Json:
    """Assert that a run of one of these succeeded: once, from its first line to its last."""
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["attempt"] == 1
    assert namespace.logs(run).split() == ["before", "after"]
    return ended
