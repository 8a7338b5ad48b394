"""`mayfly.dev/v1alpha1`."""

from mayfly.api.v1alpha1.conditions import Condition, ConditionType, Reason
from mayfly.api.v1alpha1.model import Model, ModelSpec, ModelStatus
from mayfly.api.v1alpha1.pipeline import Pipeline, PipelineSpec, PipelineStatus
from mayfly.api.v1alpha1.pipelinerun import (
    PipelineRun,
    PipelineRunSpec,
    PipelineRunStatus,
    PipelineRunTemplate,
    RootRef,
    Usage,
)
from mayfly.api.v1alpha1.pipelineruntime import (
    PipelineRuntime,
    PipelineRuntimeSpec,
    PipelineRuntimeStatus,
    Price,
    Warm,
    WarmStatus,
)
from mayfly.api.v1alpha1.pipelineversion import PipelineVersion, PipelineVersionSpec
from mayfly.api.v1alpha1.resource import GROUP, VERSION, Metadata, Resource
from mayfly.api.v1alpha1.source import Source

__all__ = [
    "GROUP",
    "VERSION",
    "Condition",
    "ConditionType",
    "Metadata",
    "Model",
    "ModelSpec",
    "ModelStatus",
    "Pipeline",
    "PipelineRun",
    "PipelineRunSpec",
    "PipelineRunStatus",
    "PipelineRunTemplate",
    "PipelineRuntime",
    "PipelineRuntimeSpec",
    "PipelineRuntimeStatus",
    "PipelineSpec",
    "PipelineStatus",
    "PipelineVersion",
    "PipelineVersionSpec",
    "Price",
    "Reason",
    "Resource",
    "RootRef",
    "Source",
    "Usage",
    "Warm",
    "WarmStatus",
]
