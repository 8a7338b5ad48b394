"""What the controller's work queue is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Subject = Literal["run", "pipeline", "runtime"]


@dataclass(frozen=True, order=True)
class Key:
    """Something to look at: a run, a Pipeline or a PipelineRuntime, by its name."""

    subject: Subject
    namespace: str
    name: str
