from __future__ import annotations

from benchmarks import scrape

TEXT = """
# TYPE mayfly_reconciles_total counter
mayfly_reconciles_total{result="done",subject="run"} 5.0
mayfly_reconciles_total{result="retried",subject="run"} 1.0
mayfly_reconciles_total{result="done",subject="pool"} 2.0
mayfly_reconciles_total{result="failed",subject="pool"} 0.0
# TYPE mayfly_run_dispatch_duration_seconds histogram
mayfly_run_dispatch_duration_seconds_bucket{le="+Inf"} 3.0
mayfly_run_dispatch_duration_seconds_count 3.0
mayfly_run_dispatch_duration_seconds_sum 0.75
"""


def test_reconciles_are_counted_by_subject_whatever_came_of_them():
    counts = scrape.read(TEXT)
    assert counts.reconciles == {"run": 6, "pool": 2}
    assert (counts.dispatches, counts.dispatch_seconds) == (3.0, 0.75)


def test_what_was_there_before_is_not_counted():
    before = scrape.read(TEXT)
    after = scrape.read(TEXT.replace("5.0", "9.0").replace("0.75", "1.0"))
    counted = after.since(before)
    assert counted.reconciles == {"run": 4}
    assert (counted.dispatches, counted.dispatch_seconds) == (0.0, 0.25)
