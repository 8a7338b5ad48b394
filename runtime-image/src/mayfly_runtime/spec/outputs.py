"""Shared by agent and worker for outputs: item limit, error, names of places."""

MAX_ITEMS = 100_000
"""Maximum number of items of an iterator output; each is a message to the gateway."""


class OutputError(Exception):
    """The output can't be used; `reason` is the run's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
