"""The one exception that ends a command with a sentence for a person."""


class Failure(Exception):
    """Something that a person has to act on; the message says what and where to look."""
