"""Trees of runs and too few pods: K levels always complete, nothing hangs (invariant 6).

The world makes random trees, whose runs wait for what they have made, or leave it running, and
lets places be given, runs go on and a minute of standstill pass in any order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lengths import length

from mayfly.reconcile.places import Places, Waiting, gives_up, in_line

Shape = list["Shape"]
"""The runs that a run makes, one after the other."""

SHAPES = st.recursive(
    st.just([]), lambda below: st.lists(below, min_size=1, max_size=3), max_leaves=8
)


def depth_of(shape: Shape) -> int:
    return 1 + max((depth_of(each) for each in shape), default=0)


@dataclass
class Member:
    """A run: its place in its tree, and what it will still make."""

    name: str
    depth: int
    parent: Member | None
    calls: list[Shape]
    at_once: bool
    awaited: list[Member] = field(default_factory=list)
    state: str = "waits"


@dataclass
class World:
    """A runtime with a few pods."""

    limit: int
    reserve: int
    members: list[Member] = field(default_factory=list)

    def add(self, shape: Shape, parent: Member | None, at_once: bool) -> Member:
        depth = parent.depth + 1 if parent else 1
        made = Member(f"run-{len(self.members):03}", depth, parent, list(shape), at_once)
        self.members.append(made)
        return made

    def of(self, state: str) -> list[Member]:
        return [each for each in self.members if each.state == state]

    @property
    def waiting(self) -> list[Waiting[str]]:
        return [Waiting(each.name, "team", each.depth, each.name) for each in self.of("waits")]

    @property
    def places(self) -> Places:
        held = Counter(each.depth for each in self.of("holds"))
        return Places(self.limit, held, self.reserve)

    def give_places(self) -> bool:
        chosen = in_line(self.waiting, self.places, {}, {})
        for each in self.members:
            if each.name in chosen:
                each.state = "holds"
        return bool(chosen)

    def able(self) -> list[Member]:
        """Runs that can go on: those whose awaited children have ended."""
        return [
            each
            for each in self.of("holds")
            if all(child.state in {"done", "exhausted"} for child in each.awaited)
        ]

    def go_on(self, member: Member, leaves: bool) -> None:
        """Make the next child (or all of them), and wait for it unless it is left alone; or end."""
        member.awaited = []
        if not member.calls:
            member.state = "done"
            return
        count = len(member.calls) if member.at_once else 1
        for shape in member.calls[:count]:
            child = self.add(shape, member, member.at_once)
            if not leaves:
                member.awaited.append(child)
        del member.calls[:count]

    def above(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for each in self.of("waits"):
            names, parent = [], each.parent
            while parent is not None and parent.state == "holds":
                names.append(parent.name)
                parent = parent.parent
            found[each.name] = names
        return found

    def minute(self) -> Member | None:
        """Nothing has moved for a minute."""
        if self.places.held.total() < self.limit:
            return None
        holders = {each.name for each in self.of("holds")}
        chosen = gives_up(self.waiting, self.above(), holders)
        if chosen is None:
            return None
        (member,) = [each for each in self.members if each.name == chosen.key]
        member.state = "exhausted"
        return member

    def settle(self, draw: st.DrawFn, leaves: bool) -> None:
        """Let everything happen that can, in any order, until nothing can."""
        for _ in range(2000):
            able = self.able()
            if able and draw(st.booleans()):
                self.go_on(draw(st.sampled_from(able)), leaves)
            elif not self.give_places():
                if able:
                    self.go_on(able[0], leaves)
                elif self.minute() is None:
                    return
        raise AssertionError("it does not come to an end")


@settings(max_examples=length(100, 200), deadline=None)
@given(st.data(), st.lists(SHAPES, min_size=1, max_size=8), st.integers(1, 7), st.integers(0, 4))
def test_every_run_ends_and_only_deep_ones_are_exhausted(data, trees, limit, reserve):
    world = World(limit, reserve)
    for shape in trees:
        world.add(shape, None, data.draw(st.booleans()))
    world.settle(data.draw, data.draw(st.booleans()))
    assert world.of("waits") == world.of("holds") == []
    for each in world.of("exhausted"):
        assert each.depth > min(reserve, limit)


@settings(max_examples=length(100, 200), deadline=None)
@given(st.data(), st.lists(SHAPES, min_size=1, max_size=8), st.integers(3, 7))
def test_three_levels_always_complete(data, trees, limit):
    world = World(limit, 3)
    for shape in trees:
        if depth_of(shape) <= 3:
            world.add(shape, None, data.draw(st.booleans()))
    world.settle(data.draw, leaves=False)
    assert {each.state for each in world.members} <= {"done"}


@given(st.integers(1, 60), st.integers(0, 5), st.dictionaries(st.integers(1, 9), st.integers(0, 9)))
def test_the_rule_is_the_designs(limit, reserve, held):
    """Runs at depth <= d hold at most C - max(0, K - d) pods."""
    kept = min(reserve, limit)
    places = Places(limit, Counter(held), reserve)
    for depth in range(1, 12):
        after = places.taken(depth)
        fits = all(
            sum(count for level, count in after.held.items() if level <= d)
            <= limit - max(0, kept - d)
            for d in range(depth, 15)
        )
        assert (places.room(depth) > 0) == fits


def chain(levels: int) -> Shape:
    return [chain(levels - 1)] if levels > 1 else []


@pytest.mark.parametrize(
    ("limit", "trees"),
    [
        (50, [chain(30)]),
        (50, [chain(3)] * 10),
        (50, [chain(50)]),
        (50, [chain(3)] * 200),
        (250, [chain(250)]),
        (3, [chain(3)] * 10),
    ],
    ids=["a chain of 30", "ten of 3", "a chain of 50", "200 of 3", "250 places", "3 places"],
)
def test_what_the_default_values_hold(limit, trees):
    world = World(limit, 3)
    for shape in trees:
        world.add(shape, None, at_once=False)
    while True:
        moved = world.give_places()
        for each in world.able():
            world.go_on(each, leaves=False)
            moved = True
        if not moved:
            break
    assert {each.state for each in world.members} == {"done"}
