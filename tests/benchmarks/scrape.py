"""What the controller and the gateway count themselves: their /metrics, read before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from prometheus_client.parser import text_string_to_metric_families

from mayfly.telemetry import catalog

Json = dict[str, Any]
PORT = 8080


@dataclass(frozen=True)
class Counts:
    """Counters of all processes together, at one moment or between two.

    Attributes:
        reconciles: of the controller, by subject (run, pool, …), whatever their result.
        dispatches: how many runs' work was sent, by the gateway's own histogram.
        dispatch_seconds: from seeing a claimed run with a connected agent until then, summed up.
    """

    reconciles: Counter[str]
    dispatches: float
    dispatch_seconds: float

    def since(self, before: Counts) -> Counts:
        """What has been counted since."""
        return Counts(
            Counter(
                {
                    subject: number - before.reconciles[subject]
                    for subject, number in self.reconciles.items()
                    if number != before.reconciles[subject]
                }
            ),
            self.dispatches - before.dispatches,
            self.dispatch_seconds - before.dispatch_seconds,
        )


def read(text: str) -> Counts:
    """The counters of one process's /metrics."""
    reconciles: Counter[str] = Counter()
    sums = {"_count": 0.0, "_sum": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == catalog.RECONCILES.name:
                reconciles[sample.labels["subject"]] += int(sample.value)
            for end in sums:
                if sample.name == catalog.RUN_DISPATCH_DURATION.name + end:
                    sums[end] += sample.value
    return Counts(reconciles, sums["_count"], sums["_sum"])


class Scraper:
    """Reads /metrics of some pods through the API server, which reaches them wherever they are."""

    def __init__(self, api: kubernetes_client.ApiClient, system: str, pods: list[str]) -> None:
        self._api = api
        self._core = kubernetes_client.CoreV1Api(api)
        self._system = system
        self._pods = pods

    @classmethod
    async def connect(cls, kubeconfig: str, system: str, pods: list[Json]) -> Scraper:
        """Connect with a kubeconfig file; the pods are those of the installation's namespace."""
        configuration = kubernetes_client.Configuration()
        await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
        names = [each["metadata"]["name"] for each in pods if _has_metrics(each)]
        return cls(kubernetes_client.ApiClient(configuration), system, names)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def counts(self) -> Counts:
        """All pods' counters together."""
        whole = Counts(Counter(), 0.0, 0.0)
        for pod in self._pods:
            text = await self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{PORT}", self._system, "metrics"
            )
            one = read(text)
            whole = Counts(
                whole.reconciles + one.reconciles,
                whole.dispatches + one.dispatches,
                whole.dispatch_seconds + one.dispatch_seconds,
            )
        return whole


def _has_metrics(pod: Json) -> bool:
    ports = [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]
    return PORT in ports and pod["status"].get("phase") == "Running"
