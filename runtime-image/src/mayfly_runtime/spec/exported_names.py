"""What `from … import *` brings, of the modules whose names matter in a signature."""

import collections.abc
import typing
from collections.abc import Iterable

COG_NAMES = {
    "AsyncConcatenateIterator", "AsyncIterator", "BaseModel", "BasePredictor",
    "CancelationException", "CancellationException", "ConcatenateIterator",
    "ExperimentalFeatureWarning", "File", "Input", "InputInfo", "Iterator", "Path", "Scope",
    "Secret", "current_scope",
}  # fmt: skip
_PATHLIB = {"PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath"}
EXPORTED: dict[str, Iterable[str]] = {
    "cog": COG_NAMES,
    "typing": typing.__all__,
    "typing_extensions": typing.__all__,
    "collections.abc": collections.abc.__all__,
    "pathlib": _PATHLIB,
}
