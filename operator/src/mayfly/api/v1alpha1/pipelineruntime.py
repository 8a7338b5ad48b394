"""The kind `PipelineRuntime`: the image, the size and the price of runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mayfly.api.v1alpha1.conditions import READY_COLUMNS, Conditions, ObservedGeneration
from mayfly.api.v1alpha1.resource import AGE_COLUMN, Part, Resource, column

Meter = Literal["predictSeconds", "prediction", "outputItems", "inputTokens", "outputTokens"]

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[str, Field(pattern=QUANTITY, max_length=32, examples=["500m", "2Gi"])]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]

LABEL = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
"""A label's value."""

Package = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*$", max_length=128),
]
"""A line of a requirements.txt: a name and its exact version."""
Packages = Annotated[tuple[Package, ...], Field(max_length=512)]


_KEYS = "podLabels and podAnnotations"


def _pod_metadata(value: str) -> dict[str, Any]:
    """JSON schema of labels or annotations of pods, whose values match a pattern (CEL)."""
    key = "([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    rules = (
        (
            "self.all(key, !key.startsWith('mayfly.dev/'))",
            f"keys of {_KEYS} don't start with mayfly.dev/: those are Mayfly's own",
        ),
        (
            f"self.all(key, key.matches('^{key}$')"
            f" && size(key) <= 253 && self[key].matches('{value}'))",
            f"keys and values of {_KEYS} are as Kubernetes takes them: team, example.com/team",
        ),
    )
    validations = [{"rule": rule, "message": message} for rule, message in rules]
    return {"x-kubernetes-validations": validations}


class Price(Part):
    """What one unit of a meter costs, in the installation's currency."""

    meter: Meter = Field(description="What is counted.")
    unit_price: str = Field(
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,18})?$",
        max_length=32,
        examples=["0.000025"],
        description="The price of one unit: a decimal number as text.",
    )


class ImagePullSecret(Part):
    """A Secret, in the run's namespace, that holds registry credentials."""

    name: str = Field(min_length=1, max_length=253, description="The Secret's name.")


class Toleration(Part):
    """A toleration, as in a pod."""

    key: str | None = Field(default=None, max_length=317, description="The taint's key.")
    operator: Literal["Equal", "Exists"] | None = Field(
        default=None, description="How key and value are compared; Equal by default."
    )
    value: str | None = Field(default=None, max_length=63, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; every effect by default."
    )
    toleration_seconds: int | None = Field(
        default=None, description="How long a NoExecute taint is tolerated; for ever by default."
    )


class Resources(Part):
    """Requests and limits of a run's pod."""

    requests: Quantities = Field(
        default={"cpu": "1", "memory": "2Gi", "ephemeral-storage": "5Gi"},
        description="What the scheduler reserves; on small clusters, lower than the limits.",
    )
    limits: Quantities = Field(
        default={"cpu": "1", "memory": "2Gi", "ephemeral-storage": "5Gi"},
        description="What a run may use: 1 CPU and 2Gi unless the installation sets other values.",
    )


class Warm(Part):
    """How many pods wait for runs, in each namespace with a pool."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!has(self.max) || self.min <= self.max",
            "warm.min is at most warm.max; without warm.max, exactly warm.min pods wait",
        ),
    )

    min: int = Field(
        default=0,
        ge=0,
        le=1000,
        examples=[2],
        description="How many pods wait at least, also while no runs come.",
    )
    max: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        examples=[10],
        description="How many pods wait at most: above min, as many as the runs of the last "
        "minutes suggest. The same as min if left out.",
    )

    @property
    def most(self) -> int:
        """How many pods wait at most: `max`, or `min` without it."""
        return self.min if self.max is None else self.max


class PipelineRuntimeSpec(Part):
    """What a runtime is."""

    image: str = Field(
        min_length=1,
        max_length=512,
        description="The image of run pods, by digest: name@sha256:…",
    )
    packages: Packages = Field(
        default=(),
        description="The Python packages in the image, each name==version, as its builder tells "
        "them: nothing is installed by them. Published as requirements.txt.",
    )
    image_pull_secrets: Annotated[tuple[ImagePullSecret, ...], Field(max_length=8)] = Field(
        default=(), description="Secrets with registry credentials, in the run's namespace."
    )
    resources: Resources = Field(default=Resources(), description="The size of a run's pod.")
    max_pods: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="The maximum number of run pods at a time, in all namespaces. Pods that wait "
        "for runs (spec.warm) take only places that no run needs.",
    )
    price: Annotated[tuple[Price, ...], Field(max_length=8)] = Field(
        default=(), description="What runs cost; pinned on a run when its work is sent."
    )
    warm: Warm | None = Field(
        default=None,
        description="Pods that wait for runs, booted and with their packages imported, in each "
        "namespace labelled mayfly.dev/warm=<this runtime's name>. Each holds its requests while "
        "it waits. None wait if left out.",
    )
    node_selector: Annotated[dict[str, str], Field(max_length=32)] = Field(
        default_factory=dict, description="Nodes that run pods may use."
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that run pods tolerate."
    )
    runtime_class_name: str | None = Field(
        default=None, max_length=253, description="A RuntimeClass, such as gVisor's."
    )

    pod_labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=32, json_schema_extra=_pod_metadata(LABEL)),
    ] = Field(
        default_factory=dict,
        description="Labels of run pods, besides Mayfly's own (mayfly.dev/).",
    )
    pod_annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=2048)]],
        Field(max_length=32, json_schema_extra=_pod_metadata("")),
    ] = Field(
        default_factory=dict,
        description="Annotations of run pods, besides Mayfly's own (mayfly.dev/).",
    )


class WarmStatus(Part):
    """The pods of a runtime's pools, in all namespaces together."""

    waiting: int = Field(default=0, ge=0, description="Pods that wait and are Ready.")
    booting: int = Field(default=0, ge=0, description="Waiting pods that are not Ready yet.")
    claimed: int = Field(
        default=0, ge=0, description="Pods that waited once and that runs have now."
    )
    namespaces: int = Field(
        default=0, ge=0, description="Namespaces in which pods of the runtime are to wait."
    )


class PipelineRuntimeStatus(Part):
    """What the controller knows about a runtime."""

    observed_generation: ObservedGeneration = None
    packages: Packages = Field(
        default=(), description="The Python packages available to runs, each name==version."
    )
    warm: WarmStatus | None = Field(
        default=None, description="The runtime's waiting pods; absent if none are to wait."
    )
    conditions: Conditions = ()


class PipelineRuntime(Resource):
    """The locked image, the size and the price of runs. The one named `default` is the default."""

    kind_name: ClassVar[str] = "PipelineRuntime"
    plural: ClassVar[str] = "pipelineruntimes"
    singular: ClassVar[str] = "pipelineruntime"
    short: ClassVar[str] = "mprt"
    namespaced: ClassVar[bool] = False
    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!has(self.spec.warm) || size(self.metadata.name) <= 63",
            "a PipelineRuntime with spec.warm has a name of at most 63 characters: namespaces are "
            "labelled with it",
        ),
    )
    columns: ClassVar[tuple[dict[str, Any], ...]] = (
        *READY_COLUMNS,
        column("CPU", ".spec.resources.limits.cpu"),
        column("Memory", ".spec.resources.limits.memory"),
        column("Max-Pods", ".spec.maxPods", kind="integer"),
        column("Waiting", ".status.warm.waiting", kind="integer", wide=True),
        column("Booting", ".status.warm.booting", kind="integer", wide=True),
        column("Claimed", ".status.warm.claimed", kind="integer", wide=True),
        column("Degraded", '.status.conditions[?(@.type=="Degraded")].status', wide=True),
        column("Image", ".spec.image", wide=True),
        AGE_COLUMN,
    )

    spec: PipelineRuntimeSpec = Field(description="The image, the size and the price.")
    status: PipelineRuntimeStatus = Field(
        default=PipelineRuntimeStatus(), description="Written by Mayfly."
    )
