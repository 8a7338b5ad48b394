"""The actions of a plan: a closed union, executed by `controller.execute`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRunStatus

Json = dict[str, Any]


@dataclass(frozen=True)
class CreatePod:
    """Create a run's pod; succeeds if it already exists."""

    body: Json


@dataclass(frozen=True)
class DeletePod:
    """Delete exactly this pod."""

    namespace: str
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True)
class AdoptPod:
    """Make a claimed waiting pod its run's, by a JSON patch; nothing if it is not to be had."""

    namespace: str
    name: str
    patch: tuple[Json, ...]


@dataclass(frozen=True)
class WriteRunStatus:
    """Write a run's status, unless the run has changed since it was read."""

    namespace: str
    name: str
    resource_version: str
    status: PipelineRunStatus


@dataclass(frozen=True)
class DeleteRun:
    """Delete exactly this run, and with it what it owns."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class EnsureNetworkPolicy:
    """Apply the run pods' NetworkPolicy in a namespace."""

    namespace: str


@dataclass(frozen=True)
class CreateVersion:
    """Create a PipelineVersion; succeeds if it already exists."""

    body: Json


@dataclass(frozen=True)
class DeleteVersion:
    """Delete exactly this PipelineVersion."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class WriteStatus:
    """Write the status of a Pipeline or PipelineRuntime, unless that has changed since read."""

    plural: str
    namespace: str
    name: str
    resource_version: str
    status: Json


Action = (
    CreatePod
    | DeletePod
    | AdoptPod
    | WriteRunStatus
    | DeleteRun
    | EnsureNetworkPolicy
    | CreateVersion
    | DeleteVersion
    | WriteStatus
)


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about an object.

    Attributes:
        kind, namespace, name, uid: of the object; namespace "" for a cluster-wide one.
        reason: of the condition that it tells of.
        note: the condition's message.
        occasion: what sets it apart from an earlier event of this reason.
        warning: its type is Warning, else Normal.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    reason: str
    note: str
    occasion: str
    warning: bool = True


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to look again even if nothing happens.

    Attributes:
        actions: executed in order; a failure stops the rest.
        wake: when to look again, or None.
        events: told once the actions are done; nothing depends on them.
    """

    actions: tuple[Action, ...] = ()
    wake: datetime | None = None
    events: tuple[Event, ...] = ()


NOTHING = Plan()
