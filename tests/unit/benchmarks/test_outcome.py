from __future__ import annotations

from collections import Counter

import pytest
from benchmarks import outcome, scenario
from benchmarks.audit import Request
from benchmarks.metering import Bill
from benchmarks.outcome import Outcome, numbers
from benchmarks.process import ProcessRow
from benchmarks.scenario import Arm, Scenario, Way
from benchmarks.stage import Stage

ROW = Scenario("warm", "words", (Arm(Way.RUN), Arm(Way.POD)), 2, warm=True)


def measured(**changed):
    attempts = {
        Way.RUN: [{Stage.LINE: float(value)} for value in range(1, 101)],
        Way.POD: [{Stage.LINE: 500.0, Stage.OVER: 2000.0}],
    }
    return Outcome(ROW, attempts=attempts, runs=4, **changed)


def test_percentiles_are_of_each_way_and_stage():
    found = numbers(measured())
    assert [found[f"warm.run.line.p{each}"] for each in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert found["warm.pod.over.p50"] == 2000.0
    assert "warm.run.over.p50" not in found


def test_counts_are_a_run():
    writes = Counter(
        {
            Request("controller", "patch", "pods"): 4,
            Request("gateway", "update", "pipelineruns/status"): 8,
            Request("gateway", "create", "pipelineruns"): 40,
            Request("controller", "patch", "pipelineruntimes/status"): 6,
            Request("kubelet", "patch", "pods/status"): 40,
        }
    )
    looks = Counter({"run": 6, "pool": 2})
    found = numbers(measured(writes=writes, reconciles=looks, hits=3))
    assert found["warm.writes"] == 3.0
    assert found["warm.pool_writes"] == 1.5
    assert found["warm.reconciles.run"] == 1.5
    assert found["warm.reconciles.pool"] == 0.5
    assert found["warm.reconciles.runtime"] == 0.0
    assert found["warm.misses"] == 0.25


def test_what_was_not_measured_is_not_there():
    found = numbers(measured())
    assert not {"warm.writes", "warm.reconciles.run", "warm.cpu_ms.gateway"} & set(found)
    assert numbers(Outcome(ROW, failure="no pool")) == {}


def test_replicas_take_cpu_together_and_memory_each():
    rows = [
        ProcessRow("controller", "a", 70.0, 0.1, 30.0),
        ProcessRow("controller", "b", 60.0, 0.1, 1.0),
        ProcessRow("gateway", "g", 130.0, 0.1, 50.0),
    ]
    found = numbers(measured(processes=rows))
    assert found["warm.cpu_ms.controller"] == 31.0
    assert found["warm.rss_mib.controller"] == 70.0
    assert found["warm.cpu_ms.gateway"] == 50.0


def test_bills_are_counted_beyond_five_milliseconds():
    found = outcome.numbers_of_bills([Bill(10.0, 11.0), Bill(10.0, 16.0), Bill(10.0, 5.0)])
    assert found["metering.beyond_5_ms"] == pytest.approx(1 / 3)
    assert found["metering.off_ms.p100"] == 6.0
    assert outcome.numbers_of_bills([]) == {}


def test_every_scenario_has_a_name_of_its_own_and_a_pod_to_compare_with():
    rows = scenario.table()
    assert len({each.name for each in rows}) == len(rows)
    for row in rows:
        assert not row.head.peer
        assert Way.POD in row.ways
        assert len(set(row.ways)) == len(row.ways)


def test_the_burst_is_three_times_the_pool():
    (row,) = [each for each in scenario.table(pool=7) if each.name == "burst"]
    assert row.arms[0].count == 21
