"""Whose turn it is at one Model: first come, first served, fair over namespaces and trees.

The namespace that was served longest ago is next, in it the tree that was served longest ago,
and of that tree the oldest call. `Queue` is pure; `ModelQueue` adds what is under way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A call that waits.

    Attributes:
        uid: of its row.
        namespace: who pays.
        root_uid: of its tree.
    """

    uid: str
    namespace: str
    root_uid: str


class Queue:
    """The calls that wait for one Model. Adding and taking cost the same however many wait."""

    def __init__(self) -> None:
        # Both levels are in the order of turns: the first is next, and goes to the end if more of
        # it wait. Who comes anew stands at the end as well, so nobody gains by staying away.
        self._namespaces: OrderedDict[str, OrderedDict[str, deque[Waiting]]] = OrderedDict()
        self._known: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, uid: object) -> bool:
        return uid in self._known

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._known.values()))

    def add(self, waiting: Waiting) -> None:
        """Let a call wait; one that waits already keeps its place."""
        if waiting.uid not in self._known:
            self._tree(waiting).append(waiting)

    def put_back(self, waiting: Waiting) -> None:
        """Let a call that was taken too early wait again: it is its turn next."""
        if waiting.uid in self._known:
            return
        self._tree(waiting).appendleft(waiting)
        self._namespaces.move_to_end(waiting.namespace, last=False)
        self._namespaces[waiting.namespace].move_to_end(waiting.root_uid, last=False)

    def take(self) -> Waiting | None:
        """The call whose turn it is; None when none waits."""
        while self._namespaces:
            namespace, trees = next(iter(self._namespaces.items()))
            root, calls = next(iter(trees.items()))
            taken = calls.popleft()
            self._after_turn(namespace, root)
            # One that was removed is passed over when its turn comes.
            if self._known.get(taken.uid) is taken:
                del self._known[taken.uid]
                return taken
            self._before_turn(namespace, root)
        return None

    def remove(self, uid: str) -> bool:
        """Forget a call. Returns whether it waited."""
        return self._known.pop(uid, None) is not None

    def _tree(self, waiting: Waiting) -> deque[Waiting]:
        self._known[waiting.uid] = waiting
        trees = self._namespaces.setdefault(waiting.namespace, OrderedDict())
        return trees.setdefault(waiting.root_uid, deque())

    def _after_turn(self, namespace: str, root: str) -> None:
        trees = self._namespaces[namespace]
        if trees[root]:
            trees.move_to_end(root)
        else:
            del trees[root]
        if trees:
            self._namespaces.move_to_end(namespace)
        else:
            del self._namespaces[namespace]

    def _before_turn(self, namespace: str, root: str) -> None:
        """A turn that nobody took costs nothing."""
        trees = self._namespaces.get(namespace)
        if trees is None:
            return
        self._namespaces.move_to_end(namespace, last=False)
        if root in trees:
            trees.move_to_end(root, last=False)


class ModelQueue:
    """The calls of one Model.

    Attributes:
        queue: those that wait.
        under_way: UIDs of those that are being sent, or were.
        held_until: nothing is sent before; monotonic seconds.
        down_since: since when its server can't be used.
    """

    def __init__(self) -> None:
        self.queue = Queue()
        self.under_way: set[str] = set()
        self.held_until = 0.0
        self.down_since: float | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to it."""
        return not self.queue and not self.under_way
