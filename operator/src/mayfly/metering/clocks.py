"""Active time when clocks contradict each other: which clock is charged, and the flags. Pure.

There are three sources: the pod's monotonic clock (active time), the pod's wall clock (timestamps),
and the gateway's clocks (when work was sent, when its end was received). If the pod could not
report its end, the kubelet's times of the container are used instead. More reliable clocks bound
less reliable ones, in this order:

1. the gateway's monotonic clock, if the same process saw both dispatch and end;
2. the gateway's wall clock between the two;
3. the pod's monotonic clock, and its heartbeats, which the gateway received as they came;
4. timestamps of other machines' wall clocks: shown, but never charged by, except for the seconds
   before the first heartbeat.

Contradictions are flagged on the usage record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mayfly.metering.pricing import milliseconds

SKEW = timedelta(seconds=2)
"""Clocks synchronised by NTP differ by milliseconds, and Kubernetes' times are whole seconds. A
larger difference means that a clock is wrong."""

RATE = 1000
"""Two correct clocks may drift apart by one part in this number."""

HEARTBEAT = timedelta(seconds=5)
"""Time between an agent's heartbeats. Whatever ran longer than this has sent one."""


class Flag(StrEnum):
    """Flags of a usage record: which clocks contradicted each other. A closed list."""

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
    Flag.STAMPS_OUTSIDE_WINDOW: "By the pod's clock, it worked before its work was sent or after "
    "its end was received; the timestamps were moved into that window. Time is charged by the "
    "pod's monotonic clock.",
    Flag.STAMPS_DISAGREE: "The pod's measured time differs from the interval between its own "
    "timestamps: its wall clock jumped. The measured time is charged.",
    Flag.LONGER_THAN_WINDOW: "The reported time is longer than the time between dispatch and end "
    "by the gateway's clock; the latter is charged.",
    Flag.SHORTER_THAN_HEARD: "The end reports less time than an earlier heartbeat; the "
    "heartbeat's time is charged.",
    Flag.GATEWAY_CLOCK_JUMPED: "The gateway's own clock was moved while the work ran. Its "
    "monotonic clock bounds the time, or, after a restart of the gateway, the timeout does.",
    Flag.CONTAINER_TIMES: "The container's times from the cluster are impossible (1970, before the "
    "start, in the future); they were not used.",
    Flag.ESTIMATED: "The pod or server did not report its end; time is charged up to its last sign "
    "of life.",
    Flag.UNMEASURED: "It started, or may have started, and it is unknown how long it worked; no "
    "time is charged.",
    Flag.CLAIM_REFUSED: "The model's server reported an impossible time or token count; that value "
    "was not used.",
}


def text_of(flags: Iterable[Flag]) -> str:
    """Flags as the ledger stores them: a sorted JSON list."""
    return json.dumps(sorted(set(flags)))


@dataclass(frozen=True)
class Window:
    """The interval from the dispatch of work to the report of its end, by the gateway's clocks.

    Attributes:
        sent_at: the gateway's timestamp of the dispatch.
        received_at: its timestamp of the end.
        elapsed_ms: the time between them by the monotonic clock of the process that saw both; None
            if no process did.
    """

    sent_at: datetime
    received_at: datetime
    elapsed_ms: int | None = None

    @property
    def jumped(self) -> bool:
        """Whether the gateway's wall clock was moved in between."""
        if self.elapsed_ms is None:
            return self.received_at < self.sent_at
        wall = (self.received_at - self.sent_at) // timedelta(milliseconds=1)
        return abs(wall - self.elapsed_ms) > _slack(self.elapsed_ms)

    @property
    def length_ms(self) -> int | None:
        """Length in milliseconds; None if unknown."""
        if self.elapsed_ms is not None:
            return self.elapsed_ms
        return None if self.jumped else milliseconds(self.received_at - self.sent_at)

    @property
    def ends_at(self) -> datetime:
        """When it ends, by the clock that timestamped its start."""
        if self.jumped and self.elapsed_ms is not None:
            return self.sent_at + timedelta(milliseconds=self.elapsed_ms)
        return max(self.received_at, self.sent_at)

    def since(self, moment: datetime, until: datetime) -> int:
        """Milliseconds between two of the gateway's timestamps, at most the window's length."""
        most, length = self.length_ms, milliseconds(until - moment)
        if self.jumped or until < moment:
            return most or 0
        return length if most is None else min(length, most)

    def holds(self, moment: datetime) -> bool:
        """Whether a timestamp of another clock lies in the window, allowing for clock skew."""
        return self.jumped or self.sent_at - SKEW <= moment <= self.ends_at + SKEW


@dataclass(frozen=True)
class Measured:
    """When and how long a prediction worked, as charged, with flags.

    Attributes:
        active_ms: the charged time in milliseconds.
        flags: as the ledger stores them.
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
    """The time charged for work that reported its active time.

    Args:
        started_at: timestamp of the start; None if it did not start.
        completed_at: timestamp of the end.
        active_ms: the reported active time.
        window: what the gateway knows.
        stamps_ms: the time between the reporter's own timestamps, if they are of one clock.
        heard_ms: the active time of the last heartbeat.
        limit_ms: the upper limit; used only if the window's length is unknown.
        flags: flags that are known already.
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
    """The time charged for work whose end was never reported.

    Args:
        started_at: when it started, by the gateway's clock; None if no start was reported.
        ended_at: when it ended according to the object: the cluster's time of the container's
            end, or when the controller saw that it was gone.
        heard_at: the last sign of life.
        heard_ms: the active time in the last heartbeat.
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
        # It ended before its first heartbeat; if it had run longer, it would have sent one.
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
    """Whether a run can have ended at this time: not before its start, not in the future.

    A container runtime that lost a container's state reports 1970, or the year 1.
    """
    return started_at - SKEW <= ended_at <= window.ends_at + SKEW


def by_the_cluster(moment: datetime) -> bool:
    """Whether a time comes from the cluster: Kubernetes uses whole seconds."""
    return moment.microsecond == 0


def _slack(span_ms: int) -> int:
    return milliseconds(SKEW) + span_ms // RATE
