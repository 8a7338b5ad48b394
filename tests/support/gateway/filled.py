"""A ledger with as much in it as the web UI has to bear: many runs, a large tree, a long log."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from uuid import UUID

from sqlalchemy import insert
from support.bills import PRICES

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import utc_now
from mayfly.database.engine import Database
from mayfly.gateway.lifecycle.archive import log_chunks, logs
from mayfly.metering.ledger import RunRow
from mayfly.metering.tables import MODEL, RUN, runs

BATCH = 2_000
NAMESPACE = "team"
OUTCOMES = ("succeeded", "succeeded", "succeeded", "failed", "canceled")
REASONS = {"succeeded": "Succeeded", "failed": "Error", "canceled": "Canceled"}


def ended_runs(number: int, until: datetime | None = None, seed: int = 1) -> Iterator[RunRow]:
    """So many ended predictions without children, the newest first, a second apart."""
    dice = random.Random(seed)
    until = until or utc_now()
    for position in range(number):
        outcome = dice.choice(OUTCOMES)
        created = until - timedelta(seconds=position)
        row = _row(dice, created, f"run-{position}", outcome)
        yield replace(row, pipeline=dice.choice(("answer", "draw", "story")))


def tree(nodes: int, levels: int, seed: int = 2) -> Iterator[RunRow]:
    """A tree of so many predictions: one path of so many levels, the others below random nodes."""
    dice = random.Random(seed)
    began = utc_now() - timedelta(hours=1)
    above: list[RunRow] = []
    for position in range(nodes):
        parent = None if not above else above[-1] if position < levels else dice.choice(above)
        row = _row(dice, began + timedelta(milliseconds=40 * position), f"node-{position}")
        if parent is not None:
            leaf = position >= levels
            row = replace(
                row,
                root_uid=above[0].uid,
                parent_uid=parent.uid,
                depth=parent.depth + 1,
                kind=MODEL if leaf and dice.random() < 0.3 else RUN,
            )
        if row.kind == RUN and row.depth < levels:
            above.append(row)
        yield row


def _row(dice: random.Random, created: datetime, name: str, outcome: str = "succeeded") -> RunRow:
    uid = str(UUID(int=dice.getrandbits(128)))
    started = created + timedelta(milliseconds=dice.randrange(20, 900))
    active_ms = dice.randrange(1, 60_000)
    ended = started + timedelta(milliseconds=active_ms)
    return RunRow(
        uid=uid,
        id=run_id(uid),
        namespace=NAMESPACE,
        name=name,
        pipeline_namespace=NAMESPACE,
        pipeline="answer",
        version="c" * 64,
        root_uid=uid,
        parent_uid=None,
        depth=1,
        runtime_digest="",
        prices=PRICES,
        currency="USD",
        input_json=f'{{"prompt": "picture {name}", "steps": {dice.randrange(1, 50)}}}',
        output=None if outcome != "succeeded" else '"done"',
        created_at=created,
        opened_at=created,
        sent_at=started,
        started_at=started,
        active_ms=active_ms,
        outcome=outcome,
        reason=REASONS[outcome],
        error="ValueError: the picture is empty" if outcome == "failed" else "",
        completed_at=ended,
        journalled_at=ended,
        closed_at=ended,
        closed_by="gateway",
        downstream=Decimal(0),
    )


async def write(database: Database, rows: Iterable[RunRow]) -> None:
    """Write rows, in batches."""
    left = iter(rows)
    while batch := [vars(each) for each in islice(left, BATCH)]:
        async with database.write(bulk=True) as tx:
            await tx.execute(insert(runs), batch)


async def write_log(database: Database, uid: str, lines: int) -> str:
    """Write a log of so many lines, with colours and a bar of progress. Returns the text."""
    text = "".join(_line(number) for number in range(lines))
    raw = text.encode()
    pieces = [raw[start : start + 60_000] for start in range(0, len(raw), 60_000)]
    position, chunks = 0, []
    for piece in pieces:  # plain ASCII, so that no character is cut
        chunks.append(
            {"run_uid": uid, "position": position, "size": len(piece), "data": piece.decode()}
        )
        position += len(piece)
    async with database.write(bulk=True) as tx:
        await tx.execute(insert(log_chunks), chunks)
        whole = {"run_uid": uid, "received": position, "kept": position, "dropped": 0}
        await tx.execute(insert(logs), whole)
    return text


def _line(number: int) -> str:
    if number % 100 == 7:
        return f"\x1b[33mwarning\x1b[0m line {number}: slow\n"
    if number % 100 == 8:
        return f"10 %\r50 %\r100 % of step {number}\n"
    return f"line {number}: https://example.com/step/{number} done\n"
