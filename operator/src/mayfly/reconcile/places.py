"""Who gets the next pod: the order in which waiting runs get places.

    deeper first      a parent waits while its child runs, so a child frees more than it takes
    then fair         the namespace that holds fewest pods now
    then oldest

A namespace's quota of active runs is kept before anything else. Nobody ever loses a pod to another:
order decides only who is next.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

UNLIMITED = 2**31


@dataclass(frozen=True)
class Waiting(Generic[K]):
    """A run that wants a pod.

    Attributes:
        key: whatever names the run.
        namespace: who it counts against.
        depth: 1 for a run that no run made.
        created: RFC 3339; older is smaller.
    """

    key: K
    namespace: str
    depth: int
    created: str


def in_line(
    waiting: Iterable[Waiting[K]],
    free: int,
    active: Mapping[str, int],
    quotas: Mapping[str, int],
) -> list[K]:
    """The runs that may have a pod now, the next one first.

    Args:
        waiting: those that want one.
        free: places of the runtime that nobody holds.
        active: pods that each namespace holds, over all runtimes.
        quotas: the most that a namespace may hold; no entry means no limit.
    """
    if free <= 0:
        return []
    held = Counter(dict(active))
    queues: dict[str, deque[Waiting[K]]] = {}
    # Newest first, so that the next of each namespace is at the cheap end.
    for each in sorted(waiting, key=_age, reverse=True):
        queues.setdefault(each.namespace, deque()).append(each)
    chosen: list[K] = []
    while len(chosen) < free:
        able = [
            queue[-1]
            for name, queue in queues.items()
            if queue and held[name] < quotas.get(name, UNLIMITED)
        ]
        if not able:
            break
        best = min(able, key=lambda each: (-each.depth, held[each.namespace], *_age(each)))
        chosen.append(best.key)
        held[best.namespace] += 1
        queues[best.namespace].pop()
    return chosen


def _age(waiting: Waiting[K]) -> tuple[int, str, str]:
    return (-waiting.depth, waiting.created, str(waiting.key))
