"""`mayfly usage`: reports, explanations, FOCUS files, closing a month."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mayfly.cli.api import Api

TIMES = "×"  # noqa: RUF001 - it is what it looks like

PLAIN_WIDTH = 200
"""Width of the output when it is piped: nothing is to be cut."""

SUMS = ("predictions", "active seconds", "items", "tokens", "cost", "")

From = Annotated[
    str | None,
    typer.Option(
        "--from", help="A date or time, UTC, inclusive; by default, the start of the month."
    ),
]
To = Annotated[str | None, typer.Option("--to", help="A date or time, UTC, exclusive.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace; by default, all namespaces.")
]
By = Annotated[
    str | None,
    typer.Option("--by", help="namespace, pipeline, model, day, tree; comma-separated."),
]


def commands() -> typer.Typer:
    """The noun's commands."""
    app = typer.Typer(
        help="Usage reports, explanations of bills, FOCUS exports, closed months.",
        invoke_without_command=True,
    )
    app.callback()(report)
    app.command()(explain)
    app.command()(focus)
    app.command()(close)
    app.command()(verify)
    return app


def report(
    context: typer.Context,
    by: By = None,
    since: From = None,
    to: To = None,
    namespace: Namespace = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, without the total.")] = False,
) -> None:
    """What was used, and what it costs; by default this month, by namespace."""
    if context.invoked_subcommand is not None:
        return
    asked = {"by": by or "namespace", "from": since, "to": to, "namespace": namespace}
    api = Api.of_environment()
    if csv:
        _pass_on(api.text("/v1/usage", **asked, format="csv"))
        return
    _show_report(api.get("/v1/usage", **asked))


def explain(
    name: Annotated[str, typer.Argument(help="The name of a run, or the id of a prediction.")],
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="The run's namespace; by default, your ServiceAccount's."
        ),
    ] = None,
) -> None:
    """Why a run or a prediction costs what it costs, line by line."""
    asked = {"name": name, "namespace": namespace}
    for line in explained(Api.of_environment().get("/v1/usage/explain", **asked)):
        print(line)


def focus(since: From = None, to: To = None, namespace: Namespace = None) -> None:
    """Usage as a FOCUS 1.2 file (CSV)."""
    asked = {"from": since, "to": to, "namespace": namespace}
    _pass_on(Api.of_environment().text("/v1/usage/focus", **asked))


def close(month: Annotated[str, typer.Argument(help="A month, such as 2030-01.")]) -> None:
    """Close a month that is over: count and sum of its records stay what they are."""
    _show_period(Api.of_environment().post(f"/v1/usage/periods/{_word(month)}/close"))


def verify(month: Annotated[str, typer.Argument(help="A month, such as 2030-01.")]) -> None:
    """Count a closed month once more; the exit code is 1 where it comes to something else."""
    found = Api.of_environment().get(f"/v1/usage/periods/{_word(month)}/verify")
    _show_period(found)
    if not found["matches"]:
        now = found["now"]
        print(f"The result has changed: {_sums(now)}, sha256 {now['sha256']}.")
        raise typer.Exit(1)
    print("The result is unchanged.")


def _word(text: str) -> str:
    """An argument that may be part of a path; anything else can't be a month."""
    return text if text.replace("-", "").isalnum() and text.isascii() else "-"


def _pass_on(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.write(piece)


# -- tables --------------------------------------------------------------------------------------


def _console() -> Console:
    plain = Console()
    return plain if plain.is_terminal else Console(width=PLAIN_WIDTH)


def _show_report(found: dict[str, Any]) -> None:
    where = found["namespace"] or "all namespaces"
    until = f"before {found['to']}" if found["to"] else "now"
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=False)
    for key in found["by"]:
        table.add_column(key, overflow="fold")
    for name in SUMS:
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in found["rows"]:
        table.add_row(*(row[key] or "-" for key in found["by"]), *_cells(row))
    if len(found["rows"]) > 1:
        table.add_section()
        for total in found["totals"]:
            names = ["total", *("" for _ in found["by"][1:])]
            table.add_row(*names[: len(found["by"])], *_cells(total), style="bold")
    console = _console()
    console.print(f"{where}, from {found['from']} until {until}", highlight=False, markup=False)
    if found["rows"]:
        console.print(table, highlight=False, markup=False)
    else:
        console.print("Nothing was recorded in this time.")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["predictions"]),
        _seconds(row["active_milliseconds"]),
        str(row["output_items"]),
        str(row["input_tokens"] + row["output_tokens"]),
        row["cost"],
        row["currency"],
    )


def _seconds(milliseconds: int) -> str:
    sign, number = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    return f"{sign}{number // 1000}.{number % 1000:03}"


def _show_period(found: dict[str, Any]) -> None:
    print(f"{found['period']}, closed {found['closed_at']} by {found['closed_by']}: {_sums(found)}")
    print(f"sha256 {found['sha256']}")


def _sums(found: dict[str, Any]) -> str:
    parts = [f"{each['cost']} {each['currency']}" for each in found["sums"]]
    return ", ".join([f"{found['records']} records", *parts])


# -- the arithmetic ------------------------------------------------------------------------------


def explained(bill: dict[str, Any]) -> list[str]:
    """The lines of an explanation; every number in them is exact."""
    currency = bill["currency"]
    lines = [
        f"{bill['id']}  {bill['model']}  {bill['outcome']}"
        + (f" ({bill['reason']})" if bill["reason"] != bill["outcome"].capitalize() else ""),
        f"{bill['namespace']}/{bill['name']}, recorded {bill['recorded_at']}",
        _active(bill),
    ]
    lines += [f"flag {each['flag']}: {each['sentence']}" for each in bill["contradictions"]]
    parts = [
        (each["meter"], f"{each['quantity']} {TIMES} {each['unit_price']}", each["amount"])
        for each in bill["charges"]
    ]
    lines += ["", *_aligned(parts or [("no price", "", "0")])]
    lines += [f"billed {bill['billed']} {currency}"]
    for each in bill["corrections"]:
        lines += [
            f"correction {each['cost']} {currency}, {each['recorded_at']}, {each['author']}: "
            f"{each['why']}"
        ]
    if bill["corrections"]:
        lines += [f"cost {bill['cost']} {currency}"]
    if bill["downstream_predictions"]:
        lines += ["", *_aligned([_part(each) for each in bill["downstream"]])]
        left = bill["downstream_predictions"] - len(bill["downstream"])
        lines += [f"and {left} more"] if left else []
        lines += [f"downstream {bill['downstream_cost']} {currency}"]
    word = "" if bill["final"] else " so far: something below has not ended"
    lines += ["", f"total {bill['total_cost']} {currency}{word}"]
    return lines


def _active(bill: dict[str, Any]) -> str:
    if bill["started_at"] is None:
        return "never started: no active time"
    return (
        f"active {_seconds(bill['active_milliseconds'])} s, "
        f"between {bill['started_at']} and {bill['completed_at']}"
    )


def _part(part: dict[str, Any]) -> tuple[str, str, str]:
    active = _seconds(part["active_milliseconds"])
    return (f"{part['id']} {part['model']}", f"{part['outcome']}, {active} s", part["cost"])


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    first, second = (max(len(row[place]) for row in rows) for place in (0, 1))
    return [f"  {a.ljust(first)}  {b.ljust(second)}  = {c}" for a, b, c in rows]
