"""How long a prediction worked, when clocks contradict each other. Pure.

Three tell: the pod's monotonic clock (active time), the pod's wall clock (stamps), and the
gateway's clocks (when work was sent, when its end was heard). For ends that the pod could not
tell, the kubelet's times of its container come in their place. The certain bounds the uncertain:

1. the gateway's monotonic clock, where one process saw both dispatch and end;
2. the gateway's wall clock between the two;
3. the pod's monotonic measure, and its heartbeats, which the gateway heard as they came;
4. stamps of other machines' wall clocks: shown, never charged by, but for the seconds before a
   first heartbeat.

What contradicts is flagged on the usage record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mayfly.metering.pricing import milliseconds

SKEW = timedelta(seconds=2)
"""Clocks of machines that are kept by NTP differ by milliseconds; Kubernetes' times are whole
seconds. What differs by more than this is wrong somewhere."""

RATE = 1000
"""Two clocks that are both right may run apart by one part in so many."""

HEARTBEAT = timedelta(seconds=5)
"""Between an agent's heartbeats: what lived for longer has told of itself."""


class Flag(StrEnum):
    """What contradicts on a usage record: a closed list."""

    STAMPS_OUTSIDE_WINDOW = "stampsOutsideWindow"
    STAMPS_DISAGREE = "stampsDisagree"
    LONGER_THAN_WINDOW = "longerThanWindow"
    SHORTER_THAN_HEARD = "shorterThanHeard"
    GATEWAY_CLOCK_JUMPED = "gatewayClockJumped"
    CONTAINER_TIMES = "containerTimes"
    ESTIMATED = "estimated"
    UNMEASURED = "unmeasured"
    CLAIM_REFUSED = "claimRefused"


SENTENCES: dict[Flag, str] = {
    Flag.STAMPS_OUTSIDE_WINDOW: "The pod's clock says that it worked before its work was sent, or "
    "after its end was heard; the stamps were moved into that window. Time is charged by the "
    "pod's monotonic clock.",
    Flag.STAMPS_DISAGREE: "The pod's measure of its time is not what lies between its own stamps: "
    "its clock jumped. The measure is charged.",
    Flag.LONGER_THAN_WINDOW: "More time was claimed than passed between dispatch and end by the "
    "gateway's clock; what passed is charged.",
    Flag.SHORTER_THAN_HEARD: "The end claims less time than an earlier heartbeat; the heartbeat's "
    "is charged.",
    Flag.GATEWAY_CLOCK_JUMPED: "The gateway's own clock was moved while the work ran. Its "
    "monotonic clock bounds the time, or, after a restart of the gateway, the timeout does.",
    Flag.CONTAINER_TIMES: "The times that the cluster gives for the container can't be (1970, "
    "before the start, after now); they were not used.",
    Flag.ESTIMATED: "Whoever worked did not tell its end; charged to the last sign of life.",
    Flag.UNMEASURED: "It started, or may have started, and nobody knows for how long it worked; "
    "no time is charged.",
    Flag.CLAIM_REFUSED: "The model's server claims a time or a count of tokens that can't be; that "
    "claim was not used.",
}


def text_of(flags: Iterable[Flag]) -> str:
    """Flags as the ledger keeps them: a JSON list, sorted."""
    return json.dumps(sorted(set(flags)))


@dataclass(frozen=True)
class Window:
    """Between the dispatch of work and the news of its end, by the gateway.

    Attributes:
        sent_at: the gateway's stamp of the dispatch.
        received_at: its stamp of the end.
        elapsed_ms: between the two by the monotonic clock of a process that saw both; None where
            none did.
    """

    sent_at: datetime
    received_at: datetime
    elapsed_ms: int | None = None

    @property
    def jumped(self) -> bool:
        """Whether the gateway's wall clock was moved meanwhile."""
        if self.elapsed_ms is None:
            return self.received_at < self.sent_at
        wall = (self.received_at - self.sent_at) // timedelta(milliseconds=1)
        return abs(wall - self.elapsed_ms) > _slack(self.elapsed_ms)

    @property
    def length_ms(self) -> int | None:
        """The milliseconds in it; None where nobody knows."""
        if self.elapsed_ms is not None:
            return self.elapsed_ms
        return None if self.jumped else milliseconds(self.received_at - self.sent_at)

    @property
    def ends_at(self) -> datetime:
        """When it ends, by the clock that stamped its beginning."""
        if self.jumped and self.elapsed_ms is not None:
            return self.sent_at + timedelta(milliseconds=self.elapsed_ms)
        return max(self.received_at, self.sent_at)

    def since(self, moment: datetime, until: datetime) -> int:
        """Milliseconds between two of the gateway's stamps, never more than are in the window."""
        most, length = self.length_ms, milliseconds(until - moment)
        if self.jumped or until < moment:
            return most or 0
        return length if most is None else min(length, most)

    def holds(self, moment: datetime) -> bool:
        """Whether a stamp of another clock lies in it, as exactly as clocks agree."""
        return self.jumped or self.sent_at - SKEW <= moment <= self.ends_at + SKEW


@dataclass(frozen=True)
class Measured:
    """When a prediction worked and for how long, with what contradicts in that.

    Attributes:
        active_ms: as it is charged.
        flags: as the ledger keeps them.
    """

    started_at: datetime | None
    completed_at: datetime | None
    active_ms: int
    flags: str = "[]"


NOTHING = Measured(None, None, 0)


def measured(
    *,
    started_at: datetime | None,
    completed_at: datetime | None,
    active_ms: int,
    window: Window,
    stamps_ms: int | None = None,
    heard_ms: int = 0,
    limit_ms: int | None = None,
    flags: Iterable[Flag] = (),
) -> Measured:
    """What is charged of a measure that was told.

    Args:
        started_at: the stamp of the start, None when it did not start.
        completed_at: the stamp of the end.
        active_ms: the measure.
        window: what the gateway knows.
        stamps_ms: what lies between the teller's own stamps, where those are of one clock.
        heard_ms: the last heartbeat's measure.
        limit_ms: what it may take at most; asked only when the window's length is unknown.
        flags: what is known already.
    """
    if started_at is None:
        return NOTHING
    found = set(flags)
    if window.jumped:
        found.add(Flag.GATEWAY_CLOCK_JUMPED)
    if not window.holds(started_at) or (completed_at and not window.holds(completed_at)):
        found.add(Flag.STAMPS_OUTSIDE_WINDOW)
    active = max(active_ms, 0)
    if stamps_ms is not None and abs(stamps_ms - active) > _slack(active):
        found.add(Flag.STAMPS_DISAGREE)
    if heard_ms > active:
        found.add(Flag.SHORTER_THAN_HEARD)
        active = heard_ms
    most = limit_ms if window.length_ms is None else window.length_ms
    if most is not None and active > most:
        if active > most + _slack(most):
            found.add(Flag.LONGER_THAN_WINDOW)
        active = most
    start = min(max(started_at, window.sent_at), window.ends_at)
    end = min(max(completed_at or window.ends_at, start), window.ends_at)
    return Measured(start, end, active, text_of(found))


def estimated(
    *,
    started_at: datetime | None,
    ended_at: datetime | None,
    heard_at: datetime | None,
    heard_ms: int,
    window: Window,
) -> Measured:
    """What is charged of work whose end nobody told.

    Args:
        started_at: when it started by the gateway's clock; None when that was never heard.
        ended_at: when the object says that it ended: the cluster's time of the container's end,
            or when the controller saw that it was gone.
        heard_at: the last sign of life.
        heard_ms: the measure in the last heartbeat.
        window: what the gateway knows.
    """
    if started_at is None:
        return Measured(None, None, 0, text_of([Flag.UNMEASURED]))
    found = {Flag.ESTIMATED}
    if ended_at is not None and not believable(ended_at, started_at, window):
        found.add(Flag.CONTAINER_TIMES)
        ended_at = None
    active = heard_ms
    if not heard_ms and ended_at is not None and by_the_cluster(ended_at):
        # Not a heartbeat old: had it lived for longer, it would have told of itself.
        active = min(milliseconds(ended_at - started_at), milliseconds(HEARTBEAT))
    if not active:
        found.add(Flag.UNMEASURED)
    last = started_at + timedelta(milliseconds=active)
    return measured(
        started_at=started_at,
        completed_at=ended_at or heard_at or last,
        active_ms=active,
        window=window,
        flags=found,
    )


def believable(ended_at: datetime, started_at: datetime, window: Window) -> bool:
    """Whether a run can have ended then: not before the start, not after now.

    A container runtime that lost a container's state gives 1970, or the year 1.
    """
    return started_at - SKEW <= ended_at <= window.ends_at + SKEW


def by_the_cluster(moment: datetime) -> bool:
    """Whether the cluster gave a time: Kubernetes' are whole seconds, those of Mayfly are finer."""
    return moment.microsecond == 0


def _slack(span_ms: int) -> int:
    return milliseconds(SKEW) + span_ms // RATE
