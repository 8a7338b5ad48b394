"""Plans the next step of a Pipeline: pins each state of its source as a PipelineVersion."""

from __future__ import annotations

from mayfly.api.v1alpha1 import Model, Pipeline, PipelineStatus, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, Truth, with_condition
from mayfly.api.v1alpha1.identity import seniority, version_id, version_name
from mayfly.api.v1alpha1.names import PIPELINE_LABEL
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.clock import parse_rfc3339, rfc3339_seconds
from mayfly.reconcile.actions import (
    NOTHING,
    Action,
    CreateVersion,
    DeleteVersion,
    Plan,
    WriteStatus,
)
from mayfly.reconcile.events import not_ready
from mayfly.reconcile.observed import ObservedPipeline, SourceProblem

REVISION_HISTORY = 10
"""Number of versions that are kept besides those of unfinished runs."""


NO_SOURCE = (
    "The pipeline has no source yet: write spec.source, or push a version "
    "(POST /v1/models/{owner}/{name}/versions)."
)


def plan_pipeline(seen: ObservedPipeline) -> Plan:
    """The next step of a pipeline."""
    if seen.pipeline.metadata.deletion_timestamp:
        return NOTHING
    if seen.model is not None and _age(seen.model) < _age(seen.pipeline):
        return _status(seen, "False", Reason.NAME_CONFLICT, _name_taken(seen.model), None)
    if seen.runtime is None:
        name = seen.pipeline.spec.runtime
        return _status(seen, "False", Reason.NOT_FOUND, _no_runtime(name), None)
    if seen.pipeline.spec.source.empty:
        return _status(seen, "False", Reason.NO_SOURCE, NO_SOURCE, None)
    if isinstance(seen.schema, SourceProblem):
        return _status(seen, "False", Reason.INVALID_SOURCE, seen.schema.message, None)
    if seen.schema is None:
        return NOTHING
    version = wanted_version(seen)
    actions: list[Action] = []
    if all(each.spec.id != version for each in seen.versions):
        actions.append(CreateVersion(_version_body(seen, version)))
    actions.extend(_old_versions(seen, version))
    status = _status(seen, "True", Reason.READY, "The pipeline can be run.", version)
    return Plan((*actions, *status.actions))


def wanted_version(seen: ObservedPipeline) -> str:
    """The id of the version of the current spec."""
    spec = seen.pipeline.spec
    digest = seen.runtime.spec.image if seen.runtime else ""
    return version_id(seen.pipeline.metadata.uid, spec.source, spec.entrypoint, digest)


def _age(resource: Model | Pipeline) -> tuple[str, str]:
    return seniority(resource.metadata.creation_timestamp, resource.metadata.uid)


def _name_taken(model: Model) -> str:
    return (
        f'The older Model "{model.metadata.name}" of this namespace has the name: give the '
        f"Pipeline another one, or delete the Model."
    )


def _no_runtime(name: str) -> str:
    return f'There is no PipelineRuntime "{name}" (spec.runtime); `kubectl get mprt` lists them.'


def _version_body(seen: ObservedPipeline, version: str) -> dict[str, object]:
    metadata, spec = seen.pipeline.metadata, seen.pipeline.spec
    return {
        "apiVersion": API_VERSION,
        "kind": "PipelineVersion",
        "metadata": {
            "name": version_name(metadata.name, version),
            "namespace": metadata.namespace,
            "labels": {PIPELINE_LABEL: metadata.name},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Pipeline",
                    "name": metadata.name,
                    "uid": metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "id": version,
            "source": spec.source.body(),
            "entrypoint": spec.entrypoint,
            "runtime": spec.runtime,
            "runtimeDigest": seen.runtime.spec.image if seen.runtime else "",
            "openapiSchema": seen.schema,
        },
    }


def _old_versions(seen: ObservedPipeline, version: str) -> list[DeleteVersion]:
    rest = [each for each in seen.versions if each.spec.id != version]
    rest.sort(key=lambda each: parse_rfc3339(each.metadata.creation_timestamp or ""), reverse=True)
    return [
        DeleteVersion(each.metadata.namespace or "", each.metadata.name, each.metadata.uid)
        for each in rest[REVISION_HISTORY - 1 :]
        if each.spec.id not in seen.used
    ]


def _status(
    seen: ObservedPipeline, truth: Truth, reason: Reason, message: str, version: str | None
) -> Plan:
    metadata, old = seen.pipeline.metadata, seen.pipeline.status
    new = PipelineStatus(
        observed_generation=metadata.generation,
        latest_version=version or old.latest_version,
        conditions=with_condition(
            old.conditions,
            ConditionType.READY,
            truth,
            reason,
            message,
            now=rfc3339_seconds(seen.now),
            generation=metadata.generation,
        ),
    )
    if new == old:
        return NOTHING
    write = WriteStatus(
        "pipelines", metadata.namespace or "", metadata.name, metadata.resource_version, new.body()
    )
    return Plan((write,), events=not_ready(seen.pipeline, new.conditions))
