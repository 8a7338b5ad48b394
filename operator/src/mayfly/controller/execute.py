"""Executes the planner's actions. Nothing else in the controller writes to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, assert_never

from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.controller.events import Events
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, KubeError, NotFound, Refused, Unavailable
from mayfly.kube.kinds import NETWORK_POLICIES, PIPELINES, PODS, RUNS, RUNTIMES, VERSIONS, Kind
from mayfly.reconcile.actions import (
    Action,
    AdoptPod,
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

NOT_AS_TESTED = 422
"""Answered to a JSON patch whose `test` does not hold."""


PATIENCE_TRIES = 3
"""After so many tries in a row, a server error is told on the object: such as that of an admission
webhook without its service."""


def may_pass(error: KubeError, tries: int) -> bool:
    """Whether an error may pass in a moment, so that nobody need be told after so many tries."""
    return isinstance(error, Unavailable) and (error.status < 500 or tries < PATIENCE_TRIES)


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
            case AdoptPod():
                return await self._adopt(action)
            case DeleteRun(namespace, name, uid) | DeleteVersion(namespace, name, uid):
                kind = RUNS if isinstance(action, DeleteRun) else VERSIONS
                await self._delete(kind, namespace, name, uid)
                return None
            case WriteRunStatus():
                return await self._write_run(action)
            case WriteStatus(plural, namespace, name, version, status):
                told = {"metadata": {"resourceVersion": version}, "status": status}
                kind = STATUS_KINDS[plural]
                return await self._cluster.patch_status(kind, namespace or None, name, told)
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

    async def _adopt(self, pod: AdoptPod) -> Json | None:
        try:
            return await self._cluster.json_patch(PODS, pod.namespace, pod.name, pod.patch)
        except NotFound:
            return None  # the watch tells
        except Refused as error:
            if error.status != NOT_AS_TESTED:
                raise
            return None  # another run's, or another pod of the name

    async def _delete(
        self, kind: Kind, namespace: str, name: str, uid: str, grace: int | None = None
    ) -> None:
        try:
            await self._cluster.delete(kind, namespace, name, uid=uid, grace_seconds=grace)
        except (NotFound, Conflict):
            return  # it is gone already, or another object has the name now

    async def _write_run(self, action: WriteRunStatus) -> Json:
        namespace, name, status = action.namespace, action.name, action.status
        version = action.resource_version
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
