"""Who gets the next pod: the order in which waiting runs get places, and who has to give up.

    deeper first      a parent waits while its child runs, so a child frees more than it takes
    then fair         the namespace that holds fewest pods now
    then oldest

A namespace's quota of active runs is kept before anything else. Nobody ever loses a pod to another:
order decides only who is next.

A parent holds its pod while its child waits for one, so a runtime whose every pod is held by
parents would stand still. Therefore some places are kept for children: runs of depth d and less
hold at most `limit - (reserve - d)` of them. A chain of `reserve` levels always finds its last
place, whoever else is there; so does every chain while places are left. What goes deeper may meet
a runtime that is full of parents: then, after a while, the deepest of those that wait gives up
(`gives_up`), and its parent goes on with an error.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from operator import attrgetter
from typing import Generic, TypeVar

K = TypeVar("K")

UNLIMITED = 2**31

STANDSTILL = timedelta(seconds=60)
"""How long a deadlock may last before a run gives up."""


@dataclass(frozen=True)
class Waiting(Generic[K]):
    """A run that wants a pod.

    Attributes:
        key: whatever names the run.
        namespace: who it counts against.
        depth: the level in the tree; 1 for a root.
        created: RFC 3339; older is smaller.
    """

    key: K
    namespace: str
    depth: int
    created: str

    @cached_property
    def age(self) -> tuple[int, str, str]:
        """Sort key: deeper runs first, then older ones."""
        return (-self.depth, self.created, str(self.key))


@dataclass(frozen=True)
class Places:
    """The places of a runtime.

    Attributes:
        limit: how many there are.
        held: depths of the runs that hold one.
        reserve: how many levels always find a place; no more than there are places.
    """

    limit: int
    held: Counter[int]
    reserve: int = 0

    def room(self, depth: int) -> int:
        """How many more runs of this depth may get a place now; never fewer for a deeper one."""
        reserve = min(self.reserve, self.limit)
        kept = (
            self.limit - (reserve - level) - self._down_to(level) for level in range(depth, reserve)
        )
        return min([self.limit - self.held.total(), *kept])

    def _down_to(self, depth: int) -> int:
        return sum(count for level, count in self.held.items() if level <= depth)

    def taken(self, depth: int) -> Places:
        """The places after one more run got one."""
        return Places(self.limit, self.held + Counter([depth]), self.reserve)


def in_line(
    waiting: Iterable[Waiting[K]],
    places: Places,
    active: Mapping[str, int],
    quotas: Mapping[str, int],
) -> list[K]:
    """The runs that may get a pod now, in order.

    Args:
        waiting: those that need one.
        places: of their runtime.
        active: pods of each namespace, in all runtimes.
        quotas: the maximum per namespace; no entry means no limit.
    """
    held = Counter(dict(active))
    able = [
        each for each in waiting if held[each.namespace] < quotas.get(each.namespace, UNLIMITED)
    ]
    # Thousands may wait while there is no place: that is found out without putting them in order.
    if not able or places.room(max(each.depth for each in able)) <= 0:
        return []
    queues: dict[str, deque[Waiting[K]]] = {}
    # Newest first, so that the next of each namespace is at the cheap end.
    for each in sorted(able, key=attrgetter("age"), reverse=True):
        queues.setdefault(each.namespace, deque()).append(each)
    chosen: list[K] = []
    while True:
        # Who is behind the first of a namespace is no deeper, so there is no more room for it.
        first = [
            queue[-1]
            for name, queue in queues.items()
            if queue and held[name] < quotas.get(name, UNLIMITED)
        ]
        if not first:
            return chosen
        best = min(first, key=lambda each: (-each.depth, held[each.namespace], *each.age))
        if places.room(best.depth) <= 0:
            return chosen
        chosen.append(best.key)
        places = places.taken(best.depth)
        held[best.namespace] += 1
        queues[best.namespace].pop()


def gives_up(
    waiting: Collection[Waiting[K]],
    above: Mapping[K, Collection[str]],
    holders: Collection[str],
) -> Waiting[K] | None:
    """The run that has to give up when nothing has moved for `STANDSTILL`.

    Args:
        waiting: every run that wants a pod, of whatever runtime.
        above: UIDs of the runs that wait for each of them: its parent, its parent's parent and so
            on, up to one that has ended.
        holders: UIDs of the runs that hold the places in question, of which none is left.

    Returns:
        The deepest that a holder waits for, then the newest; None while a holder waits for none of
        them, and so may end by itself and leave its place.
    """
    stuck = set().union(*(above[each.key] for each in waiting))
    if not holders or not stuck.issuperset(holders):
        return None
    below = [each for each in waiting if not set(holders).isdisjoint(above[each.key])]
    return max(below, key=lambda each: (each.depth, each.created, str(each.key)))
