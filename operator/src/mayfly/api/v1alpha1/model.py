"""The kind `Model`: somebody else's code that pipelines call, behind a name of ours."""

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
from mayfly.api.v1alpha1.pipeline import SecretKeyRef
from mayfly.api.v1alpha1.pipelineruntime import Price
from mayfly.api.v1alpha1.resource import AGE_COLUMN, Part, Resource, column
from mayfly.api.v1alpha1.url import url_rule

OWNER_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""How Replicate names models."""


class ServiceEndpoint(Part):
    """A Service in the Model's own namespace."""

    name: str = Field(
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        examples=["whisper"],
        description="The Service's name.",
    )
    port: int = Field(default=5000, ge=1, le=65535, description="The Service's port.")


class Endpoint(Part):
    """Where a Cog HTTP server answers."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        ("has(self.service) != has(self.url)", "set exactly one of service and url"),
        url_rule("url"),
    )

    service: ServiceEndpoint | None = Field(
        default=None, description="A Service in the Model's own namespace."
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        max_length=2048,
        examples=["https://models.example.com"],
        description="A server elsewhere; the installation must let the gateway reach it.",
    )


class ReplicateUpstream(Part):
    """A model of Replicate, or of anything that speaks its API."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (url_rule("baseURL"),)

    model: str = Field(
        pattern=OWNER_NAME,
        max_length=253,
        examples=["openai/whisper"],
        description="owner/name there.",
    )
    base_url: str = Field(
        default="https://api.replicate.com/v1",
        alias="baseURL",
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        max_length=2048,
        description="The API's base URL, including /v1.",
    )
    token_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="The API token, in a Secret of this namespace that a Role lets the gateway "
        "read.",
    )


class ModelSpec(Part):
    """What a model is."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "has(self.endpoint) != has(self.replicate)",
            "set exactly one of endpoint (a Cog server) and replicate (a model of its API)",
        ),
    )

    description: str = Field(default="", max_length=4096, description="A description for people.")
    endpoint: Endpoint | None = Field(default=None, description="A Cog HTTP server.")
    replicate: ReplicateUpstream | None = Field(
        default=None, description="A model of Replicate, or of another installation of Mayfly."
    )
    alias: str | None = Field(
        default=None,
        pattern=OWNER_NAME,
        max_length=253,
        examples=["openai/whisper"],
        description='The name that use("owner/name") finds it by: in this namespace, and '
        "everywhere if this is one of the administrator's shared namespaces.",
    )
    visibility: Literal["private", "public"] = Field(
        default="private", description="public: other namespaces may call it."
    )
    hardware: str = Field(
        default="", max_length=128, description="The hardware's name, for people."
    )
    concurrency: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="The maximum number of predictions sent to it at a time.",
    )
    timeout: Duration = Field(
        default="30m", description="How long one prediction may take, from its dispatch."
    )
    price: Annotated[tuple[Price, ...], Field(max_length=8)] = Field(
        default=(), description="What predictions cost; pinned when one is dispatched."
    )


class ModelStatus(Part):
    """What the gateway knows about a model."""

    observed_generation: ObservedGeneration = None
    latest_version: str | None = Field(
        default=None, max_length=64, description="The id of the version that is called."
    )
    conditions: Conditions = ()


class Model(Resource):
    """A model that pipelines call by name: a Cog server, or one behind Replicate's API."""

    kind_name: ClassVar[str] = "Model"
    plural: ClassVar[str] = "models"
    singular: ClassVar[str] = "model"
    short: ClassVar[str] = "mmdl"
    columns: ClassVar[tuple[dict[str, Any], ...]] = (
        *READY_COLUMNS,
        column("Alias", ".spec.alias"),
        column("Concurrency", ".spec.concurrency", kind="integer"),
        column("Visibility", ".spec.visibility", wide=True),
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        ("self.metadata.name.size() <= 63", "a Model's name is at most 63 characters"),
    )

    spec: ModelSpec = Field(description="Where the model is and how it is called.")
    status: ModelStatus = Field(default=ModelStatus(), description="Written by Mayfly.")
