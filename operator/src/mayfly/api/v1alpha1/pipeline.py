"""The kind `Pipeline`: source that people call by name."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mayfly.api.v1alpha1.conditions import (
    MESSAGE_COLUMN,
    READY_COLUMNS,
    Conditions,
    ObservedGeneration,
)
from mayfly.api.v1alpha1.duration import Duration
from mayfly.api.v1alpha1.resource import AGE_COLUMN, Part, Resource, column
from mayfly.api.v1alpha1.source import MAX_BYTES, TOTAL, Entrypoint, RuntimeName, Source


class SecretKeyRef(Part):
    """A key of a Secret in the same namespace."""

    # Nothing else may get into the path of a request.
    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        examples=["openai"],
        description="The Secret's name.",
    )
    key: str = Field(
        pattern=r"^[-._a-zA-Z0-9]+$",
        max_length=253,
        examples=["token"],
        description="The key in the Secret.",
    )


class PipelineSecret(Part):
    """A secret that runs of the pipeline find in their environment."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "!self.env.startsWith('MAYFLY_') && "
            "!(self.env in ['REPLICATE_API_TOKEN', 'REPLICATE_BASE_URL'])",
            "Mayfly sets this variable itself",
        ),
    )

    env: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        max_length=128,
        examples=["OPENAI_API_KEY"],
        description="The environment variable's name.",
    )
    secret_key_ref: SecretKeyRef = Field(description="The Secret and key with its value.")


class PipelineSpec(Part):
    """What a pipeline is."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            f"{TOTAL.format('self.source')} <= {MAX_BYTES}",
            "the source is larger than 128 KiB; move data out of the source",
        ),
    )

    description: str = Field(default="", max_length=4096, description="A description for people.")
    visibility: Literal["private", "public"] = Field(
        default="private",
        description="public: other namespaces may call it, and callers may read its source.",
    )
    source: Source = Field(description="The Python source: one file inline, or several files.")
    entrypoint: Entrypoint = "main.py:main"
    runtime: RuntimeName = "default"
    timeout: Duration | None = Field(
        default=None,
        description="The timeout of runs that set none, in active time; 30m by default.",
    )
    secrets: Annotated[tuple[PipelineSecret, ...], Field(max_length=32)] = Field(
        default=(),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["env"]},
        description="Secrets of this namespace that runs find in their environment. Only runs in "
        "this namespace, and only Secrets that a Role lets the gateway read; see docs/authors.md.",
    )


class PipelineStatus(Part):
    """What the controller knows about a pipeline."""

    observed_generation: ObservedGeneration = None
    latest_version: str | None = Field(
        default=None, max_length=64, description="The id of the newest PipelineVersion."
    )
    conditions: Conditions = ()


class Pipeline(Resource):
    """Python source that is called by name; each change of it makes a PipelineVersion."""

    kind_name: ClassVar[str] = "Pipeline"
    plural: ClassVar[str] = "pipelines"
    singular: ClassVar[str] = "pipeline"
    short: ClassVar[str] = "mpl"
    columns: ClassVar[tuple[dict[str, Any], ...]] = (
        *READY_COLUMNS,
        column("Visibility", ".spec.visibility"),
        column("Runtime", ".spec.runtime"),
        {
            "name": "Latest",
            "type": "string",
            "jsonPath": ".status.latestVersion",
            "priority": 1,
        },
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.metadata.name.size() <= 52",
            "a Pipeline's name is at most 52 characters: its versions are named after it",
        ),
    )

    spec: PipelineSpec = Field(description="The source and how it runs.")
    status: PipelineStatus = Field(default=PipelineStatus(), description="Written by Mayfly.")
