"""What agent and worker both know of outputs: the bound on items, and the error."""

MAX_ITEMS = 100_000
"""Items of an iterator output; each is a message to the gateway."""


class OutputError(Exception):
    """The output can't be served; `reason` is the run's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
