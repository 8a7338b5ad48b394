"""However much comes, a process has at most so many series, and their sums stay whole."""

from __future__ import annotations

from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from support.builders import NOW
from support.kube_memory import MemoryCluster

from mayfly.clock import monotonic
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.health import Health
from mayfly.controller.key import Key
from mayfly.controller.metrics import Metrics as ControllerMetrics
from mayfly.controller.metrics import Pools
from mayfly.gateway.metrics.counters import Metrics
from mayfly.metering.records import UsageRecord
from mayfly.telemetry import catalog
from mayfly.telemetry.families import MOST_SERIES, STANDARD_SERIES, Families
from mayfly.telemetry.payers import PayerSettings
from mayfly.workqueue import WorkQueue

MANY = 3_000


def everything(_namespace: str, _name: str) -> bool:
    """Every Pipeline exists."""
    return True


def series(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def total(registry: CollectorRegistry, name: str) -> float:
    return sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    )


def record(number: int, **changes: object) -> UsageRecord:
    uid = str(number)
    fields = {
        "record_id": uid,
        "run_uid": uid,
        "id": uid,
        "name": uid,
        "kind": "run",
        "namespace": f"team-{number}",
        "pipeline_namespace": f"team-{number}",
        "pipeline": f"pipeline-{number}",
        "called": "",
        "version": "v",
        "runtime_digest": "",
        "root_uid": uid,
        "parent_uid": None,
        "depth": 1,
        "outcome": ("succeeded", "failed", "canceled")[number % 3],
        "reason": f"Reason{number}",
        "started": True,
        "started_at": NOW,
        "completed_at": NOW,
        "active_ms": 100,
        "output_items": 1,
        "input_tokens": 0,
        "output_tokens": 0,
        "prices": "[]",
        "cost": Decimal("0.1"),
        "currency": "USD",
        "flags": "[]",
        "recorded_at": NOW,
    }
    return UsageRecord(**{**fields, **changes})  # type: ignore[arg-type]


def flood(metrics: Metrics) -> None:
    """More of everything than anybody has."""
    for number in range(MANY):
        metrics.recorded(record(number))
        metrics.recorded(record(number, kind="model"))
        metrics.recorded(record(number, cost=Decimal(-1), active_ms=-5, corrects="x"))
        metrics.recorded(record(number, currency=f"C{number}"))
        metrics.requests.of(f"/path/{number}", f"METHOD{number}", f"{number}xx").inc()
        metrics.webhooks.of(f"event-{number}", f"result-{number}").inc()
        metrics.token_reviews.of(f"result-{number}").inc()
        metrics.access_reviews.of(f"result-{number}").inc()


@pytest.mark.parametrize("namespaces", [False, True])
@pytest.mark.parametrize("pipelines", [False, True])
def test_the_gateway_has_few_series_whatever_comes(namespaces: bool, pipelines: bool) -> None:
    settings = PayerSettings(namespaces=namespaces, pipelines=pipelines, limit=12)
    metrics = Metrics(settings, "USD", everything)
    flood(metrics)
    for name in ("runs", "webhooks", "models"):
        metrics.show_queue(name, WorkQueue(monotonic))
    assert len(series(metrics.registry)) <= metrics.families.most <= MOST_SERIES
    assert total(metrics.registry, "mayfly_runs_total") == 2 * MANY
    assert total(metrics.registry, "mayfly_model_predictions_total") == MANY
    assert total(metrics.registry, "mayfly_http_requests_total") == MANY
    assert total(metrics.registry, "mayfly_cost_total") == pytest.approx(0.3 * MANY, rel=1e-12)
    assert total(metrics.registry, "mayfly_cost_reductions_total") == MANY
    if namespaces or pipelines:
        assert total(metrics.registry, "mayfly_payer_runs_total") == 2 * MANY
        assert total(metrics.registry, "mayfly_payer_cost_total") == pytest.approx(0.3 * MANY)


async def test_a_work_queue_of_the_gateway_is_shown_by_its_name() -> None:
    metrics, now = Metrics(PayerSettings(), "USD", everything), 0.0
    queues: dict[str, WorkQueue[str]] = {}
    for name in ("runs", "webhooks", "models"):
        queues[name] = WorkQueue(lambda: now)
        metrics.show_queue(name, queues[name])
    runs = queues["runs"]
    for key in "ab":
        runs.add(key)
    await runs.take()
    runs.retry("c")
    queues["webhooks"].add_after("d", 60)
    now = 7.0
    get = metrics.registry.get_sample_value
    depth = {
        (name, state): get("mayfly_gateway_queue_depth", {"queue": name, "state": state})
        for name in queues
        for state in ("ready", "busy", "later", "failing")
    }
    assert {place: value for place, value in depth.items() if value} == {
        ("runs", "ready"): 1,
        ("runs", "busy"): 1,
        ("runs", "later"): 1,
        ("runs", "failing"): 1,
        ("webhooks", "later"): 1,
    }
    assert get("mayfly_gateway_queue_oldest_seconds", {"queue": "runs"}) == 7.0
    assert get("mayfly_gateway_queue_oldest_seconds", {"queue": "models"}) == 0.0


def test_labels_of_payers_are_there_once_switched_on() -> None:
    metrics = Metrics(PayerSettings(namespaces=True, pipelines=True, limit=2), "USD", everything)
    for number in (0, 1, 2, 3, 0):
        metrics.recorded(record(number, outcome="succeeded"))
    metrics.recorded(record(0, pipeline="", outcome="succeeded"))
    assert succeeded(metrics) == {
        ("team-0", "team-0/pipeline-0"): 2,
        ("team-1", "team-1/pipeline-1"): 1,
        ("other", "other"): 3,
    }


def test_a_name_that_no_pipeline_has_takes_no_series() -> None:
    there = {("team", "real")}
    settings = PayerSettings(namespaces=True, pipelines=True, limit=2)
    metrics = Metrics(settings, "USD", lambda *key: key in there)

    def ends(pipeline: str, **changes: object) -> None:
        place = {"namespace": "team", "pipeline_namespace": "team", "pipeline": pipeline}
        metrics.recorded(record(0, outcome="succeeded", **{**place, **changes}))

    for number in range(20):
        ends(f"misspelt-{number}")
    ends("real", pipeline_namespace="elsewhere")
    ends("")
    ends("real")
    there.clear()  # deleted: what it has stays
    ends("real")
    assert succeeded(metrics) == {
        ("other", "other"): 21,
        ("team", "(inline)"): 1,
        ("team", "team/real"): 2,
    }


def test_names_of_pipelines_do_not_matter_where_only_namespaces_are_labels() -> None:
    metrics = Metrics(PayerSettings(namespaces=True), "USD", lambda *_: False)
    metrics.recorded(record(0))
    label = {"namespace": "team-0"}
    assert metrics.registry.get_sample_value("mayfly_payer_run_active_seconds_total", label) == 0.1


def succeeded(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Runs that succeeded, by namespace and pipeline."""
    return {
        (sample.labels["namespace"], sample.labels["pipeline"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "mayfly_payer_runs_total" and sample.labels["outcome"] == "succeeded"
    }


def test_without_the_switch_no_series_names_a_payer() -> None:
    metrics = Metrics(PayerSettings(), "USD", everything)
    flood(metrics)
    assert not [line for line in series(metrics.registry) if "team-" in line]


def test_the_controller_has_few_series_whatever_comes() -> None:
    metrics = ControllerMetrics()
    queue, caches = WorkQueue(monotonic), Caches()
    metrics.show(queue, caches, Capacity(caches), Health(queue, metrics.registry))

    writes = MemoryCluster()
    writes.results.update({(f"V{n}", f"kind{n}", f"r{n}"): 1 for n in range(MANY)})
    metrics.show_writes(writes)  # type: ignore[arg-type]
    for number in range(MANY):
        metrics.looked(Key(f"subject-{number}", "", ""), f"result-{number}", 0.1)
        metrics.claims.of(f"result-{number}").inc()
    for _ in range(2):
        assert len(series(metrics.registry)) <= metrics.families.most <= MOST_SERIES
        assert total(metrics.registry, "mayfly_kubernetes_writes_total") == MANY
    assert total(metrics.registry, "mayfly_reconciles_total") == MANY


def test_pools_are_shown_as_they_are_and_their_claims_and_boots_are_counted() -> None:
    metrics, now = ControllerMetrics(), Pools()
    metrics.show_pools(lambda: now)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"mayfly_warm_{name}", labels)

    assert value("claims_total", result="hit") == value("claims_total", result="miss") == 0
    now = Pools(booting=1, waiting=2, claimed=3, degraded=4)
    shown = [value("pods", state=state) for state in ("booting", "waiting", "claimed")]
    assert [*shown, value("pools_degraded")] == [1, 2, 3, 4]
    metrics.claimed_from_pool(hit=True)
    metrics.claimed_from_pool(hit=True)
    metrics.claimed_from_pool(hit=False)
    assert [value("claims_total", result=each) for each in ("hit", "miss")] == [2, 1]
    metrics.boot_failed()
    assert value("boot_failures_total") == 1
    metrics.booted(-1)  # the clocks of two machines
    metrics.booted(3)
    assert (value("boot_duration_seconds_count"), value("boot_duration_seconds_sum")) == (2, 3)


def test_the_standard_series_are_counted() -> None:
    families = Families("test")
    assert len(series(families.registry)) == STANDARD_SERIES + 1 == families.most


def test_families_that_could_outgrow_the_bound_are_refused_at_the_start() -> None:
    families = Families("test")
    with pytest.raises(ValueError, match="over 500"):
        families.counters(catalog.CLAIMS, MOST_SERIES)


def test_a_family_is_registered_as_what_it_is_declared() -> None:
    families = Families("test")
    with pytest.raises(ValueError, match="declared as a histogram"):
        families.counter(catalog.RUN_QUEUE_DURATION)
