"""The planner's input: one run, its pod, and its resolved references."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import (
    Model,
    Pipeline,
    PipelineRun,
    PipelineRuntime,
    PipelineVersion,
    Reason,
    RootRef,
)
from mayfly.api.v1alpha1.pipelinerun import DEFAULT_TIMEOUT

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
"""What the kubelet says of a container whose image it can't pull."""


@dataclass(frozen=True)
class Terminated:
    """How the agent's container ended, from the kubelet."""

    exit_code: int
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True)
class ObservedPod:
    """The parts of a pod that matter for decisions.

    Attributes:
        gone: it is no longer in the API; the rest is its last seen state.
        unseen: it is gone, and its last state was not seen (the controller started later, or a
            watch broke).
        ever_started: the agent's container has or had a `startedAt`.
        waiting: why the container waits: (reason, message).
        blocked: what another container of the pod does that keeps ours from starting, in words:
            one that an admission webhook has put in.
        disruption: why the cluster evicted the pod: (reason, message) of DisruptionTarget.
        noticed: when this controller first saw it terminated or gone.
        waits: it was made for no run, and is nobody's yet: its owner is its runtime.
        ready: the kubelet says so; of a waiting pod, that its packages are imported.
        booted: its startup probe has succeeded: it was ready, whether or not it is now.
        started_at: when the kubelet took it, from which its deadline counts.
    """

    name: str
    uid: str
    phase: str = "Pending"
    deleting: bool = False
    gone: bool = False
    unseen: bool = False
    ever_started: bool = False
    terminated: Terminated | None = None
    reason: str = ""
    message: str = ""
    waiting: tuple[str, str] | None = None
    blocked: str = ""
    disruption: tuple[str, str] | None = None
    noticed: datetime | None = None
    waits: bool = False
    ready: bool = False
    booted: bool = False
    started_at: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether nothing runs in it any more."""
        return self.gone or self.terminated is not None or self.phase in {"Failed", "Succeeded"}


@dataclass(frozen=True)
class Place:
    """Where a run stands in its tree.

    Attributes:
        depth: the level in the tree; 1 for a root.
        root: the run at the top.
        root_id: its prediction id.
        parent_id: the id of the run that made this one; "" for a root.
    """

    depth: int
    root: RootRef
    root_id: str
    parent_id: str


@dataclass(frozen=True)
class Target:
    """A run's resolved references: everything its pod and its pins need."""

    version: str
    runtime: PipelineRuntime
    depth: int
    root: RootRef
    pipeline: str = ""
    timeout: str = DEFAULT_TIMEOUT
    root_id: str = ""
    parent_id: str = ""
    waits: str = ""
    """Why there is no place for its pod yet, as a sentence; "" if there is."""
    gives_up: GivesUp | None = None
    """Until when it waits in a deadlock."""


@dataclass(frozen=True)
class GivesUp:
    """A run that waits in a deadlock: until when, and why."""

    at: datetime
    why: str


@dataclass(frozen=True)
class Refusal:
    """The run can never be accepted; the message says why."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Unsettled:
    """Something that the run needs does not exist yet, but will soon."""

    message: str
    seconds: float = 0.2


@dataclass(frozen=True)
class CanceledAbove:
    """The parent was cancelled before this run had started; the message says so."""

    message: str


Resolution = Target | Refusal | CanceledAbove | Unsettled


@dataclass(frozen=True)
class PodSettings:
    """The installation's settings for run pods.

    Attributes:
        gateway_url: the gateway's URL for agents.
        ca_pem: the CA of its certificate; None for a public CA.
        image_pull_policy: of the runtime image.
        fetch_allow: private CIDRs that URLs of file inputs may lead to.
        set_ids: whether pods say their UID and groups; the cluster may choose them (OpenShift).
    """

    gateway_url: str
    ca_pem: str | None = None
    image_pull_policy: str = "IfNotPresent"
    fetch_allow: tuple[str, ...] = ()
    set_ids: bool = True


@dataclass(frozen=True)
class ObservedRun:
    """One run and everything that decides what to do with it.

    Attributes:
        run: the object.
        pod: the claimed pod, there or gone; None while nothing claimed it or nothing is known.
        next_pod: the pod made for the next attempt and not claimed yet, or one that waits.
        strays: live pods of the run that no claim can ever name any more: those of earlier
            attempts, and one that a controller made on old news.
        resolution: only where the run is not claimed and not ended.
        place: where it stands in its tree, where that is known and not in its status yet.
        tree_finished: whether every run below this root is finished (asked only at its TTL).
        network_ready: the namespace has its NetworkPolicy.
        pod_refused: what the cluster said when it refused the pod, or what the pod needs.
        waits_for_budget: its namespace has a budget, and the gateway has not said that there is
            something left of it.
        now: the time of this look.
    """

    run: PipelineRun
    now: datetime
    pods: PodSettings
    pod: ObservedPod | None = None
    next_pod: ObservedPod | None = None
    strays: tuple[ObservedPod, ...] = ()
    resolution: Resolution | None = None
    place: Place | None = None
    tree_finished: bool = True
    network_ready: bool = True
    pod_refused: str = ""
    waits_for_budget: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a pod did not come to wait for runs: a reason of the condition Degraded, and words."""

    reason: Reason
    words: str


@dataclass(frozen=True)
class SourceProblem:
    """A source that can't be run, and why.

    Attributes:
        message: a sentence; names file and line itself.
        file: where; "" if it is in no one file.
        line: where in it, from 1; 0 if it is in no one line.
    """

    message: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class ObservedPipeline:
    """One pipeline, its runtime and its versions.

    Attributes:
        model: the Model of its name in its namespace, if there is one.
        runtime: the runtime it names, if there is one.
        schema: the OpenAPI document of its source, or what is wrong with the source.
        versions: its PipelineVersions.
        used: ids of versions that unfinished runs use.
    """

    pipeline: Pipeline
    now: datetime
    runtime: PipelineRuntime | None
    schema: dict[str, Any] | SourceProblem | None = None
    versions: tuple[PipelineVersion, ...] = ()
    used: frozenset[str] = field(default_factory=frozenset)
    model: Model | None = None
