"""A run's place in its tree, and what its parent's state means for it. Pure.

    parent does not exist          refused: the owner reference deletes the run as well
    parent cancelled               the run ends Canceled, unless it has started
    parent ended, not cancelled    the run continues: its parent left it running
    deeper than the limit          refused

A cancel reaches a run's children from the moment it is requested, unless the run had ended before;
cancelling an ended run changes nothing. Only a run that has started can create children, and it was
claimed before that: a parent without a place has created nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.api.v1alpha1 import PipelineRun, Reason, RootRef
from mayfly.api.v1alpha1.identity import run_id
from mayfly.reconcile.observed import CanceledAbove, Place, Refusal, Unsettled


@dataclass(frozen=True)
class Lineage:
    """A run's place in its tree, and what keeps the run from a pod.

    Attributes:
        place: None if the parent does not tell it.
        problem: None if there is none.
    """

    place: Place | None
    problem: Refusal | CanceledAbove | Unsettled | None = None


def reaches_children(parent: PipelineRun) -> bool:
    """Whether a run was cancelled, so that no unstarted child of it may start."""
    return parent.status.cancelling or (parent.spec.cancel and not parent.status.ended)


def child_depth(parent: PipelineRun) -> int:
    """The level in the tree of what a run makes; 1 is the root's."""
    return (parent.status.depth or 1) + 1


def too_deep(depth: int, limit: int, what: str = "run") -> str:
    """Why a run can't be at a level of its tree, in words; "" where it can.

    Args:
        depth: the level; 1 is the root's.
        limit: how many levels deep pipelines may call pipelines.
        what: how the words call the run.
    """
    if depth <= limit:
        return ""
    return (
        f"Pipelines call pipelines at most {limit} levels deep; this {what} would be level {depth}."
    )


def canceled_above(parent_name: str) -> CanceledAbove:
    """The end of a run that had not started when its parent was cancelled."""
    return CanceledAbove(
        f'The parent run "{parent_name}" was cancelled before this run had started.'
    )


def lineage(run: PipelineRun, parent: PipelineRun | None, depth_limit: int) -> Lineage:
    """Determine the place of a run.

    Args:
        run: the run.
        parent: the current object with the name of its `parentRef`; None if there is none, or for
            a root.
        depth_limit: how many levels deep pipelines may call pipelines.
    """
    ref = run.spec.parent_ref
    if ref is None:
        own = RootRef(name=run.metadata.name, uid=run.metadata.uid)
        return Lineage(Place(1, own, run_id(run.metadata.uid), ""))
    if parent is None or parent.metadata.uid != ref.uid:
        return Lineage(None, Refusal(Reason.PARENT_ENDED, f'The parent run "{ref.name}" is gone.'))
    root = parent.status.root_ref
    if parent.status.depth is None or root is None:
        if parent.status.ended:
            words = f'The parent run "{ref.name}" ended before it had a pod.'
            return Lineage(None, Refusal(Reason.PARENT_ENDED, words))
        return Lineage(None, Unsettled(f'The parent run "{ref.name}" has no pod yet.', seconds=1.0))
    place = Place(child_depth(parent), root, run_id(root.uid), run_id(ref.uid))
    if reaches_children(parent):
        return Lineage(place, canceled_above(ref.name))
    words = too_deep(place.depth, depth_limit)
    if words:
        return Lineage(place, Refusal(Reason.DEPTH_EXCEEDED, words))
    return Lineage(place)
