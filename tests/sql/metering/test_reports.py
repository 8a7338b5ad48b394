"""Reports: every record in one row and once, sums exact, whatever the size of a batch."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from support.bills import bill, correction, uid
from support.servers.postgresql import BOTH

from mayfly.api.v1alpha1.identity import run_id
from mayfly.database.engine import Database
from mayfly.gateway.billing import routes
from mayfly.metering import records, reports
from mayfly.metering.records import UsageRecord, exact_sum
from mayfly.metering.reports import Key, Row, Span
from mayfly.metering.sums import usage_days

pytestmark = BOTH


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.create()
    yield database
    await database.close()


async def write(database: Database, *found: UsageRecord) -> None:
    async with database.write() as tx:
        for each in found:
            assert await records.add(tx, each)


def day(number: int) -> datetime:
    return datetime(2026, 10, number, tzinfo=UTC)


async def test_each_key_splits_and_no_split_changes_the_sum(database: Database) -> None:
    root = bill(1)
    made = [
        root,
        bill(2, root_uid=root.run_uid, parent_uid=root.run_uid, depth=2, outcome="failed"),
        bill(3, kind="model", called="acme/llm", namespace="other", input_tokens=1_234_567),
        bill(4, recorded_at=day(31) + timedelta(hours=23, minutes=59)),
        correction(root, 1, "-0.003", recorded_at=day(20)),
    ]
    await write(database, *made)
    shown = {
        key: [
            (row.keys[0], row.predictions) for row in await reports.report(database, Span(), [key])
        ]
        for key in Key
    }
    assert shown == {
        Key.NAMESPACE: [("other", 1), ("team", 3)],
        Key.PIPELINE: [(None, 1), ("team/answer", 3)],
        Key.MODEL: [(None, 3), ("acme/llm", 1)],
        Key.DAY: [("2026-10-05", 3), ("2026-10-20", 0), ("2026-10-31", 1)],
        Key.TREE: [(run_id(uid(1)), 2), (run_id(uid(3)), 1), (run_id(uid(4)), 1)],
    }
    for keys in ([], [Key.DAY], list(Key)):
        rows = await reports.report(database, Span(), keys)
        (total,) = reports.totals_of(rows)
        assert total.cost == exact_sum(row.cost for row in rows) == exact_sum(r.cost for r in made)
        assert total.active_ms == sum(each.active_ms for each in made)
        assert (total.predictions, total.input_tokens) == (4, 1_234_567)


async def test_runs_that_bring_their_own_source_are_one_row_a_day(database: Database) -> None:
    made = [bill(number, pipeline="") for number in range(5)]
    made.append(bill(5, pipeline="", recorded_at=day(7)))
    await write(database, *made, bill(6), correction(made[0], 1, "-0.003"))
    async with database.read() as tx:
        days = (await tx.execute(select(usage_days).order_by("day", "model"))).all()
    assert [(row.day, row.model, row.predictions) for row in days] == [
        ("2026-10-05", "(inline)", 5),
        ("2026-10-05", "team/answer", 1),
        ("2026-10-07", "(inline)", 1),
    ]
    # Of the days' sums, and of the records themselves.
    for span in (Span(), Span(day(5) + timedelta(hours=1), day(5) + timedelta(hours=23))):
        rows = await reports.report(database, span, [Key.PIPELINE])
        assert [row.keys for row in rows] == [("(inline)",), ("team/answer",)]


async def test_a_span_has_its_first_moment_and_not_its_last(database: Database) -> None:
    moments = [day(1), day(2), day(3) - timedelta(microseconds=1), day(3)]
    await write(database, *(bill(number, recorded_at=at) for number, at in enumerate(moments)))
    (row,) = await reports.report(database, Span(day(2), day(3)), [])
    assert row.predictions == 2
    assert await reports.report(database, Span(day(4)), []) == []
    (team,) = await reports.report(database, Span(namespace="team"), [])
    assert team.predictions == 4
    assert await reports.report(database, Span(namespace="other"), []) == []


async def test_batches_lose_and_repeat_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most have one moment, so that a batch ends between two of them."""
    made = [bill(number, recorded_at=day(1 + number // 20)) for number in range(50)]
    await write(database, *made)
    monkeypatch.setattr(reports, "BATCH", 7)
    found = [each.record_id async for each in reports.records(database, Span())]
    assert found == sorted(each.record_id for each in made)


async def test_an_export_is_sent_in_pieces_of_some_lines(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [bill(number, recorded_at=day(1 + number)) for number in range(30)]
    await write(database, *made)
    monkeypatch.setattr(reports, "BATCH", 4)
    monkeypatch.setattr(routes, "LINES", 7)
    found = routes.exported(
        database, Span(), reports.HEADER, lambda each, _: [reports.line_of(each)]
    )
    pieces = [piece async for piece in found]
    assert "".join(pieces) == "".join([reports.HEADER, *map(reports.line_of, made)])
    assert [piece.count("\n") for piece in pieces] == [7, 7, 7, 7, 3]


async def test_sums_are_exact_where_floats_are_not(database: Database) -> None:
    base = bill(0)
    costs = ["0.1", "0.2", "1" + "0" * 30, "0." + "0" * 29 + "1", "-0.3"]
    await write(database, *(replace(bill(n), cost=Decimal(c)) for n, c in enumerate(costs)))
    (row,) = await reports.report(database, Span(), [])
    assert row == Row(
        (),
        "USD",
        predictions=5,
        active_ms=5 * base.active_ms,
        output_items=5,
        cost=Decimal("1" + "0" * 30 + "." + "0" * 29 + "1"),
    )


async def test_two_currencies_are_two_rows_and_two_totals(database: Database) -> None:
    await write(database, bill(1), bill(2, currency="EUR"))
    rows = await reports.report(database, Span(), [Key.NAMESPACE])
    assert [(row.keys, row.currency) for row in rows] == [(("team",), "EUR"), (("team",), "USD")]
    assert [row.currency for row in reports.totals_of(rows)] == ["EUR", "USD"]


async def test_a_report_of_too_many_rows_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, *(bill(number) for number in range(5)))
    monkeypatch.setattr(reports, "MAX_ROWS", 4)
    with pytest.raises(reports.TooManyRows):
        await reports.report(database, Span(), [Key.TREE])
    assert len(await reports.report(database, Span(), [Key.DAY])) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_kept_sums_are_those_of_the_records(database: Database, seed: int) -> None:
    """Whatever the span, with corrections, and with records that are written twice."""
    dice = random.Random(seed)
    made: list[UsageRecord] = []
    for number in range(60):
        at = day(1) + timedelta(hours=dice.randrange(24 * 6), microseconds=dice.randrange(2))
        kind = dice.choice(["run", "model"])
        namespace, pipeline = dice.choice(["team", "other"]), dice.choice(["answer", "ask", ""])
        spent, currency = dice.randrange(10**7), dice.choice(["USD", "EUR"])
        parts = {"kind": kind, "namespace": namespace, "pipeline": pipeline, "currency": currency}
        parts["called"] = dice.choice(["", "acme/llm"]) if kind == "model" else ""
        if made and dice.random() < 0.5:
            parts["root_uid"] = made[-1].root_uid
        made.append(bill(number, **parts, active_ms=spent, recorded_at=at))
        if dice.random() < 0.3:
            later = at + timedelta(hours=dice.randrange(30))
            made.append(correction(made[-1], 1, "-0.0000000000001", recorded_at=later))
    await write(database, *made)
    async with database.write() as tx:
        assert not any([await records.add(tx, each) for each in made])
    for _ in range(12):
        since, until = (day(1) + timedelta(hours=6 * dice.randrange(32)) for _ in range(2))
        namespace = dice.choice([None, "team"])
        span = Span(dice.choice([None, since]), dice.choice([None, max(since, until)]), namespace)
        for keys in (
            [],
            [Key.PIPELINE, Key.DAY],
            [Key.NAMESPACE, Key.MODEL],
            [Key.TREE],
            list(Key),
        ):
            rows = await reports.report(database, span, keys)
            wanted = [
                each
                for each in made
                if namespace in {None, each.namespace}
                and (span.since is None or each.recorded_at >= span.since)
                and (span.until is None or each.recorded_at < span.until)
            ]
            for total in reports.totals_of(rows):
                own = [each for each in wanted if each.currency == total.currency]
                assert total.cost == exact_sum(each.cost for each in own)
                assert total.active_ms == sum(each.active_ms for each in own)
                assert total.predictions == sum(each.corrects is None for each in own)
            if Key.DAY in keys:
                assert {row.keys[keys.index(Key.DAY)] for row in rows} == {
                    each.recorded_at.date().isoformat() for each in wanted
                }
            assert {(*row.keys, row.currency, row.cost) for row in rows} == grouped(wanted, keys)


def grouped(made: list[UsageRecord], keys: list[Key]) -> set[tuple[object, ...]]:
    """Keys, currency and cost of each row that a report of some records has."""
    costs: dict[tuple[object, ...], list[Decimal]] = {}
    for each in made:
        of = {
            Key.NAMESPACE: each.namespace,
            Key.PIPELINE: each.model if each.kind == "run" else None,
            Key.MODEL: None if each.kind == "run" else each.model,
            Key.DAY: each.recorded_at.date().isoformat(),
            Key.TREE: run_id(each.root_uid),
        }
        costs.setdefault((*(of[key] for key in keys), each.currency), []).append(each.cost)
    return {(*place, exact_sum(parts)) for place, parts in costs.items()}
