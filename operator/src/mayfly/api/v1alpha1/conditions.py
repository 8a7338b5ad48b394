"""Condition types and reasons: closed lists, each with a sentence that says when it applies.

Conditions are authoritative; `status.phase` is derived from them for people.
`docs/reference/conditions.md` is generated from these lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mayfly.api.v1alpha1.resource import Part, column

Truth = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Types of conditions."""

    ACCEPTED = "Accepted"
    STARTED = "Started"
    CANCEL_ACCEPTED = "CancelAccepted"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    READY = "Ready"
    DEGRADED = "Degraded"


TYPES: dict[ConditionType, str] = {
    ConditionType.ACCEPTED: "The run was checked: pipeline, version, runtime and input are valid.",
    ConditionType.STARTED: "main() was called. Written only if it is still running after one "
    "second.",
    ConditionType.CANCEL_ACCEPTED: "A cancel was requested; True once nothing below the run can "
    "start any more.",
    ConditionType.FINISHED: "The run is over, whatever the outcome. Where the controller "
    "wrote the end, costs come a moment later: scripts wait for `status.finished`.",
    ConditionType.SUCCEEDED: "How the run ended; Unknown until then.",
    ConditionType.READY: "The object can be used (Pipeline, PipelineRuntime, Model).",
    ConditionType.DEGRADED: "Fewer pods of the PipelineRuntime wait than should, and not only "
    "because they are starting. Runs that find no waiting pod get one of their own. Absent if no "
    "pods are to wait.",
}


class Reason(StrEnum):
    """Reasons of conditions."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID_INPUT = "InvalidInput"
    INVALID_SOURCE = "InvalidSource"
    NOT_FOUND = "NotFound"
    FORBIDDEN = "Forbidden"
    DEPTH_EXCEEDED = "DepthExceeded"
    PARENT_ENDED = "ParentEnded"
    BUDGET_EXCEEDED = "BudgetExceeded"
    # Started
    STARTED = "Started"
    QUEUED = "Queued"
    CLAIM_LOST = "ClaimLost"
    POD_PENDING = "PodPending"
    IMAGE_PULL = "ImagePull"
    POD_REFUSED = "PodRefused"
    STORAGE_FULL = "StorageFull"
    NOT_STARTED = "NotStarted"
    # CancelAccepted
    CLAIMS_STOPPED = "ClaimsStopped"
    CANCEL_ACCEPTED = "CancelAccepted"
    # Finished and Succeeded
    FINISHED = "Finished"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    USER_ERROR = "UserError"
    IMPORT_ERROR = "ImportError"
    TIMED_OUT = "TimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    EXITED = "Exited"
    EVICTED = "Evicted"
    LOST = "Lost"
    CANCELED = "Canceled"
    REFUSED = "Refused"
    QUEUE_DEADLINE_EXCEEDED = "QueueDeadlineExceeded"
    START_DEADLINE_EXCEEDED = "StartDeadlineExceeded"
    CAPACITY_EXHAUSTED = "CapacityExhausted"
    OUTPUT_TOO_LARGE = "OutputTooLarge"
    OUTPUT_NOT_JSON = "OutputNotJSON"
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105 - a word for people
    INPUT_FETCH_FAILED = "InputFetchFailed"
    OUTPUT_UPLOAD_FAILED = "OutputUploadFailed"
    INTERNAL_ERROR = "InternalError"
    # Ready
    READY = "Ready"
    NO_SOURCE = "NoSource"
    NOT_PINNED = "NotPinned"
    NAME_CONFLICT = "NameConflict"
    UNREACHABLE = "Unreachable"
    # Degraded
    AS_EXPECTED = "AsExpected"
    PODS_FAIL = "PodsFail"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNSCHEDULABLE = "Unschedulable"


REASONS: dict[ConditionType, dict[Reason, str]] = {
    ConditionType.ACCEPTED: {
        Reason.ACCEPTED: "The run was checked and may get a pod.",
        Reason.INVALID_INPUT: "An input field is missing, or has a wrong type or value.",
        Reason.INVALID_SOURCE: "The source can't be run: a syntax error, no entrypoint, or an "
        "annotation that is not supported.",
        Reason.NOT_FOUND: "The pipeline, version or runtime that the run names does not exist.",
        Reason.NOT_PINNED: "The runtime's image is not named by digest, so it isn't locked.",
        Reason.FORBIDDEN: "The pipeline belongs to another namespace and is private, or has "
        "secrets of that namespace.",
        Reason.DEPTH_EXCEEDED: "The run is nested more deeply than limits.depth allows.",
        Reason.PARENT_ENDED: "The run's parent is gone, or ended before it started.",
        Reason.NAME_CONFLICT: "An older Model in the namespace has the pipeline's name.",
        Reason.BUDGET_EXCEEDED: "A budget was spent before the run got a pod: the namespace's "
        "monthly budget, or that of a run above it.",
    },
    ConditionType.STARTED: {
        Reason.STARTED: "main() is running, or has run.",
        Reason.QUEUED: "The runtime's pods are all in use; the run waits in the queue.",
        Reason.CLAIM_LOST: "The claimed pod has another run, or ended before it had this one; the "
        "run gets another pod.",
        Reason.POD_PENDING: "The pod exists and is starting: scheduling, image pull, boot, import.",
        Reason.IMAGE_PULL: "The node can't pull the runtime's image.",
        Reason.POD_REFUSED: "The cluster refuses the run's pod, or the NetworkPolicy that it needs "
        "(quota, policy, admission); creating it is retried until spec.queueDeadline.",
        Reason.STORAGE_FULL: "The gateway's disk is full; the run continues once there is space.",
        Reason.START_DEADLINE_EXCEEDED: "spec.startDeadline has passed; the pod is being removed.",
        Reason.INTERNAL_ERROR: "Mayfly itself fails at the run, again and again; the message has "
        "the error and says whose log to read. If that lasts, the run ends.",
        Reason.NOT_STARTED: "The run ended before main() was called; nothing is billed.",
    },
    ConditionType.CANCEL_ACCEPTED: {
        Reason.CLAIMS_STOPPED: "No further child of the run gets a pod.",
        Reason.CANCEL_ACCEPTED: "Nothing below the run that has not started will start.",
    },
    ConditionType.FINISHED: {
        Reason.FINISHED: "The run is over.",
    },
    ConditionType.SUCCEEDED: {
        Reason.RUNNING: "The run has not ended.",
        Reason.SUCCEEDED: "main() returned and its output is stored.",
        Reason.REFUSED: "The run was not accepted; the condition Accepted says why.",
        Reason.USER_ERROR: "main() raised an exception.",
        Reason.IMPORT_ERROR: "Importing the source raised an exception, exited, or took longer "
        "than 10 s.",
        Reason.INVALID_INPUT: "The input was invalid when the pod checked it again.",
        Reason.INVALID_SOURCE: "The source could not be loaded in the pod.",
        Reason.TIMED_OUT: "main() ran longer than spec.timeout.",
        Reason.OUT_OF_MEMORY: "The run used more memory than its limit.",
        Reason.EXITED: "The process ended by itself: sys.exit, os._exit or a signal.",
        Reason.EVICTED: "The pod was evicted: it wrote more than its disk limit, or its node was "
        "drained or short of memory or disk; the message says which.",
        Reason.LOST: "The pod disappeared without a result. For a Model's prediction: it was sent, "
        "and its outcome is unknown.",
        Reason.CANCELED: "Someone cancelled the run.",
        Reason.QUEUE_DEADLINE_EXCEEDED: "The run waited longer than spec.queueDeadline.",
        Reason.CAPACITY_EXHAUSTED: "Every pod was held by a run that waited for a child, and this "
        "run was the deepest one waiting; or its own ancestors hold every pod.",
        Reason.START_DEADLINE_EXCEEDED: "main() was not called within spec.startDeadline.",
        Reason.OUTPUT_TOO_LARGE: "The output is larger than the limit.",
        Reason.OUTPUT_NOT_JSON: "The output contains a value that JSON can't represent.",
        Reason.SECRET_UNAVAILABLE: "A Secret that the run needs does not exist, or the gateway may "
        "not read it; the message contains the command that fixes it.",
        Reason.INPUT_FETCH_FAILED: "A file named in the input could not be fetched.",
        Reason.OUTPUT_UPLOAD_FAILED: "A file of the output could not be stored.",
        Reason.INTERNAL_ERROR: "Mayfly itself failed at the run, again and again; the message has "
        "the error and says whose log to read. Unknown: it still tries.",
        Reason.BUDGET_EXCEEDED: "A budget was spent before the run, or the Model's prediction, "
        "started.",
        Reason.UNREACHABLE: "The Model's server could not be used; nothing was sent to it.",
        Reason.NOT_FOUND: "The Model was deleted before the prediction was sent.",
    },
    ConditionType.READY: {
        Reason.READY: "The object can be used.",
        Reason.NO_SOURCE: "The pipeline has no source yet, and so no version.",
        Reason.INVALID_SOURCE: "The source can't be run; the message says where.",
        Reason.NOT_FOUND: "The runtime that the object names does not exist.",
        Reason.NOT_PINNED: "The image is not named by digest, so it isn't locked.",
        Reason.NAME_CONFLICT: "An older Pipeline or Model of this namespace has the name, or an "
        "older Model the alias.",
        Reason.UNREACHABLE: "The model's server does not answer, or its answer does not "
        "describe a model.",
        Reason.INTERNAL_ERROR: "Mayfly itself fails at the object, again and again; the message "
        "has the error and says whose log to read.",
        Reason.SECRET_UNAVAILABLE: "The Secret that holds the model's token does not exist, or the "
        "gateway may not read it.",
    },
    ConditionType.DEGRADED: {
        Reason.AS_EXPECTED: "As many pods wait as should, or the missing ones are starting.",
        Reason.PODS_FAIL: "Waiting pods end, or don't become Ready in time, several in a row; "
        "Mayfly makes new ones less and less often. The message has the last one's words.",
        Reason.IMAGE_PULL: "A node can't pull the runtime's image.",
        Reason.UNSCHEDULABLE: "No node has room for another waiting pod.",
        Reason.QUOTA_EXCEEDED: "A namespace's ResourceQuota has no room for another waiting pod.",
        Reason.POD_REFUSED: "The cluster refuses waiting pods, or the NetworkPolicy that they need "
        "(policy, admission); creating them is retried.",
        Reason.NOT_PINNED: "The image is not named by digest, so no pods are made to wait.",
        Reason.INTERNAL_ERROR: "Mayfly itself fails at the pool, again and again; the message has "
        "the error and says whose log to read.",
    },
}


class Condition(Part):
    """One condition, in the format of Kubernetes' own."""

    type: str = Field(max_length=64, description="The condition's type.")
    status: Truth = Field(description="True, False or Unknown.")
    reason: str = Field(max_length=64, description="Why, as a word from a closed list.")
    message: str = Field(default="", max_length=8192, description="Why, in a sentence.")
    last_transition_time: str = Field(
        json_schema_extra={"format": "date-time"}, description="When `status` last changed."
    )
    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation of the spec that the condition is about."
    )


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=8,
        description="The conditions, by type.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]

ObservedGeneration = Annotated[
    int | None, Field(description="The generation of the spec that this status is about.")
]

READY_COLUMNS = tuple(
    column(name, f'.status.conditions[?(@.type=="Ready")].{field}')
    for name, field in (("Ready", "status"), ("Reason", "reason"))
)
MESSAGE_COLUMN = column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True)


def find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """The condition of a type, or None."""
    return next((each for each in conditions if each.type == kind), None)


def is_true(conditions: Sequence[Condition], kind: ConditionType) -> bool:
    """Whether the condition exists and is True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"


def with_condition(
    conditions: Sequence[Condition],
    kind: ConditionType,
    status: Truth,
    reason: Reason,
    message: str,
    *,
    now: str,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """The conditions with one set; its transition time changes only if its status changes.

    Args:
        conditions: the current ones.
        kind: the type to set.
        status: the new truth.
        reason: one of `REASONS` of the type.
        message: a sentence for people.
        now: RFC 3339, seconds.
        generation: `metadata.generation` that this was decided on.

    Raises:
        ValueError: the reason is not in the closed list for this type.
    """
    if reason not in REASONS[kind]:
        raise ValueError(f"{reason} is not a reason of {kind}")
    old = find(conditions, kind)
    since = old.last_transition_time if old is not None and old.status == status else now
    new = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:8192],
        last_transition_time=since,
        observed_generation=generation,
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if each.type == kind else each for each in conditions)
