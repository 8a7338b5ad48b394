import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import strict_json

TEXTS = [
    ("NaN", "it is not JSON: it holds NaN"),
    ("[-Infinity]", "it is not JSON: it holds -Infinity"),
    ("1e999", "it holds a number that is too large: 1e999"),
    ("9" * 5000, "it holds an integer with too many digits"),
    ("[" * 100_000, "it is nested too deeply"),
    ("{", "it is not JSON: Expecting property name"),
]


@pytest.mark.parametrize(("text", "words"), TEXTS)
def test_what_is_refused(text, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        strict_json.parse(text, "it")
    with pytest.raises(ValueError, match=f"^{words}"):
        strict_json.parse_at(f"x{text}", 1, "it")


def test_more_than_one_value_is_no_text_but_ends_a_part():
    with pytest.raises(ValueError, match="it is not JSON: Extra data"):
        strict_json.parse("1 2", "it")
    assert strict_json.parse_at('{"a":1.0,', 5, "it") == (1.0, 8)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists))
def test_what_python_writes_is_read_again_or_was_not_json(value):
    text = json.dumps(value)
    if any(name in text for name in ("NaN", "Infinity")) and not _is_json(value):
        with pytest.raises(ValueError, match="it holds"):
            strict_json.parse(text, "it")
    else:
        assert strict_json.parse(text, "it") == value


def _is_json(value):
    if isinstance(value, list):
        return all(map(_is_json, value))
    return not isinstance(value, float) or math.isfinite(value)


def test_a_lone_surrogate_stays_what_it_was():
    assert strict_json.parse(r'"\ud800"', "it") == "\ud800"
