"""Who waits for the budget check: one rule for the controller and the gateway."""

from __future__ import annotations

import pytest
from support.builders import claimed, condition, run

from mayfly.reconcile.budget import needs_budget_check

CHILD = run(parentRef={"name": "parent", "uid": "0190163d-8694-739b-aea5-966c26f8ad91"})


@pytest.mark.parametrize(
    ("the_run", "waits"),
    [
        (run(), True),
        (run({"budgetChecked": True}), False),
        (CHILD, False),
        # Its namespace got its budget after the claim: nobody would ever pass it on.
        (claimed(), False),
        (claimed(condition("Started", "False", "ClaimLost")), False),
        (run({"conditions": [condition("Finished", "True", "Finished")]}), False),
    ],
    ids=["new", "passed on", "a child", "claimed", "claim lost", "ended"],
)
def test_who_needs_the_budget_check(the_run, waits):
    assert needs_budget_check(the_run, budgeted=True) is waits
    assert not needs_budget_check(the_run, budgeted=False)
