"""What an object says, and how a run ends, if Mayfly itself fails at it again and again. Pure.

Controller and gateway share this. Their work queues count the unexpected errors of each object in
a row; after a few its conditions tell, with the reason InternalError, and a run at which they fail
for longer is ended. Nothing that a tenant has written is needed for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mayfly.api.v1alpha1 import PipelineRun, PipelineRunStatus, Reason
from mayfly.api.v1alpha1.conditions import Condition, ConditionType, Truth, find, with_condition
from mayfly.clock import rfc3339_seconds
from mayfly.reconcile.actions import NOTHING, DeletePod, Plan
from mayfly.reconcile.ending import End, ended
from mayfly.reconcile.observed import ObservedRun
from mayfly.reconcile.run_status import marked, write
from mayfly_runtime.spec.printable import first_line

Json = dict[str, Any]

TELL_TRIES = 3
"""After so many unexpected errors in a row, the object says so."""

END_TRIES = 5
END_SECONDS = 30.0
"""A run ends after so many errors in a row, for so long: before, it may have been an upgrade."""

_KEPT = ("id", "podName", "podUID", "attempt", "conditions", "finished")
_SPEC = ("cancel", "parentRef", "ttlSecondsAfterFinished")


@dataclass(frozen=True)
class Trouble:
    """The unexpected errors at an object, in a row.

    Attributes:
        component: controller or gateway.
        tries: how many errors.
        seconds: since the first of them.
        error: the last one.
        passes: it depends on the cluster (permissions, for example) and not on the object.
    """

    component: str
    tries: int
    seconds: float
    error: Exception
    passes: bool = False

    @property
    def tells(self) -> bool:
        """Whether the object says so now."""
        return self.tries >= TELL_TRIES

    @property
    def ends(self) -> bool:
        """Whether a run ends because of it."""
        return not self.passes and self.tries >= END_TRIES and self.seconds >= END_SECONDS

    @property
    def words(self) -> str:
        """What happened and where to look, as two sentences."""
        return (
            f"The {self.component} failed {self.tries} times in a row at this object: "
            f"{one_line(self.error)}. The log of mayfly-{self.component} says more."
        )


def one_line(error: Exception) -> str:
    """An error's type and the first line of its text, cut, with control characters escaped."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        text = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    else:
        text = str(error)
    return f"{type(error).__name__}: {first_line(text)}".rstrip(" .:")


def bare_run(body: Json) -> PipelineRun:
    """A run for its end: if it can't be read as a whole, without what its author wrote."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    bare = {**body, "spec": {name: spec[name] for name in _SPEC if name in spec}}
    least = {**bare, "status": {name: status[name] for name in _KEPT if name in status}}
    for each in (body, bare):
        try:
            return PipelineRun.model_validate(each)
        except ValidationError:
            continue
    return PipelineRun.model_validate(least)


def plan_failing(seen: ObservedRun, trouble: Trouble) -> Plan:
    """What to do with a run at which every look fails.

    Args:
        seen: the run, with all its pods as strays; nothing else of it needs to be known.
        trouble: how often and how long it failed.
    """
    run = seen.run
    if run.metadata.deletion_timestamp or not trouble.tells:
        return NOTHING
    pods = tuple(
        DeletePod(run.metadata.namespace or "", pod.name, pod.uid)
        for pod in seen.strays
        if not pod.gone and not pod.deleting
    )
    if run.status.ended:
        return Plan(pods)
    working = run.status.started and any(
        pod.uid == run.status.pod_uid and not pod.over for pod in seen.strays
    )
    if not trouble.ends or (working and not run.spec.cancel):
        # main() goes on without us, and the gateway takes its end.
        told = told_status(run, trouble, seen.now)
        return NOTHING if told is None else Plan((write(seen, told),))
    # The end first: once it stands, the gateway sends no work, and nothing can start any more.
    return Plan((write(seen, ended(run, end_of(run, trouble), now=seen.now)), *pods))


def end_of(run: PipelineRun, trouble: Trouble) -> End:
    """The end of a run at which Mayfly failed. If it was to be cancelled, it is cancelled."""
    started = True if run.status.started else None if run.status.pod_uid else False
    reason = Reason.CANCELED if run.spec.cancel else Reason.INTERNAL_ERROR
    return End(reason, trouble.words, started=started)


def told_status(run: PipelineRun, trouble: Trouble, now: datetime) -> PipelineRunStatus | None:
    """The status of a run that has not ended and tells the trouble; None if it tells already."""
    begun = run.status.started
    kind = ConditionType.SUCCEEDED if begun else ConditionType.STARTED
    known = find(run.status.conditions, kind)
    if run.status.ended or (known is not None and known.reason == Reason.INTERNAL_ERROR):
        return None
    truth: Truth = "Unknown" if begun else "False"
    return marked(run, now, (kind, truth, Reason.INTERNAL_ERROR, trouble.words))


def not_ready(body: Json, trouble: Trouble, now: datetime) -> Json | None:
    """The status of a Pipeline, PipelineRuntime or Model that tells the trouble.

    Returns:
        What changes of its status; None if it tells already.
    """
    generation = body["metadata"].get("generation")
    told = (body.get("status") or {}).get("conditions", "finished") or []
    conditions = [Condition.model_validate(each) for each in told]
    known = find(conditions, ConditionType.READY)
    if (
        known is not None
        and known.reason == Reason.INTERNAL_ERROR
        and known.observed_generation == generation
    ):
        return None
    changed = with_condition(
        conditions,
        ConditionType.READY,
        "False",
        Reason.INTERNAL_ERROR,
        trouble.words,
        now=rfc3339_seconds(now),
        generation=generation,
    )
    return {"conditions": [each.model_dump(by_alias=True, exclude_none=True) for each in changed]}
