"""What a run knows about itself: the token for downstream calls, and its cancellation."""

from typing import Any


class ExperimentalFeatureWarning(FutureWarning):
    """Named by clients that silence it; never raised here."""


class CancelationException(BaseException):
    """Raised inside `main()` when the run is cancelled or out of time.

    Not an `Exception`, so that an author's `except Exception` does not swallow it. After a
    grace period the process is killed.
    """


CancellationException = CancelationException


class Scope:
    """The run's scope. One process runs one run, so every thread sees the same."""

    def __init__(self) -> None:
        self.context: dict[str, str] = {}
        self.metrics: dict[str, Any] = {}

    def record_metric(self, name: str, value: Any) -> None:
        """Accepted for pipelines that call it; nothing reports it."""
        self.metrics[name] = value


_scope = Scope()


def current_scope() -> Scope:
    """The scope of this process's run; Replicate's client reads its token here."""
    return _scope
