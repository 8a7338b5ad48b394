"""Which runs wait until the gateway has found room in their namespace's monthly budget. Pure."""

from __future__ import annotations

from mayfly.api.v1alpha1 import PipelineRun


def needs_budget_check(run: PipelineRun, *, budgeted: bool) -> bool:
    """Whether the gateway must say first that a run's namespace has money left.

    The controller gives such a run no pod, and the gateway passes it on or ends it: both ask here.
    A child was made by the gateway itself, when there was room; a claimed run was passed on, or
    claimed before its namespace had a budget.

    Args:
        run: the run.
        budgeted: its namespace has the annotation, whatever that says.
    """
    status = run.status
    passed = status.budget_checked or status.pod_uid or status.ended
    return budgeted and run.spec.parent_ref is None and not passed
