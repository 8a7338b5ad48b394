"""The kind `PipelineRun`: one call of one pipeline, in one pod, once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.config import JsonDict

from mayfly.api.v1alpha1.conditions import Conditions, ConditionType, find, is_true
from mayfly.api.v1alpha1.duration import Duration
from mayfly.api.v1alpha1.pipelineversion import OPEN_OBJECT
from mayfly.api.v1alpha1.resource import AGE_COLUMN, Part, Resource, column
from mayfly.api.v1alpha1.source import MAX_BYTES, TOTAL, Entrypoint, RuntimeName, Source
from mayfly.api.v1alpha1.url import url_rule

ANY_JSON: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}

Phase = Literal["Queued", "Starting", "Processing", "Succeeded", "Failed", "Canceled"]
WebhookEvent = Literal["start", "output", "logs", "completed"]

DEFAULT_TIMEOUT = "30m"
"""The active time of a run where neither it nor its Pipeline says one."""


class PipelineRef(Part):
    """A Pipeline to run."""

    namespace: str | None = Field(
        default=None, max_length=63, description="The Pipeline's namespace; the run's by default."
    )
    name: str = Field(min_length=1, max_length=52, description="The Pipeline's name.")
    version: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="A PipelineVersion's id, 64 hex digits (its spec.id); the latest by default.",
    )


class PipelineRunTemplate(Part):
    """A pipeline that lives on the run alone."""

    source: Source = Field(description="The Python source: one file inline, or several files.")
    entrypoint: Entrypoint = "main.py:main"
    runtime: RuntimeName = "default"


class InputFrom(Part):
    """Input that is kept as a file in the gateway's store."""

    file: str = Field(
        pattern=r"^mayfly-file:[0-9a-hjkmnp-tv-z]{26}$", max_length=64, description="The file."
    )
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", max_length=64, description="The sha256 of its bytes, in hex."
    )


class ParentRef(Part):
    """The run whose code made this one."""

    name: str = Field(min_length=1, max_length=253, description="The parent run's name.")
    uid: str = Field(min_length=1, max_length=64, description="The parent run's UID.")


class Webhook(Part):
    """Where to send the run's events."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (url_rule("url"),)

    url: str = Field(
        pattern=r"^https?://",
        max_length=2048,
        examples=["https://example.com/hook"],
        description="The receiver.",
    )
    events: Annotated[tuple[WebhookEvent, ...], Field(max_length=4)] = Field(
        default=(), description="Which events; all of them by default."
    )


FROZEN = (
    "pipelineRef",
    "pipelineSpec",
    "inputJSON",
    "inputFrom",
    "timeout",
    "startDeadline",
    "queueDeadline",
    "parentRef",
    "webhook",
    "budget",
)
"""What CEL can hold still; `input` is opaque to it, so an admission policy guards that one."""


def _frozen(name: str) -> tuple[str, str]:
    return (
        f"has(self.{name}) == has(oldSelf.{name}) && "
        f"(!has(self.{name}) || self.{name} == oldSelf.{name})",
        f"spec.{name} can't change after creation; create another PipelineRun",
    )


class PipelineRunSpec(Part):
    """What to run, on which input, for how long. Only `cancel` and the TTL may change later."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "has(self.pipelineRef) != has(self.pipelineSpec)",
            "set exactly one of pipelineRef (a Pipeline by name) and pipelineSpec (its source)",
        ),
        (
            "(has(self.input) ? 1 : 0) + (has(self.inputJSON) ? 1 : 0) + "
            "(has(self.inputFrom) ? 1 : 0) <= 1",
            "set at most one of input, inputJSON and inputFrom",
        ),
        (
            "(has(self.inputJSON) ? size(self.inputJSON) : 0) + (has(self.pipelineSpec) ? "
            f"{TOTAL.format('self.pipelineSpec.source')} : 0) <= {MAX_BYTES}",
            "source and input together are larger than 128 KiB; send larger input through the "
            "HTTP API",
        ),
        (
            "!has(self.budget) || self.budget.matches('[1-9]')",
            "spec.budget is above 0; leave it out for a run without a budget",
        ),
        *(_frozen(name) for name in FROZEN),
        (
            "!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",
            "a cancel can't be taken back",
        ),
    )

    pipeline_ref: PipelineRef | None = Field(default=None, description="A Pipeline, by name.")
    pipeline_spec: PipelineRunTemplate | None = Field(
        default=None, description="The pipeline's source, for a run without a Pipeline."
    )
    input: dict[str, Any] | None = Field(
        default=None,
        json_schema_extra=OPEN_OBJECT,
        description="The arguments of main(), by name. Numbers pass through Kubernetes, which "
        "makes 1.0 a 1 and rounds long integers: inputJSON keeps them.",
    )
    input_json: str | None = Field(
        default=None,
        alias="inputJSON",
        max_length=MAX_BYTES,
        description="The arguments of main() as the text of a JSON object, kept verbatim.",
    )
    input_from: InputFrom | None = Field(
        default=None, description="The arguments as a stored file; the HTTP API writes this."
    )
    timeout: Duration | None = Field(
        default=None,
        description="The active time after which main() is stopped: the Pipeline's by default, "
        "or 30m if that sets none.",
    )
    start_deadline: Duration = Field(
        default="5m", description="Maximum time from the claim of a pod to the call of main()."
    )
    queue_deadline: Duration = Field(
        default="1h", description="Maximum time from creation to the claim of a pod."
    )
    ttl_seconds_after_finished: int = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="Seconds after its end until the run is deleted.",
    )
    cancel: bool = Field(
        default=False, description="Set to true, once, to cancel the run. It can't be taken back."
    )
    parent_ref: ParentRef | None = Field(
        default=None, description="The run whose code created this one. Only the gateway sets it."
    )
    webhook: Webhook | None = Field(
        default=None, description="The webhook for the run's events; see docs/authors.md."
    )
    budget: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,18})?$",
        max_length=32,
        examples=["0.50"],
        description="What the run and everything below it may cost: a decimal number above 0, as "
        "text. Once it is spent, nothing more starts; running work continues to its end.",
    )


class RootRef(Part):
    """The run at the top of the tree."""

    name: str = Field(max_length=253, description="Its name.")
    uid: str = Field(max_length=64, description="Its UID.")


class Usage(Part):
    """What the run used, and what it costs."""

    active_milliseconds: int = Field(default=0, ge=0, description="Active time, rounded up.")
    cost: str = Field(default="0", max_length=64, description="The run's own cost, a decimal.")
    downstream_cost: str = Field(
        default="0", max_length=64, description="The cost of everything it called."
    )
    total_cost: str = Field(default="0", max_length=64, description="Both together.")
    currency: str = Field(default="", max_length=8, description="The installation's currency.")
    final: bool = Field(default=False, description="True once nothing below can add to it.")


class Children(Part):
    """How the predictions that this run made have ended: runs, and calls of Models."""

    total: int = Field(default=0, ge=0, description="All of them, including those still running.")
    succeeded: int = Field(default=0, ge=0, description="Those that succeeded.")
    failed: int = Field(default=0, ge=0, description="Those that failed.")
    canceled: int = Field(default=0, ge=0, description="Those that were cancelled.")


_ENDED = "oldSelf.conditions.exists(c, c.type == 'Finished' && c.status == 'True')"


class PipelineRunStatus(Part):
    """What happened to the run. `conditions` is the truth; `phase` is for people."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!has(oldSelf.podUID) || (has(self.podUID) && self.podUID == oldSelf.podUID) || "
            "(has(self.attempt) && has(oldSelf.attempt) && self.attempt > oldSelf.attempt)",
            "podUID is written once an attempt",
        ),
        (
            f"!has(oldSelf.conditions) || !{_ENDED} || (has(self.conditions) && "
            "self.conditions.exists(c, c.type == 'Finished' && c.status == 'True'))",
            "an end is written once: Finished stays True",
        ),
        (
            f"!has(oldSelf.conditions) || !{_ENDED} || (has(self.conditions) && "
            "oldSelf.conditions.filter(c, c.type == 'Succeeded').all(o, "
            "self.conditions.exists(c, c.type == 'Succeeded' && c.status == o.status && "
            "c.reason == o.reason)))",
            "an end is written once: Succeeded keeps its status and reason",
        ),
        (
            "!has(self.finished) || !self.finished || (has(self.recorded) && self.recorded)",
            "finished comes with recorded or later",
        ),
        (
            "!has(oldSelf.finished) || !oldSelf.finished || (has(self.finished) && self.finished)",
            "finished stays true",
        ),
    )

    id: str | None = Field(
        default=None, max_length=26, description="The prediction id of the HTTP API."
    )
    phase: Phase | None = Field(default=None, description="The conditions in a word, for people.")
    reason: str | None = Field(
        default=None,
        max_length=64,
        description="Why the phase is what it is: the reason of the condition that decides it.",
    )
    pipeline: str | None = Field(
        default=None, max_length=63, description="The Pipeline's name; (inline) for pipelineSpec."
    )
    recorded: bool | None = Field(default=None, description="The run's end is in the ledger.")
    finished: bool | None = Field(
        default=None,
        description="The run has ended and is recorded: output, error, usage and cost are there. "
        "Scripts wait for this; what still runs below it adds to totalCost until usage.final.",
    )
    budget_checked: bool | None = Field(
        default=None,
        description="The gateway has checked that the namespace's monthly budget is not spent. If "
        "there is such a budget, a root run waits for this.",
    )
    version: str | None = Field(
        default=None, max_length=64, description="The version that runs: a sha256 in hex."
    )
    depth: int | None = Field(
        default=None, ge=1, description="The level in the tree; 1 for a root."
    )
    root_ref: RootRef | None = Field(default=None, description="The root of the tree.")
    attempt: int | None = Field(default=None, ge=1, description="How many pods were claimed.")
    timeout: str | None = Field(
        default=None, max_length=32, description="The run's timeout, in active time."
    )
    pod_name: str | None = Field(default=None, max_length=253, description="The claimed pod.")
    pod_uid: str | None = Field(
        default=None, alias="podUID", max_length=64, description="The claimed pod's UID."
    )
    started_at: str | None = Field(
        default=None, max_length=32, description="When main() was called (microseconds)."
    )
    completed_at: str | None = Field(
        default=None, max_length=32, description="When the run ended (microseconds)."
    )
    output: Any = Field(
        default=None,
        json_schema_extra=ANY_JSON,
        description="A copy of the output up to 16 KiB; outputURL has the exact bytes.",
    )
    output_url: str | None = Field(
        default=None,
        alias="outputURL",
        max_length=2048,
        description="The URL of the exact bytes of the output, for a reader with a token: at "
        "the chart's gateway.externalURL, or else at the gateway's Service.",
    )
    output_truncated: bool | None = Field(
        default=None,
        description="True if the output is not copied to `output`: it is too large, or nothing "
        "that Kubernetes can store. outputURL has it.",
    )
    error: str | None = Field(
        default=None,
        max_length=4096,
        description="The last line of the exception; of a ReplicateError its detail.",
    )
    logs_tail: str | None = Field(
        default=None,
        max_length=4096,
        description="The log, or its last 4 KiB under a line that says where all of it is.",
    )
    usage: Usage | None = Field(default=None, description="Time and cost.")
    children: Children | None = Field(
        default=None,
        description="The runs and calls it made. Written at its end, and again when all of them "
        "have ended.",
    )
    conditions: Conditions = ()

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return is_true(self.conditions, ConditionType.FINISHED)

    @property
    def started(self) -> bool:
        """Whether the status knows that main() was called."""
        return is_true(self.conditions, ConditionType.STARTED)

    @property
    def cancelling(self) -> bool:
        """Whether a cancel has begun: from then on nothing below the run is claimed any more."""
        return find(self.conditions, ConditionType.CANCEL_ACCEPTED) is not None

    @property
    def cancel_accepted(self) -> bool:
        """Whether a cancel is complete: nothing below the run can start any more."""
        return is_true(self.conditions, ConditionType.CANCEL_ACCEPTED)


class PipelineRun(Resource):
    """One call of one pipeline: a fresh pod, main() once, then it is thrown away."""

    kind_name: ClassVar[str] = "PipelineRun"
    plural: ClassVar[str] = "pipelineruns"
    singular: ClassVar[str] = "pipelinerun"
    short: ClassVar[str] = "prun"
    selectable: ClassVar[tuple[str, ...]] = (
        ".status.id",
        ".status.finished",
        ".status.depth",
        ".status.rootRef.uid",
        ".status.phase",
        ".spec.pipelineRef.name",
    )
    columns: ClassVar[tuple[dict[str, Any], ...]] = (
        column("Pipeline", ".status.pipeline"),
        column("Phase", ".status.phase"),
        column("Reason", ".status.reason"),
        column("Active-ms", ".status.usage.activeMilliseconds", kind="integer"),
        column("Cost", ".status.usage.totalCost", wide=True),
        column("Id", ".status.id", wide=True),
        column("Error", ".status.error", wide=True),
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        ("self.metadata.name.size() <= 63", "a PipelineRun's name is at most 63 characters"),
    )

    spec: PipelineRunSpec = Field(description="What to run, on which input, for how long.")
    status: PipelineRunStatus = Field(
        default=PipelineRunStatus(), description="What happened. Written by Mayfly."
    )
