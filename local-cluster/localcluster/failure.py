"""The exception that ends a command with a message for people."""


class Failure(Exception):
    """A problem that the user has to act on; the message says what it is and where to look."""
