from __future__ import annotations

import pytest
from benchmarks.metering import LONGEST_SECONDS, SHORTEST_SECONDS, bill, lengths
from benchmarks.sampler import Sampler


def test_lengths_are_the_same_for_a_seed_and_within_bounds():
    some = lengths(200, seed=3)
    assert some == lengths(200, seed=3)
    assert some != lengths(200, seed=4)
    assert min(some) >= SHORTEST_SECONDS
    assert max(some) <= LONGEST_SECONDS
    assert min(some) < 0.02
    assert max(some) > 4.0


def test_a_bill_compares_what_was_printed():
    found = bill("1000000000\n1012500000\n", 14)
    assert found.true == pytest.approx(12.5)
    assert found.error == pytest.approx(1.5)


def test_a_sampler_charges_an_interval_a_look_at_what_runs():
    def pod(name, state):
        return {"metadata": {"name": name}, "status": {"containerStatuses": [{"state": state}]}}

    sampler = Sampler(None, "some", 15)
    sampler.note([pod("seen-twice", {"running": {}}), pod("waits", {"waiting": {}})])
    sampler.note([pod("seen-twice", {"running": {}}), pod("over", {"terminated": {}})])
    sampler.note([{"metadata": {"name": "new"}, "status": {}}])
    assert sampler.looks == 3
    assert sampler.billed("seen-twice") == 30_000.0
    assert [sampler.billed(name) for name in ("waits", "over", "new", "unseen")] == [0.0] * 4
