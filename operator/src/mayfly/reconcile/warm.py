"""What to do next with the pods that wait for runs of one runtime in one namespace. Pure.

    no pool here any more            delete what waits
    over, or its run is gone         delete it
    made of an older template        delete it: it is given to no run
    older than its age               replace it, one at a time
    fewer than wanted                create some, a few at a time
    more than allowed                delete what is too many
    more than wanted for minutes     delete one every ten seconds
    boots fail                       pause, longer each time

A waiting pod is never deleted because it does not answer for a while: after an outage of the API
server or of a node it is as good as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mayfly.api.v1alpha1 import PipelineRuntime, Reason
from mayfly.reconcile.actions import Action, CreatePod, DeletePod, EnsureNetworkPolicy
from mayfly.reconcile.observed import PULL_REASONS, Failure, ObservedPod, PodSettings
from mayfly.reconcile.pods import BOOT_SECONDS, template_of, waiting_pod
from mayfly.reconcile.runtime import is_pinned

BOOTS_AT_ONCE = 4
"""How many waiting pods may boot at a time: each takes a second of CPU from billed runs."""

MAX_AGE = timedelta(minutes=30)
"""How old a waiting pod gets, give or take a fifth, so that those of one time go at several."""

UNREADY = timedelta(minutes=5)
"""How long a pod that was ready may be unready, as after an outage of its node."""

LATE = timedelta(seconds=BOOT_SECONDS + 60)
"""How long a pod may take from its creation until it is ready, its place on a node included."""

SURPLUS = timedelta(minutes=5)
SURPLUS_PAUSE = timedelta(seconds=10)
"""How long more may wait than wanted, and then the pause between two that go."""

TELL_AFTER = 3
"""After so many failed boots in a row, the runtime says so."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
SHORT_PAUSE = timedelta(seconds=1)

SETTLE = timedelta(milliseconds=500)
"""New pods boot once this much time has passed without another run: a boot would take the CPU of
runs that have just got their pods."""

LONGEST_SETTLE = timedelta(seconds=2)
"""If runs keep coming, new pods boot this long after the first of them."""

FAST_SECONDS, SLOW_SECONDS = 10.0, 300.0
"""Over how long arrivals are averaged: to follow a burst, and to remember that there was one."""


@dataclass(frozen=True)
class WaitingPod:
    """A pod that was made for no run.

    Attributes:
        seen: its last seen state.
        runtime: its PipelineRuntime's name.
        template: the hash of what it was made of.
        created: when.
        version: its resourceVersion.
        was_ready: it was seen to be ready at some time.
        spent: a run has claimed it, and that run is gone.
        ready_since: when it last became ready or unready.
    """

    seen: ObservedPod
    runtime: str
    template: str
    created: datetime
    version: int = 0
    was_ready: bool = False
    spent: bool = False
    ready_since: datetime | None = None

    @property
    def lives(self) -> bool:
        """Whether it may still be given to a run, now or later."""
        return not (self.seen.over or self.seen.deleting or self.spent)

    @property
    def has_booted(self) -> bool:
        """Whether it has been ready, seen by this process or one before it."""
        return self.was_ready or self.seen.booted

    @property
    def cannot_be_pulled(self) -> bool:
        """Whether the kubelet has tried its image in vain, and pauses: so do we, and longer."""
        waiting = self.seen.waiting
        return waiting is not None and waiting[0] in PULL_REASONS - {"ErrImagePull"}

    @property
    def age(self) -> timedelta:
        """How old it gets: `MAX_AGE`, more or less, as its UID says."""
        share = int(self.seen.uid.replace("-", "")[:8] or "0", 16) / 2**32
        return MAX_AGE * (0.8 + 0.4 * share)


@dataclass(frozen=True)
class Arrivals:
    """How many runs a second want a pod: two averages that fade, one fast and one slow.

    Attributes:
        fast, slow: runs a second, at the time of the last arrival.
        at: when that was.
        since: when the first came of those that came in quick succession until then.
    """

    fast: float = 0.0
    slow: float = 0.0
    at: datetime | None = None
    since: datetime | None = None

    def one_more(self, now: datetime) -> Arrivals:
        """The averages after one more arrival."""
        fast, slow = self._faded(now)
        settled = self.at is None or now >= self.at + SETTLE
        since = now if settled else self.since
        return Arrivals(fast + 1 / FAST_SECONDS, slow + 1 / SLOW_SECONDS, now, since)

    @property
    def settled_at(self) -> datetime | None:
        """From when on new pods may boot; None if no run has come yet."""
        if self.at is None or self.since is None:
            return None
        return min(self.at + SETTLE, self.since + LONGEST_SETTLE)

    def rate(self, now: datetime) -> float:
        """Runs a second: the larger of the averages."""
        return max(self._faded(now))

    def _faded(self, now: datetime) -> tuple[float, float]:
        gone = max(0.0, (now - self.at).total_seconds()) if self.at else 0.0
        return self.fast * math.exp(-gone / FAST_SECONDS), self.slow * math.exp(
            -gone / SLOW_SECONDS
        )


@dataclass(frozen=True)
class Boots:
    """How boots of a pool's pods go.

    Attributes:
        failures: failed ones since the last that succeeded.
        failed_at: when the last one failed.
        last: why.
        seconds: from creation to ready, on average.
    """

    failures: int = 0
    failed_at: datetime | None = None
    last: Failure | None = None
    seconds: float = 5.0

    def failed(self, failure: Failure, now: datetime) -> Boots:
        """After one more that failed."""
        return Boots(self.failures + 1, now, failure, self.seconds)

    def succeeded(self, seconds: float) -> Boots:
        """After one that became ready in so many seconds."""
        return Boots(seconds=self.seconds + (seconds - self.seconds) / 4)

    @property
    def paused_until(self) -> datetime | None:
        """When the next one may be tried; None if at once."""
        if self.failed_at is None:
            return None
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.failures - 1, 10), LONGEST_PAUSE_SECONDS)
        return self.failed_at + timedelta(seconds=pause)

    @property
    def told(self) -> Failure | None:
        """Why the pool is short, if boots have failed often enough to say so."""
        return self.last if self.failures >= TELL_AFTER else None


@dataclass(frozen=True)
class ObservedPool:
    """The pool of one runtime in one namespace, and all that decides what to do with it.

    Attributes:
        namespace: where it is.
        runtime: its PipelineRuntime; None if there is none.
        labelled: the namespace asks for this pool.
        pods: every waiting pod of the runtime in the namespace.
        settings: of pods.
        now: the time of this look.
        names: names for new pods, as many as may be needed.
        rate: runs a second that want a pod here.
        settled_at: from when on new pods may boot; None if at once.
        boots: how boots went.
        booting: how many waiting pods boot now, in all pools.
        room: how many pods the runtime's maxPods leaves for this pool.
        network_ready: the namespace has its NetworkPolicy.
        surplus_since: since when more pods wait than wanted.
    """

    namespace: str
    runtime: PipelineRuntime | None
    labelled: bool
    pods: tuple[WaitingPod, ...]
    settings: PodSettings
    now: datetime
    names: tuple[str, ...] = ()
    rate: float = 0.0
    settled_at: datetime | None = None
    boots: Boots = field(default_factory=Boots)
    booting: int = 0
    room: int = 0
    network_ready: bool = True
    surplus_since: datetime | None = None

    @property
    def most(self) -> int:
        """How many may wait."""
        runtime = self.runtime
        if runtime is None or runtime.spec.warm is None or not self.labelled:
            return 0
        if runtime.metadata.deletion_timestamp or not is_pinned(runtime):
            return 0
        return max(0, min(runtime.spec.warm.most, self.room))

    @property
    def wanted(self) -> int:
        """How many should wait: the minimum, and those that may be asked for during one boot."""
        warm = self.runtime.spec.warm if self.runtime else None
        least = warm.min if warm else 0
        return min(self.most, least + math.ceil(self.rate * self.boots.seconds))


@dataclass(frozen=True)
class PoolPlan:
    """What to do now with a pool.

    Attributes:
        actions: executed in order.
        wake: when to look again even if nothing happens.
        failed: why pods failed before they were ever ready.
        surplus_since: since when more pods wait than wanted.
    """

    actions: tuple[Action, ...] = ()
    wake: datetime | None = None
    failed: tuple[Failure, ...] = ()
    surplus_since: datetime | None = None


def usable(
    pods: Iterable[WaitingPod], runtime: PipelineRuntime, settings: PodSettings
) -> list[WaitingPod]:
    """The pods that a run may claim now, the oldest first."""
    template = template_of(runtime, settings)
    mine = (each for each in pods if each.runtime == runtime.metadata.name)
    fit = [each for each in mine if each.lives and each.seen.ready and each.template == template]
    return sorted(fit, key=lambda each: (each.created, each.seen.name))


def plan_pool(seen: ObservedPool) -> PoolPlan:
    """The next step of a pool."""
    template = template_of(seen.runtime, seen.settings) if seen.runtime else ""
    useless = [each for each in seen.pods if _why_useless(seen, each, template)]
    failed = tuple(_why_failed(each) for each in useless if _has_failed(each))
    good = [each for each in seen.pods if each.lives and each not in useless]
    too_many, surplus_since, wake = _too_many(seen, good)
    actions: list[Action] = [
        DeletePod(seen.namespace, each.seen.name, each.seen.uid)
        for each in (*useless, *too_many)
        if not (each.seen.deleting or each.seen.gone)
    ]
    if seen.most and not seen.network_ready:
        actions.append(EnsureNetworkPolicy(seen.namespace))
    new, later = _new(seen, good, failing=bool(failed))
    actions += new
    moments = [each for each in (wake, later, *_changes(seen, good)) if each is not None]
    return PoolPlan(tuple(actions), min(moments, default=None), failed, surplus_since)


def _why_useless(seen: ObservedPool, pod: WaitingPod, template: str) -> str:
    """Why a pod will never be given to a run; "" if it may be."""
    if pod.seen.over:
        return "over"
    if pod.spent:
        return "its run is gone"
    if seen.most == 0 and not (seen.labelled and seen.runtime and seen.runtime.spec.warm):
        return "no pool"
    if pod.template != template:
        return "old"
    if not pod.has_booted and (seen.now >= pod.created + LATE or pod.cannot_be_pulled):
        return "late"
    since = pod.ready_since or pod.created
    unready = pod.has_booted and not pod.seen.ready
    return "unready" if unready and seen.now >= since + UNREADY else ""


def _has_failed(pod: WaitingPod) -> bool:
    """Whether a useless pod tells that boots fail: it was never ready, and nobody stopped it."""
    return not (pod.has_booted or pod.spent or pod.seen.deleting)


def _why_failed(pod: WaitingPod) -> Failure:
    seen = pod.seen
    if seen.terminated is not None:
        words = seen.terminated.message or seen.terminated.reason
        ended = f"pod {seen.name} ended with exit code {seen.terminated.exit_code}: {words}"
        return Failure(Reason.PODS_FAIL, ended)
    waits = ": ".join(filter(None, seen.waiting)) if seen.waiting else ""
    words = seen.blocked or waits or seen.message or seen.reason or "it did not become ready"
    reason = Reason.PODS_FAIL
    if seen.waiting and seen.waiting[0] in PULL_REASONS:
        reason = Reason.IMAGE_PULL
    elif seen.started_at is None and not seen.ever_started:
        reason = Reason.UNSCHEDULABLE
    return Failure(reason, f"pod {seen.name}: {words}")


def _too_many(
    seen: ObservedPool, good: list[WaitingPod]
) -> tuple[list[WaitingPod], datetime | None, datetime | None]:
    """Pods to delete, since when there is a surplus, and when to look again."""
    # Those that boot are of the least use, then the oldest.
    order = sorted(good, key=lambda each: (each.has_booted, each.created))
    old = [each for each in order if each.has_booted and seen.now >= each.created + each.age]
    allowed = seen.most + bool(seen.most and old)  # the one that comes before an old one goes
    if len(good) > allowed:
        return order[: len(good) - allowed], None, None
    if len(good) <= seen.wanted:
        return [], None, None
    if old and sum(each.seen.ready for each in good) > seen.wanted:
        return old[:1], None, None
    if len(good) == seen.wanted + bool(old):
        return [], None, None
    since = seen.surplus_since or seen.now
    if seen.now < since + SURPLUS:
        return [], since, since + SURPLUS
    return order[:1], since + SURPLUS_PAUSE, seen.now + SURPLUS_PAUSE


def _new(
    seen: ObservedPool, good: list[WaitingPod], *, failing: bool
) -> tuple[list[Action], datetime | None]:
    """Pods to create, and when to look again."""
    missing = seen.wanted - len(good)
    old = any(seen.now >= each.created + each.age for each in good)
    if missing == 0 and old and all(each.has_booted for each in good):
        missing = 1  # comes before the old one goes
    if missing <= 0 or seen.runtime is None:
        return [], None
    if seen.settled_at is not None and seen.now < seen.settled_at:
        return [], seen.settled_at
    paused = seen.boots.paused_until
    if failing or (paused is not None and seen.now < paused):
        return [], paused if paused and not failing else seen.now + SHORT_PAUSE
    count = min(missing, max(0, BOOTS_AT_ONCE - seen.booting), 1 if paused else missing)
    made = [
        CreatePod(waiting_pod(seen.runtime, seen.namespace, name, seen.settings))
        for name in seen.names[:count]
    ]
    return list(made), seen.now + SHORT_PAUSE if count < missing else None


def _changes(seen: ObservedPool, good: list[WaitingPod]) -> list[datetime]:
    """When pods change by time alone."""
    moments = []
    for each in good:
        if not each.has_booted:
            moments.append(each.created + LATE)
        elif not each.seen.ready:
            moments.append((each.ready_since or each.created) + UNREADY)
        else:
            moments.append(each.created + each.age)
    later = [each for each in moments if each > seen.now]
    if seen.most and seen.rate:
        later.append(seen.now + timedelta(seconds=SLOW_SECONDS))
    return later
