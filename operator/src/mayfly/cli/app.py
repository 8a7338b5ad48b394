"""The command `mayfly`: its nouns, and how errors are shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from mayfly.cli import usage, web
from mayfly.cli.api import Failure

NOUNS = ("usage", "open")


def program() -> typer.Typer:
    """The command line with every noun."""
    app = typer.Typer(name="mayfly", no_args_is_help=True, add_completion=False)
    app.add_typer(usage.commands(), name="usage")
    app.command("open")(web.open_ui)

    @app.callback()
    def mayfly() -> None:
        """Ask a gateway."""

    return app


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Returns:
        0; 1 where it failed; 2 where it was called wrongly.
    """
    try:
        program()(args=list(arguments), prog_name="mayfly", standalone_mode=True)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
