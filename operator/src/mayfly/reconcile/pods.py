"""The pod of a run, as a pure function.

It passes Pod Security `restricted`, and has no credential that the API server accepts: its only
token is for the gateway's audience, and the ServiceAccount's own token is not mounted.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import datetime, timedelta
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun, PipelineRuntime
from mayfly.api.v1alpha1.duration import seconds
from mayfly.api.v1alpha1.identity import pod_name, run_id
from mayfly.api.v1alpha1.names import (
    DEPTH_LABEL,
    PARENT_LABEL,
    PIPELINE_LABEL,
    ROOT_LABEL,
    RUN_ID_LABEL,
    RUNTIME_ANNOTATION,
    TEMPLATE_ANNOTATION,
    VERSION_LABEL,
    WAITING,
)
from mayfly.api.v1alpha1.pipelinerun import DEFAULT_TIMEOUT
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.reconcile.observed import ObservedPod, PodSettings, Target

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

READY_FILE = f"{SCRATCH}/ready"
"""Written by the agent of a waiting pod once it has imported the packages; gone before a run."""

BOOT_SECONDS = 120
"""How long a waiting pod's container may take until it is ready."""

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
    identity = run_id(run.metadata.uid)
    body = _pod(target.runtime, settings, pod_name(identity, attempt), run.metadata.namespace or "")
    body["metadata"]["labels"] |= _labels(target, identity)
    body["metadata"]["ownerReferences"] = [_owner(run)]
    body["spec"]["activeDeadlineSeconds"] = _lifetime(run, target.timeout)
    return body


def waiting_pod(runtime: PipelineRuntime, namespace: str, name: str, settings: PodSettings) -> Json:
    """A pod that waits for a run, owned by its runtime until a run has claimed it.

    Its agent imports the runtime's packages and then writes `READY_FILE`. After that nothing
    probes the container, and its pod is Ready.

    Args:
        runtime: its PipelineRuntime.
        namespace: the runs' namespace.
        name: from `waiting_name`.
        settings: the installation's.
    """
    body = _pod(runtime, settings, name, namespace)
    [agent] = body["spec"]["containers"]
    agent["env"].append({"name": "MAYFLY_READY_FILE", "value": READY_FILE})
    # One probe that waits: many that fail would be as many Events, and told a second late.
    agent["startupProbe"] = {
        "exec": {"command": ["sh", "-c", f"until test -e {READY_FILE}; do sleep 0.2; done"]},
        "timeoutSeconds": BOOT_SECONDS,
        "failureThreshold": 1,
        "periodSeconds": 1,  # the first try comes before the container runs, and is none
    }
    metadata = body["metadata"]
    metadata["labels"][RUN_ID_LABEL] = WAITING
    metadata["annotations"][TEMPLATE_ANNOTATION] = _template(body)
    metadata["ownerReferences"] = [
        {
            "apiVersion": API_VERSION,
            "kind": "PipelineRuntime",
            "name": runtime.metadata.name,
            "uid": runtime.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    return body


def waiting_name(suffix: str) -> str:
    """The name of a waiting pod."""
    return f"mayfly-warm-{suffix}"


def template_of(runtime: PipelineRuntime, settings: PodSettings) -> str:
    """What sets waiting pods of a runtime apart from those made before it, or Mayfly, changed."""
    body = waiting_pod(runtime, "", "", settings)
    return str(body["metadata"]["annotations"][TEMPLATE_ANNOTATION])


def _template(body: Json) -> str:
    told = json.dumps({**body, "metadata": {**body["metadata"], "name": "", "namespace": ""}})
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def adoption_patch(run: PipelineRun, pod: ObservedPod, claimed: datetime) -> list[Json]:
    """The JSON patch that makes a claimed waiting pod its run's; refused if it is another's.

    Args:
        run: claimed, with its pins in its status.
        pod: the waiting pod that it has claimed.
        claimed: when the run's first pod was claimed.
    """
    status, spec = run.status, run.spec
    labels = labels_of(
        run_id(run.metadata.uid),
        version=status.version or "",
        root=run_id(status.root_ref.uid) if status.root_ref else "",
        depth=status.depth or 1,
        pipeline=spec.pipeline_ref.name if spec.pipeline_ref else "",
        parent=run_id(spec.parent_ref.uid) if spec.parent_ref else "",
    )
    # The kubelet counts from the pod's start, long before the run's claim, whenever this is done.
    waited = (claimed - pod.started_at).total_seconds() if pod.started_at else 0.0
    lifetime = _lifetime(run, status.timeout or DEFAULT_TIMEOUT) + max(0, math.ceil(waited))
    return [
        {"op": "test", "path": "/metadata/uid", "value": pod.uid},
        {"op": "test", "path": "/metadata/ownerReferences/0/kind", "value": "PipelineRuntime"},
        {"op": "replace", "path": "/metadata/ownerReferences", "value": [_owner(run)]},
        *(
            {"op": "add", "path": f"/metadata/labels/{name.replace('/', '~1')}", "value": value}
            for name, value in labels.items()
        ),
        {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": lifetime},
    ]


def _pod(runtime: PipelineRuntime, settings: PodSettings, name: str, namespace: str) -> Json:
    """A pod of a runtime, without an owner."""
    spec = runtime.spec
    body: Json = {
        "restartPolicy": "Never",
        # Every namespace has this one. Its own token is not mounted.
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID} if settings.set_ids else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_agent(runtime, settings)],
        "volumes": _volumes(runtime, settings),
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
            "name": name,
            "namespace": namespace,
            "labels": dict(spec.pod_labels),
            "annotations": {**spec.pod_annotations, RUNTIME_ANNOTATION: runtime.metadata.name},
        },
        "spec": body,
    }


def _labels(target: Target, identity: str) -> dict[str, str]:
    return labels_of(
        identity,
        version=target.version,
        root=target.root_id,
        depth=target.depth,
        pipeline=target.pipeline,
        parent=target.parent_id,
    )


def labels_of(
    identity: str, *, version: str, root: str, depth: int, pipeline: str, parent: str
) -> dict[str, str]:
    """Mayfly's own labels of a run's pod.

    Args:
        identity: the run's id.
        version: of its pipeline, whole.
        root: the id of its tree's root; "" for its own.
        depth: 1 for a root.
        pipeline: the Pipeline's name; "" for a run with its own source.
        parent: the id of the run that made it; "" for a root.
    """
    labels = {
        RUN_ID_LABEL: identity,
        VERSION_LABEL: version[:10],
        ROOT_LABEL: root or identity,
        DEPTH_LABEL: str(depth),
    }
    if pipeline:
        labels[PIPELINE_LABEL] = pipeline
    if parent:
        labels[PARENT_LABEL] = parent
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


def _lifetime(run: PipelineRun, timeout: str) -> int:
    """activeDeadlineSeconds: the kubelet enforces it even without controller and gateway."""
    active = seconds(timeout)
    start = seconds(run.spec.start_deadline)
    return int(
        active
        + start
        + IMPORT_SECONDS
        + 2 * TRANSFER_SECONDS
        + RESULT_SECONDS
        + timedelta(minutes=1).total_seconds()
    )


def _agent(runtime: PipelineRuntime, settings: PodSettings) -> Json:
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
    resources = runtime.spec.resources
    return {
        "name": "agent",
        "image": runtime.spec.image,
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


def _volumes(runtime: PipelineRuntime, settings: PodSettings) -> list[Json]:
    size = runtime.spec.resources.limits.get("ephemeral-storage", "5Gi")
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
