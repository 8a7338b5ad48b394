"""A run's place in its tree, and what the parent's state means for it."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders import UID, condition, run

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.identity import run_id
from mayfly.reconcile.lineage import Lineage, lineage
from mayfly.reconcile.observed import CanceledAbove, Refusal, Unsettled

PARENT = "0190163d-8694-739b-aea5-966c26f8ad91"
ROOT = "0190163d-8694-739b-aea5-966c26f8ad92"
ENDED = [condition("Finished", "True", "Finished"), condition("Succeeded", "True", "Succeeded")]
STOPPED = condition("CancelAccepted", "False", "ClaimsStopped")
ACCEPTED = condition("CancelAccepted", "True", "CancelAccepted")


def parent(*conditions: dict[str, Any], uid: str = PARENT, **spec: Any) -> PipelineRun:
    status = {
        "depth": 4,
        "rootRef": {"name": "root", "uid": ROOT},
        "podUID": "pod",
        "conditions": list(conditions),
    }
    above = run(status, **spec)
    metadata = above.metadata.model_copy(update={"name": "parent", "uid": uid})
    return above.model_copy(update={"metadata": metadata})


def of_child(above: PipelineRun | None, limit: int = 250) -> Lineage:
    return lineage(run(parentRef={"name": "parent", "uid": PARENT}), above, limit)


def test_a_root_is_its_own():
    found = lineage(run(), None, 250)
    assert found.problem is None
    assert (found.place.depth, found.place.root.uid, found.place.parent_id) == (1, UID, "")
    assert found.place.root_id == run_id(UID)


@pytest.mark.parametrize(
    "above",
    [
        parent(),
        parent(*ENDED),
        # A cancel that came after the end asks for nothing any more.
        parent(*ENDED, cancel=True),
    ],
    ids=["running", "ended", "cancelled after its end"],
)
def test_a_parent_that_was_not_cancelled_leaves_its_child_running(above):
    found = of_child(above)
    assert found.problem is None
    assert (found.place.depth, found.place.root.uid) == (5, ROOT)
    assert (found.place.root_id, found.place.parent_id) == (run_id(ROOT), run_id(PARENT))


@pytest.mark.parametrize(
    "above",
    [
        parent(cancel=True),
        parent(STOPPED, cancel=True),
        parent(*ENDED, STOPPED, cancel=True),
        parent(*ENDED, ACCEPTED, cancel=True),
    ],
    ids=["asked", "claims stopped", "ended, not accepted yet", "ended, accepted"],
)
def test_a_cancelled_parent_takes_what_has_not_started(above):
    found = of_child(above)
    assert isinstance(found.problem, CanceledAbove)
    assert 'The parent run "parent" was cancelled' in found.problem.message
    assert found.place.root.uid == ROOT


def test_a_parent_that_is_gone_or_another_by_its_name():
    for above in (None, parent(uid=ROOT)):
        found = of_child(above)
        assert found.place is None
        assert isinstance(found.problem, Refusal)
        assert found.problem.reason == Reason.PARENT_ENDED
        assert "gone" in found.problem.message


def test_a_parent_whose_place_is_not_known_is_waited_for():
    metadata = parent().metadata
    unknown = run().model_copy(update={"metadata": metadata})
    assert isinstance(of_child(unknown).problem, Unsettled)
    ended = run({"conditions": ENDED}).model_copy(update={"metadata": metadata})
    assert of_child(ended).problem.reason == Reason.PARENT_ENDED


def test_the_depth_limit_is_told_with_the_level():
    assert of_child(parent(), limit=5).problem is None
    found = of_child(parent(), limit=4)
    assert found.problem.reason == Reason.DEPTH_EXCEEDED
    assert "at most 4 levels deep; this run would be level 5" in found.problem.message
    assert found.place.depth == 5
