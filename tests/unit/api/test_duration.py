"""One grammar of durations: what people write for timeouts, deadlines, retention, Cancel-After."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from support.builders import NOW

from mayfly.api.crd import KINDS, schema
from mayfly.api.v1alpha1.duration import LONGEST, PATTERN, Duration, seconds

UNITS = {"ms": Fraction(1, 1000), "s": 1, "m": 60, "h": 3600, "d": 86_400}
BOUNDED: TypeAdapter[str] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("7d", 604_800),
        ("1d12h", 129_600),
        ("0.5d", 43_200),
        ("1m500ms", 60.5),
    ],
)
def test_durations(text, value):
    assert seconds(text) == value
    assert BOUNDED.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "5", "soon", "-1s", "1w", "1s ", " 1s", "1 s", "1s\n", ".5h", "1.h", "1e3s", "1D", "٣s"],
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


def test_a_text_without_end_is_no_duration():
    with pytest.raises(ValueError, match="duration"):
        seconds("9" * 400 + "d")


@pytest.mark.parametrize("text", ["30d", "720h", "1ms", "29d24h", "0s1ms"])
def test_a_deadline_is_more_than_nothing_and_at_most_30_days(text):
    assert BOUNDED.validate_python(text) == text


@pytest.mark.parametrize("text", ["0s", "0d0h0.0m", "30d1ms", "721h", "31d", "43200.1m"])
def test_a_deadline_out_of_bounds(text):
    with pytest.raises(ValidationError, match="more than 0 and at most 30d"):
        BOUNDED.validate_python(text)


@given(st.text(st.sampled_from("019.smhd٣\uff16e+- \n"), max_size=40) | st.text(max_size=40))
def test_any_text_is_refused_in_words_or_has_a_length_that_can_be_reckoned_with(text):
    def refused(read, words):
        with pytest.raises(ValueError, match=words):
            read(text)

    if not re.fullmatch(PATTERN, text) or len(text) > 32:
        refused(seconds, "is not a duration")
        refused(BOUNDED.validate_python, "pattern|at most 32")
    elif not 0 < seconds(text) <= LONGEST:
        refused(BOUNDED.validate_python, "more than 0 and at most 30d")
    else:
        assert BOUNDED.validate_python(text) == text
        assert NOW + timedelta(seconds=seconds(text))


@given(
    st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 99), st.sampled_from(["ms", "s", "h", "d"])),
        min_size=1,
        max_size=5,
    )
)
def test_what_the_api_servers_rule_lets_in_is_read(terms):
    """The rule adds one after the other; Python's `sum` is more exact."""
    text = "".join(f"{whole}.{part:02d}{unit}" for whole, part, unit in terms)
    total = 0.0
    for whole, part, unit in terms:
        number = float(f"{whole}.{part:02d}")
        total += number / 1000.0 if unit == "ms" else number * float(UNITS[unit])
    if len(text) <= 32 and re.search("[1-9]", text) and total <= LONGEST:
        assert BOUNDED.validate_python(text) == text


@given(
    st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 99), st.sampled_from(sorted(UNITS))),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_printed_is_read_again(terms):
    text = "".join(f"{whole}.{part:02d}{unit}" for whole, part, unit in terms)
    exact = sum((whole + Fraction(part, 100)) * UNITS[unit] for whole, part, unit in terms)
    if len(text) <= 32:
        assert seconds(text) == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


def durations(node: object, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a schema that look like durations: by their name, example or default."""
    if not isinstance(node, dict):
        return
    description = str(node.get("description", ""))  # of a field, or a field of this name
    texts = {str(node.get("default", "")), *re.findall(r"\b90s\b", description)}
    if node.get("type") == "string" and any(re.fullmatch(r"[0-9]+[smh]", each) for each in texts):
        yield name, node
    for key, each in node.items():
        yield from durations(each, key)


def test_every_duration_of_a_kind_has_the_one_grammar_and_its_bounds():
    found = [(kind.kind_name, *each) for kind in KINDS for each in durations(schema(kind))]
    assert {(kind, name) for kind, name, _ in found} >= {
        ("Pipeline", "timeout"),
        ("PipelineRun", "startDeadline"),
        ("Model", "timeout"),
    }
    for kind, name, field in found:
        assert field["pattern"] == PATTERN, (kind, name)
        assert len(field["x-kubernetes-validations"]) == 2, (kind, name)
