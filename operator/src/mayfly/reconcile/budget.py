"""Which runs wait for the gateway's check of their namespace's monthly budget. Pure."""

from __future__ import annotations

from mayfly.api.v1alpha1 import PipelineRun


def needs_budget_check(run: PipelineRun, *, budgeted: bool) -> bool:
    """Whether the gateway must first confirm that a run's namespace has budget left.

    The controller gives such a run no pod, and the gateway confirms or ends it; both use this rule.
    A child needs no check, because the gateway checked the budget when it created it; nor does a
    claimed run, which was confirmed, or claimed before its namespace had a budget.

    Args:
        run: the run.
        budgeted: its namespace has the annotation, valid or not.
    """
    status = run.status
    passed = status.budget_checked or status.pod_uid or status.ended
    return budgeted and run.spec.parent_ref is None and not passed
