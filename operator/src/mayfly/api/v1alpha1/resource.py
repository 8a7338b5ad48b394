"""What every kind has in common: the group, the camel-case JSON, the metadata that we read."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "mayfly.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def column(name: str, path: str, *, kind: str = "string", wide: bool = False) -> dict[str, Any]:
    """A column of `kubectl get`; a wide one only with `-o wide`."""
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


AGE_COLUMN = column("Age", ".metadata.creationTimestamp", kind="date")


class Part(BaseModel):
    """A piece of a kind: camel case in JSON, immutable in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
    )

    rules: ClassVar[tuple[tuple[str, str], ...]] = ()
    """CEL validations of this object: (rule, message)."""

    def body(self) -> dict[str, Any]:
        """The JSON object, without what is unset."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


class OwnerReference(Part):
    """One of an object's owners."""

    api_version: str = Field(alias="apiVersion")
    kind: str
    name: str
    uid: str
    controller: bool | None = None


class Metadata(Part):
    """The part of an object's metadata that Mayfly reads."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(Part):
    """A kind of `mayfly.dev`.

    The class variables are what the CRD needs beside the schema.
    """

    kind_name: ClassVar[str]
    plural: ClassVar[str]
    singular: ClassVar[str]
    short: ClassVar[str]
    namespaced: ClassVar[bool] = True
    columns: ClassVar[tuple[dict[str, Any], ...]] = ()
    selectable: ClassVar[tuple[str, ...]] = ()
    has_status: ClassVar[bool] = True

    metadata: Metadata = Field(default_factory=Metadata)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace ("" for cluster kinds) and name."""
        return (self.metadata.namespace or "", self.metadata.name)
