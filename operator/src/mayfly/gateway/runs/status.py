"""A PipelineRun's status as the gateway writes it. Pure: raw status in, raw status out.

Raw JSON, because a model that drops unset fields would also drop the nulls of an output.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun, PipelineRunStatus, Reason, Usage
from mayfly.api.v1alpha1.conditions import ConditionType, Truth, find
from mayfly.api.v1alpha1.pipelinerun import Children
from mayfly.api.v1alpha1.summary import summarised
from mayfly.clock import parse_rfc3339, rfc3339
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.lifecycle.text import utf8_tail
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.pricing import EXACT, decimal_text
from mayfly.reconcile import ending as shapes
from mayfly.reconcile.observed import Place, Refusal
from mayfly.reconcile.run_status import marked
from mayfly_runtime.spec import strict_json

Json = dict[str, Any]

STATUS_BYTES = 32 * 1024


@dataclass(frozen=True)
class Bill:
    """The parts of an end that only the gateway knows.

    Attributes:
        cost: the run's own.
        currency: of the installation.
        children: its children, counted by outcome.
        downstream: what everything below it has cost so far.
        final: nothing below can add to that any more.
        logs_tail: the end of the log, longer than a status may carry if the log is.
        url: of the prediction, for people.
    """

    cost: Decimal
    currency: str
    logs_tail: str
    url: str
    children: Children = field(default_factory=Children)
    downstream: Decimal = Decimal(0)
    final: bool = True


def merged(seen: Seen, status: PipelineRunStatus) -> Json:
    """The raw status with everything that a typed one has."""
    typed = status.body()
    typed.pop("output", None)  # raw, with its nulls
    return {**seen.status, **typed}


def _conditioned(
    seen: Seen, kind: ConditionType, status: Truth, reason: Reason, message: str, now: datetime
) -> PipelineRunStatus:
    return summarised(seen.run, marked(seen.run, now, (kind, status, reason, message)))


def started(seen: Seen, started_at: datetime, now: datetime) -> Json:
    """Status of a run whose main() was called and is still running."""
    status = _conditioned(
        seen, ConditionType.STARTED, "True", Reason.STARTED, "main() was called.", now
    )
    return merged(seen, status.model_copy(update={"started_at": rfc3339(started_at)}))


STORAGE_FULL = (
    "The gateway's disk is full: messages from this run's pod are stored once there is space. "
    "Until then, its end and its output wait in the pod, for at most 15 minutes."
)


def storage_full(seen: Seen, now: datetime) -> Json:
    """Status of a run for which the gateway can store nothing, because its disk is full."""
    if seen.run.status.started:
        words = f"main() was called. {STORAGE_FULL}"
        return merged(
            seen, _conditioned(seen, ConditionType.STARTED, "True", Reason.STARTED, words, now)
        )
    reason = Reason.STORAGE_FULL
    return merged(
        seen, _conditioned(seen, ConditionType.STARTED, "False", reason, STORAGE_FULL, now)
    )


def tells_storage_full(run: PipelineRun) -> bool:
    """Whether a run's status still says that the disk is full."""
    started = find(run.status.conditions, ConditionType.STARTED)
    return started is not None and started.message.endswith(STORAGE_FULL)


def claim_lost(seen: Seen, now: datetime) -> Json:
    """Status of a run that its claimed pod never takes: the controller may claim another pod."""
    message = "The claimed pod has another run, or ended before it had this one."
    return merged(
        seen, _conditioned(seen, ConditionType.STARTED, "False", Reason.CLAIM_LOST, message, now)
    )


def refused(seen: Seen, refusal: Refusal, place: Place | None, now: datetime) -> Json:
    """Status of a run that ended before it had a pod: not accepted."""
    ended = shapes.refused(seen.run, refusal, now=now)
    if place is not None and ended.root_ref is None:
        ended = ended.model_copy(update={"depth": place.depth, "root_ref": place.root})
    return merged(seen, ended)


def budget_checked(seen: Seen) -> Json:
    """Status of a run that the controller may give a pod, because there is budget left."""
    return {**seen.status, "budgetChecked": True}


def cancel_accepted(seen: Seen, now: datetime) -> Json:
    """Status of a cancelled run below which nothing can start any more."""
    message = "Nothing below the run that has not started will start."
    reason = Reason.CANCEL_ACCEPTED
    return merged(
        seen, _conditioned(seen, ConditionType.CANCEL_ACCEPTED, "True", reason, message, now)
    )


def finished(seen: Seen, now: datetime) -> Json:
    """Status of a cancelled run that ended before its children answered, and is finished now."""
    return {**cancel_accepted(seen, now), "finished": True}


def ended(
    seen: Seen, ending: Ending, bill: Bill, now: datetime, *, open_below: bool = False
) -> Json:
    """Status of an ended run, recorded and finished, in one write.

    Args:
        seen: the object.
        ending: its end.
        bill: what it cost.
        now: the gateway's clock.
        open_below: the run was cancelled, and something below it may still start: its cancel is
            not accepted yet, so it stays in the watch, recorded but not finished.
    """
    run = seen.run
    if not open_below and _cancel_is_open(run.status, ending):
        run = Seen({**seen.raw, "status": cancel_accepted(seen, now)}).run
    end = shapes.End(
        reason=Reason(ending.reason),
        error=ending.error,
        started=ending.started_at is not None,
        started_at=rfc3339(ending.started_at) if ending.started_at else None,
        completed_at=rfc3339(ending.completed_at) if ending.completed_at else None,
        active_ms=ending.active_ms,
    )
    status = merged(seen, shapes.ended(run, end, now=now))
    if ending.outcome is Outcome.SUCCEEDED:
        status.pop("error", None)
    return _billed(status, ending, bill, open_below=open_below)


def unbilled(seen: Seen, end: shapes.End, now: datetime) -> Json:
    """Status of a run that ended and is not recorded yet, as the controller writes it."""
    return merged(seen, shapes.ended(seen.run, end, now=now))


def _cancel_is_open(status: PipelineRunStatus, ending: Ending) -> bool:
    if not status.cancelling:
        return ending.outcome is Outcome.CANCELED
    return not status.cancel_accepted


def recorded(
    seen: Seen, ending: Ending, bill: Bill, now: datetime, *, open_below: bool = False
) -> Json:
    """Status with the controller's end, completed from the ledger, recorded and finished.

    Args:
        seen: the object.
        ending: its end.
        bill: what it cost.
        now: the gateway's clock.
        open_below: as in `ended`.
    """
    accepted = not open_below and _cancel_is_open(seen.run.status, ending)
    status = cancel_accepted(seen, now) if accepted else seen.status
    if ending.started_at is not None:
        status.setdefault("startedAt", rfc3339(ending.started_at))
    ended_at = ending.completed_at
    if ended_at is not None and ended_at != _moment(status.get("completedAt")):
        # A container runtime that lost its state reports 1970, which the object then has.
        status["completedAt"] = rfc3339(ended_at)
    return _billed(status, ending, bill, open_below=open_below)


def _billed(status: Json, ending: Ending, bill: Bill, *, open_below: bool) -> Json:
    status = {**tallied(status, ending.active_ms, bill), "recorded": True}
    if not open_below:
        status["finished"] = True
    if ending.output is not None:
        status["outputURL"] = f"{bill.url}/output"
        copied, value = copy_of(ending.output)
        if copied:
            status["output"] = value
    return fitted(status, bill)


def tallied(status: Json, active_ms: int, bill: Bill) -> Json:
    """The status with the run's usage, its children, and the cost of all of them."""
    with localcontext(EXACT):
        total = bill.cost + bill.downstream
    usage = Usage(
        active_milliseconds=active_ms,
        cost=decimal_text(bill.cost),
        downstream_cost=decimal_text(bill.downstream),
        total_cost=decimal_text(total),
        currency=bill.currency,
        final=bill.final,
    )
    return {**status, "usage": usage.body(), "children": bill.children.body()}


def copy_of(output: str) -> tuple[bool, Any]:
    """The copy of an output that the object may carry: small, and JSON that Kubernetes can store.

    Returns:
        Whether it may, and the value.
    """
    if strict_json.size(output) > shapes.OUTPUT_BYTES:
        return False, None
    try:
        return True, strict_json.parse(output, "the output")
    except ValueError:
        return False, None


def wire_size(status: Json) -> int:
    """Size of a status as the API server stores it: Go escapes <, > and & to six bytes each."""
    text = json.dumps(status, ensure_ascii=False, separators=(",", ":"))
    escaped = sum(text.count(each) for each in "<>&\u2028\u2029")
    return len(text.encode("utf-8", "replace")) + 5 * escaped


def fitted(status: Json, bill: Bill) -> Json:
    """The status with the end of the log, in 32 KiB: the log is cut first, then the output goes."""
    size = shapes.LOGS_TAIL_BYTES
    whole = {**status, **_log_of(bill, size)}
    while wire_size(whole) > STATUS_BYTES and size:
        size //= 2
        whole = {**status, **_log_of(bill, size)}
    if wire_size(whole) > STATUS_BYTES:
        whole.pop("output", None)
    return _marked(whole)


def _log_of(bill: Bill, size: int) -> Json:
    """The log's end as a field of the status: says so where it is not all, and begins a line."""
    log = bill.logs_tail
    if len(log.encode("utf-8", "replace")) <= size:
        return {"logsTail": log} if log else {}
    words = f"[this is the end of the log; all of it: {bill.url}/logs]\n"
    tail = utf8_tail(log, max(0, size - len(words.encode())))
    tail = tail.partition("\n")[2] or tail
    return {"logsTail": words + tail} if tail else {}


def _marked(status: Json) -> Json:
    """The status, told to be without its output where it has only the output's URL."""
    left_out = "outputURL" in status and "output" not in status
    return {**status, "outputTruncated": True} if left_out else status


def bare(status: Json) -> Json:
    """The status without log and output, for API servers that refuse content from user code."""
    kept = {key: value for key, value in status.items() if key not in {"output", "logsTail"}}
    return _marked(kept)


def patch(seen: Seen, status: Json) -> Json | None:
    """The merge patch from the current status to the new one; None if nothing changes."""
    before = seen.status
    changed = {key: value for key, value in status.items() if before.get(key) != value}
    if not changed:
        return None
    return {
        "metadata": {"resourceVersion": seen.raw["metadata"]["resourceVersion"]},
        "status": changed,
    }


def ending_of(seen: Seen) -> Ending:
    """The end as the object says it; active time only if the object has it."""
    status = seen.run.status
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    reason = succeeded.reason if succeeded else Reason.LOST.value
    if succeeded is not None and succeeded.status == "True":
        outcome = Outcome.SUCCEEDED
    else:
        outcome = Outcome.CANCELED if reason == Reason.CANCELED else Outcome.FAILED
    raw = seen.status
    return Ending(
        outcome=outcome,
        reason=reason,
        error=status.error or "",
        output=strict_json.dump(raw["output"]) if "output" in raw else None,
        started_at=_moment(status.started_at),
        completed_at=_moment(status.completed_at),
        active_ms=status.usage.active_milliseconds if status.usage else 0,
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        return None
