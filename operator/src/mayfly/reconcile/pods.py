"""The pod of a run, as a pure function.

It passes Pod Security `restricted`, and has no credential that the API server accepts: its only
token is for the gateway's audience, and the ServiceAccount's own token is not mounted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.duration import seconds
from mayfly.api.v1alpha1.identity import pod_name, run_id
from mayfly.api.v1alpha1.names import (
    DEPTH_LABEL,
    PARENT_LABEL,
    PIPELINE_LABEL,
    ROOT_LABEL,
    RUN_ID_LABEL,
    RUNTIME_ANNOTATION,
    VERSION_LABEL,
)
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.clock import parse_rfc3339
from mayfly.reconcile.observed import ObservedPod, PodSettings, Target, Terminated

Json = dict[str, Any]

UID = 65532

IMPORT_SECONDS = 10
TRANSFER_SECONDS = 300
"""Maximum time for fetching inputs, and again for uploading outputs."""

RESULT_SECONDS = 900
"""How long an agent keeps its result while the gateway is unavailable."""

TOKEN_FOLDER = "/etc/mayfly"  # noqa: S105 - a path
"""Outside of WRITABLE, so that the author's code can't put other files in the token's place."""

SCRATCH = "/scratch"
WRITABLE = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - private to the pod
"""Folders that programs expect to be writable, all on the scratch volume.

Each is a subPath: one more volume would cost start time, and would need a limit of its own.
"""

SYSTEM = "system"
"""The subPath of /tmp is system/tmp, and so on. The worker knows this folder: it links output
files from there, because a hard link can't leave its mount."""


def pod_for(run: PipelineRun, target: Target, attempt: int, settings: PodSettings) -> Json:
    """The pod of one attempt of a run, owned by the run from birth.

    Args:
        run: the run.
        target: its pinned version, runtime and place in its tree.
        attempt: 1 for the first.
        settings: the installation's.
    """
    spec = target.runtime.spec
    identity = run_id(run.metadata.uid)
    body: Json = {
        "restartPolicy": "Never",
        # Every namespace has this one. Its own token is not mounted.
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "activeDeadlineSeconds": _lifetime(run, target),
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID} if settings.set_ids else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_agent(target, settings)],
        "volumes": _volumes(target, settings),
    }
    if spec.image_pull_secrets:
        body["imagePullSecrets"] = [{"name": each.name} for each in spec.image_pull_secrets]
    if spec.node_selector:
        body["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        body["tolerations"] = [each.body() for each in spec.tolerations]
    if spec.runtime_class_name:
        body["runtimeClassName"] = spec.runtime_class_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(identity, attempt),
            "namespace": run.metadata.namespace,
            "labels": {**spec.pod_labels, **_labels(target, identity)},
            "annotations": {
                **spec.pod_annotations,
                RUNTIME_ANNOTATION: target.runtime.metadata.name,
            },
            "ownerReferences": [_owner(run)],
        },
        "spec": body,
    }


def _labels(target: Target, identity: str) -> dict[str, str]:
    labels = {
        RUN_ID_LABEL: identity,
        VERSION_LABEL: target.version[:10],
        ROOT_LABEL: target.root_id or identity,
        DEPTH_LABEL: str(target.depth),
    }
    if target.pipeline:
        labels[PIPELINE_LABEL] = target.pipeline
    if target.parent_id:
        labels[PARENT_LABEL] = target.parent_id
    return labels


def _owner(run: PipelineRun) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "PipelineRun",
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _lifetime(run: PipelineRun, target: Target) -> int:
    """activeDeadlineSeconds: the kubelet enforces it even without controller and gateway."""
    active = seconds(target.timeout)
    start = seconds(run.spec.start_deadline)
    return int(
        active
        + start
        + IMPORT_SECONDS
        + 2 * TRANSFER_SECONDS
        + RESULT_SECONDS
        + timedelta(minutes=1).total_seconds()
    )


def _agent(target: Target, settings: PodSettings) -> Json:
    environment = {
        "MAYFLY_GATEWAY_URL": settings.gateway_url,
        "MAYFLY_TOKEN_FILE": f"{TOKEN_FOLDER}/token",
        "MAYFLY_SCRATCH": SCRATCH,
        "REPLICATE_BASE_URL": settings.gateway_url,
        "REPLICATE_POLL_INTERVAL": "0.05",
        "HOME": SCRATCH,
        # A node with many cores would otherwise start a thread a core in each BLAS copy.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if settings.fetch_allow:
        environment["MAYFLY_FETCH_ALLOW"] = ",".join(settings.fetch_allow)
    if settings.ca_pem:
        environment["MAYFLY_CA_PEM"] = settings.ca_pem
    resources = target.runtime.spec.resources
    return {
        "name": "agent",
        "image": target.runtime.spec.image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            {
                "name": "MAYFLY_POD_UID",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}},
            },
        ],
        "resources": {"requests": dict(resources.requests), "limits": dict(resources.limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "scratch", "mountPath": SCRATCH},
            *(
                {"name": "scratch", "mountPath": path, "subPath": SYSTEM + path}
                for path in WRITABLE
            ),
            {"name": "gateway-token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        ],
    }


def _volumes(target: Target, settings: PodSettings) -> list[Json]:
    size = target.runtime.spec.resources.limits.get("ephemeral-storage", "5Gi")
    return [
        {"name": "scratch", "emptyDir": {"sizeLimit": size}},
        {
            "name": "gateway-token",
            "projected": {
                # Without fsGroup the token is root's, and the pod has but one user.
                "defaultMode": 0o440 if settings.set_ids else 0o444,
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": "mayfly-gateway",
                            "expirationSeconds": 3600,
                            "path": "token",
                        }
                    }
                ],
            },
        },
    ]


def observed_pod(body: Json) -> ObservedPod:
    """Parse the parts of a pod that matter for decisions."""
    metadata, status = body["metadata"], body.get("status", {})
    states = [each for each in status.get("containerStatuses", []) if each["name"] == "agent"]
    state: Json = states[0].get("state", {}) if states else {}
    last: Json = states[0].get("lastState", {}) if states else {}
    ended: Json = state.get("terminated") or {}
    finished = ended.get("finishedAt")
    waiting: Json = state.get("waiting") or {}
    started = (
        "running" in state
        or bool(ended.get("startedAt"))
        or bool((last.get("terminated") or {}).get("startedAt"))
        or bool(states and states[0].get("started"))
    )
    return ObservedPod(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Pending"),
        deleting="deletionTimestamp" in metadata,
        ever_started=started,
        terminated=Terminated(
            exit_code=int(ended.get("exitCode", 0)),
            reason=ended.get("reason", ""),
            message=ended.get("message", ""),
            finished_at=parse_rfc3339(finished) if finished else None,
        )
        if ended
        else None,
        reason=status.get("reason", ""),
        message=status.get("message", "") or _unschedulable(status),
        waiting=(waiting["reason"], waiting.get("message", "")) if waiting.get("reason") else None,
        blocked=_blocked(status),
        disruption=_disruption(status),
    )


def _blocked(status: Json) -> str:
    """What the first init container that has not done its part does, as words; "" if all have."""
    for each in status.get("initContainerStatuses", []):
        state = each.get("state") or {}
        name = f'the init container "{each["name"]}"'
        waiting, ended = state.get("waiting"), state.get("terminated")
        if ended is not None and ended.get("exitCode"):
            code, words = ended["exitCode"], ended.get("message") or ended.get("reason") or ""
            return f"{name} ended with exit code {code}" + (f": {words[:1000]}" if words else "")
        if waiting is not None and waiting.get("reason", "PodInitializing") != "PodInitializing":
            words = waiting.get("message") or ""
            return f"{name} waits: {waiting['reason']}" + (f": {words[:1000]}" if words else "")
        # A sidecar is `started` once its startup probe has succeeded, and then runs on.
        if "running" in state and not each.get("started"):
            return f"{name} has not finished its start"
    return ""


def _disruption(status: Json) -> tuple[str, str] | None:
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return condition.get("reason", ""), condition.get("message", "")
    return None


def _unschedulable(status: Json) -> str:
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""
