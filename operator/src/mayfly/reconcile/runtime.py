"""Plans the next step of a PipelineRuntime: reports whether it can be used."""

from __future__ import annotations

import re
from datetime import datetime

from mayfly.api.v1alpha1 import PipelineRuntime, PipelineRuntimeStatus, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, with_condition
from mayfly.clock import rfc3339_seconds
from mayfly.reconcile.actions import NOTHING, Plan, WriteStatus
from mayfly.reconcile.events import not_ready

BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def plan_runtime(runtime: PipelineRuntime, now: datetime) -> Plan:
    """The next step of a runtime. "Locked" means that the image is named by digest."""
    pinned = BY_DIGEST.search(runtime.spec.image) is not None
    metadata = runtime.metadata
    new = PipelineRuntimeStatus(
        observed_generation=metadata.generation,
        packages=runtime.spec.packages,
        warm=runtime.status.warm,
        conditions=with_condition(
            runtime.status.conditions,
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
    write = WriteStatus(
        "pipelineruntimes", "", metadata.name, metadata.resource_version, new.body()
    )
    return Plan((write,), events=not_ready(runtime, new.conditions))
