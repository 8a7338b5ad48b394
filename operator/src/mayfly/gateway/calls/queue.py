"""The queue of one Model: fair between namespaces and trees, oldest call first.

The namespace that was served longest ago is next; in it, the tree that was served longest ago; in
that tree, the oldest call. `Queue` is pure; `ModelQueue` adds the calls under way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A waiting call.

    Attributes:
        uid: of its row.
        namespace: who pays.
        root_uid: of its tree.
    """

    uid: str
    namespace: str
    root_uid: str


class Queue:
    """Fair queue of the calls that wait for one Model; add and take are O(1)."""

    def __init__(self) -> None:
        # Both levels are in the order of turns: the first is next, and moves to the end if it has
        # more calls. Newcomers are added at the end too, so nobody gains by staying away.
        self._namespaces: OrderedDict[str, OrderedDict[str, deque[Waiting]]] = OrderedDict()
        self._known: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, uid: object) -> bool:
        return uid in self._known

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._known.values()))

    def add(self, waiting: Waiting) -> None:
        """Add a call; a call that is already waiting keeps its place."""
        if waiting.uid not in self._known:
            self._tree(waiting).append(waiting)

    def put_back(self, waiting: Waiting) -> None:
        """Requeue a call that was taken too early; it will be the next one."""
        if waiting.uid in self._known:
            return
        self._tree(waiting).appendleft(waiting)
        self._namespaces.move_to_end(waiting.namespace, last=False)
        self._namespaces[waiting.namespace].move_to_end(waiting.root_uid, last=False)

    def take(self) -> Waiting | None:
        """Take the next call; None if none waits."""
        while self._namespaces:
            namespace, trees = next(iter(self._namespaces.items()))
            root, calls = next(iter(trees.items()))
            taken = calls.popleft()
            self._after_turn(namespace, root)
            # Skip calls that were removed while they waited.
            if self._known.get(taken.uid) is taken:
                del self._known[taken.uid]
                return taken
            self._before_turn(namespace, root)
        return None

    def remove(self, uid: str) -> bool:
        """Remove a call. Returns whether it was waiting."""
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
        """Give an unused turn back, so that it does not count."""
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
        under_way: UIDs of those that are being sent or were sent.
        held_until: nothing is sent before this moment; monotonic seconds.
        down_since: since when its server has been unusable.
    """

    def __init__(self) -> None:
        self.queue = Queue()
        self.under_way: set[str] = set()
        self.held_until = 0.0
        self.down_since: float | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether it has no calls, and can be dropped."""
        return not self.queue and not self.under_way
