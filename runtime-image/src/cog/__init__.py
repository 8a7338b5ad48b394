"""The names that pipelines import from `cog`, by Mayfly.

This is not Replicate's package: coglet 0.1.0a31, which the reference names, is on no registry,
and a pipeline needs only these few names. Standard library only; `BaseModel` loads the locked
pydantic when it is first asked for.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from cog.inputs import Input, InputInfo
from cog.scope import (
    CancelationException,
    CancellationException,
    ExperimentalFeatureWarning,
    Scope,
    current_scope,
)
from cog.types import (
    AsyncConcatenateIterator,
    BasePredictor,
    ConcatenateIterator,
    File,
    Path,
    Secret,
)

if TYPE_CHECKING:
    from cog.model import BaseModel

__version__ = "0.1.0+mayfly"

__all__ = [
    "AsyncConcatenateIterator",
    "AsyncIterator",
    "BaseModel",
    "BasePredictor",
    "CancelationException",
    "CancellationException",
    "ConcatenateIterator",
    "ExperimentalFeatureWarning",
    "File",
    "Input",
    "InputInfo",
    "Iterator",
    "Path",
    "Scope",
    "Secret",
    "current_scope",
]


def __getattr__(name: str) -> Any:
    # pydantic takes 70 ms to import, and most pipelines return plain values.
    if name == "BaseModel":
        from cog.model import BaseModel  # noqa: PLC0415 see above

        return BaseModel
    raise AttributeError(f"module 'cog' has no attribute {name!r}")
