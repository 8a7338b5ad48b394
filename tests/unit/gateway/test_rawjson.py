import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.http import rawjson

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    LEAVES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def test_raw_text_goes_in_as_it_is() -> None:
    body = rawjson.dumps({"a": "x\n", "output": rawjson.RawJSON("{ 1.0 }"), "b": None})
    assert body == '{"a":"x\\n","output":{ 1.0 },"b":null}'


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 2]), st.booleans())
def test_members_are_cut_out_and_mean_the_same(
    value: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    members = rawjson.split(f"\n {text}\t")
    assert {name: json.loads(each) for name, each in members.items()} == value


def test_numbers_keep_their_digits_and_the_last_of_equal_names_stands() -> None:
    text = '{"a": 1, "a" : 1.00 ,"b":12345678901234567890123}'
    assert rawjson.split(text) == {"a": "1.00", "b": "12345678901234567890123"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a"}', '{"a":}', '{"a":1,}', "{,}", '{"a":1}x', "{1:2}", '{"a" 1}', '"{}"',
     '{"a":NaN}', '{"a":' + "[" * 100_000, '{"a":1 "b":2}'],
)  # fmt: skip
def test_what_is_no_object_is_told_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        rawjson.split(text)
