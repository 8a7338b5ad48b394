"""Unexpected errors of the agent: PID 1 goes on, and ends its run in words."""

import sys

from mayfly_runtime.spec.printable import first_line


def error_in_words(error: Exception) -> str:
    """An unexpected error for the run's own error; where it happened goes to the pod's log."""
    import traceback  # noqa: PLC0415 takes 50 ms, and is hardly ever needed

    # Only where: the text of an error in the pod's log might hold a secret.
    sys.stderr.write(f"mayfly-agent: unexpected {type(error).__name__}\n")
    traceback.print_tb(error.__traceback__)
    shown = first_line(str(error))
    return f"{type(error).__name__}: {shown} (an error of Mayfly's agent: see the pod's log)"
