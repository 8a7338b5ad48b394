import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.lifecycle.text import utf8_head, utf8_tail
from mayfly.gateway.runs.messages import BadMessage, Heartbeat, Hello, Log, Output, Result, parse


def test_messages_are_read() -> None:
    assert parse('{"type":"hello","protocol":1,"state":"idle"}') == Hello(
        type="hello", protocol=1, state="idle"
    )
    assert parse('{"type":"heartbeat","run":"r","activeMs":5,"later":true}') == Heartbeat(
        type="heartbeat", run="r", active_ms=5
    )
    result = parse(
        '{"type":"result","run":"r","attempt":1,"outcome":"failed","reason":"UserError",'
        '"error":"no","outputJSON":null,"started":true,"startedAt":"2026-01-01T00:00:00.000001Z",'
        '"completedAt":null,"activeMs":1,"logBytes":2}'
    )
    assert isinstance(result, Result)
    assert result.output_json is None
    assert result.started_at is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"type":"work"}',
        '{"type":"hello"}',
        '{"type":"log","run":"r","offset":9007199254740993,"data":""}',
        '{"type":"log","run":"","offset":0,"data":""}',
        '{"type":"log","run":"r","offset":0,"data":"' + "x" * (1024**2 + 1) + '"}',
        '{"type":"heartbeat","run":"r","activeMs":-1}',
        '{"type":"started","run":"r","attempt":1,"at":"2026-01-01T00:00:00"}',
        '{"type":"output","run":"r","index":0,"value":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        parse(text)


def test_numbers_of_an_item_stay_what_they_are() -> None:
    text = "[1.0,123456789012345678901]"
    fields = {"type": "output", "run": "r", "index": 0}
    message = parse(json.dumps({**fields, "itemsJSON": [text]}))
    assert isinstance(message, Output)
    assert message.items_json == [text]
    # An agent from before an upgrade has one item a message, as a value.
    assert parse('{"type":"output","run":"r","index":0,"value":' + text + "}") == message


@given(st.text(), st.integers(0, 40))
def test_ends_of_a_text_fit(text: str, size: int) -> None:
    head, tail = utf8_head(text, size), utf8_tail(text, size)
    assert len(head.encode()) <= size
    assert len(tail.encode()) <= size
    assert text.startswith(head)
    assert text.endswith(tail)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
def test_any_log_is_read(data: str, offset: int) -> None:
    text = json.dumps({"type": "log", "run": "r", "offset": offset, "data": data})
    assert parse(text) == Log(type="log", run="r", offset=offset, data=data)
