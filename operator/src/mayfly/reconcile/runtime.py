"""Plans the next step of a PipelineRuntime: reports whether it can be used."""

from __future__ import annotations

import re
from datetime import datetime

from mayfly.api.v1alpha1 import PipelineRuntime, PipelineRuntimeStatus, Reason, WarmStatus
from mayfly.api.v1alpha1.conditions import Condition, ConditionType, with_condition
from mayfly.clock import rfc3339_seconds
from mayfly.reconcile.actions import NOTHING, Plan, WriteStatus
from mayfly.reconcile.events import not_ready
from mayfly.reconcile.observed import Failure

BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def is_pinned(runtime: PipelineRuntime) -> bool:
    """Whether its image is named by digest; no other one is used."""
    return BY_DIGEST.search(runtime.spec.image) is not None


def plan_runtime(
    runtime: PipelineRuntime,
    now: datetime,
    warm: WarmStatus | None = None,
    short: Failure | None = None,
) -> Plan:
    """The next step of a runtime. "Locked" means that the image is named by digest.

    Args:
        runtime: as it was read.
        now: the time of this look.
        warm: its waiting pods; None if none are to wait.
        short: why its pools are short of pods; None if they are not.
    """
    pinned = is_pinned(runtime)
    metadata = runtime.metadata
    new = PipelineRuntimeStatus(
        observed_generation=metadata.generation,
        packages=runtime.spec.packages,
        warm=warm,
        conditions=with_condition(
            _degraded(runtime, now, warm, short),
            ConditionType.READY,
            "True" if pinned else "False",
            Reason.READY if pinned else Reason.NOT_PINNED,
            "The runtime can be used."
            if pinned
            else "spec.image is not named by digest (name@sha256:…), so runs of it are refused.",
            now=rfc3339_seconds(now),
            generation=metadata.generation,
        ),
    )
    if new == runtime.status:
        return NOTHING
    # In a merge patch, what is left out stays.
    body = new.body() | ({"warm": None} if warm is None and runtime.status.warm else {})
    write = WriteStatus("pipelineruntimes", "", metadata.name, metadata.resource_version, body)
    return Plan((write,), events=not_ready(runtime, new.conditions))


def _degraded(
    runtime: PipelineRuntime, now: datetime, warm: WarmStatus | None, short: Failure | None
) -> tuple[Condition, ...]:
    """The conditions, with one that says whether fewer pods wait than should."""
    if warm is None:
        kept = runtime.status.conditions
        return tuple(each for each in kept if each.type != ConditionType.DEGRADED)
    if not is_pinned(runtime):
        short = Failure(Reason.NOT_PINNED, "spec.image is not named by digest (name@sha256:…).")
    return with_condition(
        runtime.status.conditions,
        ConditionType.DEGRADED,
        "True" if short else "False",
        short.reason if short else Reason.AS_EXPECTED,
        short.words if short else "As many pods wait as should, or the missing ones are starting.",
        now=rfc3339_seconds(now),
        generation=runtime.metadata.generation,
    )
