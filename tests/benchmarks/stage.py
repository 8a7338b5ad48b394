"""The moments of an attempt, in the words of the tables."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What is measured, in milliseconds since the create was sent unless the words say otherwise.

    A limit names one by its name here in small letters.
    """

    CREATED = "accepted by the API server"
    RUN_SEEN = "run seen by a watch"
    POD_SEEN = "pod seen by a watch"
    CLAIM_SEEN = "claim seen by a watch"
    BOUND = "pod bound to the node, seen by a watch"
    FIRST_BORN = "PID 1 of the container made"
    OWN_BORN = "the worker's process made"
    LINE = "first line of the user's code"
    OVER = "end seen by a watch"
    RECORDED = "`finished` seen by a watch: the ledger has it"
    GONE = "pod's removal seen by a watch"
    THROTTLED = "held back by the CPU limit until the first line, for"
    CHILD_LINE = "parent's line → first line of its child"
    TURN = "parent's line → its next line"
    ANSWERED = "request → answer"
    ACCEPTED = "cancel → its acceptance seen by a watch"
    CANCELED = "cancel → end of a child that had not started, seen by a watch"

    @property
    def key(self) -> str:
        """As limits name it."""
        return self.name.lower()


Attempt = dict[Stage, float]
"""What one attempt took, in milliseconds by stage; stages that it has not are left out."""
