"""What servers say: read, or told to be garbage; and what of a log is new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.calls import news
from mayfly.gateway.calls.probe import NotAModel, model_schema
from mayfly.gateway.calls.replies import unseen
from mayfly.gateway.calls.versions import version_id


def test_an_output_keeps_the_servers_text() -> None:
    told = news.read(b'{"status":"succeeded","output": {"a": 1.0, "b": 12345678901234567890} }')
    assert told.output == '{"a": 1.0, "b": 12345678901234567890}'
    assert told.ended


def test_an_error_loses_the_servers_prefix() -> None:
    body = b'{"status":"failed","error":"Prediction failed: Prediction failed: ValueError: x"}'
    assert news.read(body).error == "ValueError: x"


def test_time_is_rounded_up_to_milliseconds() -> None:
    body = b'{"status":"succeeded","metrics":{"predict_time":0.0101}}'
    assert news.read(body).active_ms == 11


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"status":"done"}',
        b'{"status":5}',
        b'{"output":1}',
        b'{"status":"succeeded","output":NaN}',
        b"\xff\xfe",
        b'{"status":"succeeded","output":' + b"[" * 100_000,
    ],
)
def test_garbage_is_told_to_be_garbage(body: bytes) -> None:
    with pytest.raises(news.Garbage):
        news.read(body)


@pytest.mark.parametrize("time", ["-1", "true", '"x"', "1e300", "null"])
def test_a_time_that_is_none_is_none(time: str) -> None:
    body = f'{{"status":"succeeded","metrics":{{"predict_time":{time}}}}}'.encode()
    assert news.read(body).active_ms is None


@given(st.lists(st.text(max_size=20), max_size=20))
def test_a_log_that_grows_is_kept_once(pieces: list[str]) -> None:
    kept, whole = "", ""
    for piece in pieces:
        whole += piece
        for _ in range(2):
            kept += unseen(kept, whole, whole=len(kept.encode("utf-8", "replace")))
    assert kept == whole.encode("utf-8", "replace").decode()


def test_a_log_of_which_the_end_is_told_goes_on_behind_what_is_known() -> None:
    lines = [f"line {number}\n" for number in range(2000)]
    known = "".join(lines[:1200])
    told = "".join(lines[1000:1500])
    fresh = unseen(known, told, whole=len(known))
    assert known + fresh == "".join(lines[:1500])


@pytest.mark.parametrize("lines", [8, 2000])
@pytest.mark.parametrize("late", [1, 3, 0.9])
def test_a_log_that_was_overtaken_by_a_newer_one_adds_nothing(lines: int, late: float) -> None:
    log = "".join(f"line {number}\n" for number in range(lines))
    older = "".join(f"line {number}\n" for number in range(int(lines * late) if late < 1 else late))
    assert unseen(log, older, whole=len(log)) == ""


def test_a_version_is_its_schema_whatever_the_order_of_keys() -> None:
    one = {"a": {"b": 1, "c": 2}}
    other = {"a": {"c": 2, "b": 1}}
    assert version_id("u", one) == version_id("u", other)
    assert version_id("u", one) != version_id("v", one)
    assert len(version_id("u", one)) == 64


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"components": []},
        {"components": {"schemas": {}}},
        {"components": {"schemas": {"Input": {"properties": [1]}}}},
        {"components": {"schemas": {"Input": {"properties": {"x": 1}}}}},
        {"components": {"schemas": {"Input": {"properties": {}}}}, "x": "y" * 2**20},
    ],
)
def test_a_schema_that_describes_no_model_is_none(schema: dict) -> None:
    with pytest.raises(NotAModel):
        model_schema(schema)
