"""What the controller's work queue is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Subject = Literal["run", "pipeline", "runtime", "model", "pool"]


@dataclass(frozen=True, order=True)
class Key:
    """Something to look at: a run, Pipeline, PipelineRuntime or Model, by its name.

    A pool of waiting pods has the name of its runtime and the namespace of its pods.
    """

    subject: Subject
    namespace: str
    name: str
