"""The kind `PipelineVersion`: one state of a pipeline's source, for ever the same."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from pydantic.config import JsonDict

from mayfly.api.v1alpha1.resource import AGE_COLUMN, Part, Resource, column
from mayfly.api.v1alpha1.source import Entrypoint, Source

OPEN_OBJECT: JsonDict = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class PipelineVersionSpec(Part):
    """What a version pins."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.id == oldSelf.id && self.entrypoint == oldSelf.entrypoint && "
            "self.runtime == oldSelf.runtime && self.runtimeDigest == oldSelf.runtimeDigest && "
            "self.source == oldSelf.source",
            "a PipelineVersion never changes; change the Pipeline to create a new version",
        ),
    )

    id: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="sha256 over the Pipeline's UID, source, entrypoint and runtime digest.",
    )
    source: Source = Field(description="The source of this version.")
    entrypoint: Entrypoint
    runtime: str = Field(max_length=253, description="The PipelineRuntime's name.")
    runtime_digest: str = Field(max_length=512, description="The runtime's image, by digest.")
    openapi_schema: dict[str, Any] = Field(
        default_factory=dict,
        json_schema_extra=OPEN_OBJECT,
        description="The OpenAPI document of its input and output.",
    )


class PipelineVersion(Resource):
    """One state of a Pipeline's source: immutable, made by the controller."""

    kind_name: ClassVar[str] = "PipelineVersion"
    plural: ClassVar[str] = "pipelineversions"
    singular: ClassVar[str] = "pipelineversion"
    short: ClassVar[str] = "mplv"
    has_status: ClassVar[bool] = False
    columns: ClassVar[tuple[dict[str, Any], ...]] = (
        column("Id", ".spec.id"),
        column("Runtime", ".spec.runtime"),
        AGE_COLUMN,
    )

    spec: PipelineVersionSpec = Field(description="What the version pins.")
