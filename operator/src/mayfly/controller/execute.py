"""Executes the planner's actions. Nothing else in the controller writes to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, assert_never

from mayfly.api.v1alpha1 import PipelineRunStatus
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.controller.events import Events
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, NotFound, Unavailable
from mayfly.kube.kinds import NETWORK_POLICIES, PIPELINES, PODS, RUNS, RUNTIMES, VERSIONS, Kind
from mayfly.reconcile.actions import (
    Action,
    CreatePod,
    CreateVersion,
    DeletePod,
    DeleteRun,
    DeleteVersion,
    EnsureNetworkPolicy,
    Event,
    WriteRunStatus,
    WriteStatus,
)
from mayfly.reconcile.network import NetworkSettings, network_policy

Json = dict[str, Any]

STATUS_KINDS = {kind.plural: kind for kind in (PIPELINES, RUNTIMES)}

MANAGER = "mayfly-controller"


class Executor:
    """Executes actions as API calls."""

    def __init__(
        self,
        cluster: Cluster,
        network: NetworkSettings,
        leads: Callable[[], bool],
        policy_owner: Json | None = None,
        events: Events | None = None,
    ) -> None:
        self._cluster = cluster
        self._leads = leads
        self._network = network
        self._policy_owner = policy_owner
        self._events = events

    async def execute(self, action: Action) -> Json | None:
        """Execute one action.

        Returns:
            The object as the API server has it now, if the action leaves one.

        Raises:
            Conflict: the object has changed since it was read.
            Unavailable: this process is not the leader any more; another one will act.
            KubeError: the API server did not do it.
        """
        if not self._leads():
            # It stood still and woke up with old news: a pod made of them could be one too many.
            raise Unavailable(0, "this controller is not the leader now")
        match action:
            case CreatePod(body):
                return await self._create(PODS, body)
            case CreateVersion(body):
                return await self._create(VERSIONS, body)
            case DeletePod(namespace, name, uid, grace):
                await self._delete(PODS, namespace, name, uid, grace)
                return None
            case DeleteRun(namespace, name, uid):
                await self._delete(RUNS, namespace, name, uid)
                return None
            case DeleteVersion(namespace, name, uid):
                await self._delete(VERSIONS, namespace, name, uid)
                return None
            case WriteRunStatus(namespace, name, version, status):
                return await self._write_run(namespace, name, version, status)
            case WriteStatus(plural, namespace, name, version, body):
                patch = {"metadata": {"resourceVersion": version}, "status": body}
                kind = STATUS_KINDS[plural]
                return await self._cluster.patch_status(kind, namespace or None, name, patch)
            case EnsureNetworkPolicy(namespace):
                policy = network_policy(namespace, self._network, self._policy_owner)
                return await self._cluster.apply(NETWORK_POLICIES, namespace, policy, MANAGER)
        assert_never(action)

    def tell(self, events: Iterable[Event]) -> None:
        """Queue a plan's events, to be written beside the work."""
        for event in events:
            if self._events is not None:
                self._events.tell(event)

    async def _create(self, kind: Kind, body: Json) -> Json:
        metadata = body["metadata"]
        try:
            return await self._cluster.create(kind, metadata["namespace"], body)
        except Conflict:
            there = await self._cluster.get(kind, metadata["namespace"], metadata["name"])
            owners = [each["uid"] for each in there["metadata"].get("ownerReferences", [])]
            if metadata["ownerReferences"][0]["uid"] not in owners:
                raise  # another owner's object has the name
            return there

    async def _delete(
        self, kind: Kind, namespace: str, name: str, uid: str, grace: int | None = None
    ) -> None:
        try:
            await self._cluster.delete(kind, namespace, name, uid=uid, grace_seconds=grace)
        except (NotFound, Conflict):
            return  # it is gone already, or another object has the name now

    async def _write_run(
        self, namespace: str, name: str, version: str, status: PipelineRunStatus
    ) -> Json:
        body: Json = {
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
            "status": status.body(),
        }
        if status.output is None:
            return await self._cluster.patch_status(RUNS, namespace, name, body)
        # A merge patch would drop the nulls inside an output, so this one is a PUT; the API
        # server takes only the status of it, but checks it as a whole object.
        there = await self._cluster.get(RUNS, namespace, name)
        there["metadata"]["resourceVersion"] = version
        whole = {
            "apiVersion": API_VERSION,
            "kind": RUNS.name,
            **there,
            "status": {**body["status"], "output": status.output},
        }
        return await self._cluster.write_status(RUNS, whole)
