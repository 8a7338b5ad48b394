"""What main() may return, as JSON."""

import dataclasses
import datetime as dt
import enum
import io
import json
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import schema, strict_json
from mayfly_runtime.spec.outputs import OutputError
from mayfly_runtime.worker import encoder

LIMIT = 6 * 2**20


def encode(value):
    return encoder.encode(value, LIMIT).text


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Pair:
    a: int
    b: str


class Half(enum.Enum):
    ONE = "\ud800"


class Pydantic1:
    """As the locked pydantic's models look."""

    __fields__ = MappingProxyType({"file": None, "n": None})

    def __init__(self):
        self.file, self.n = Path("x.png"), 1.0


class OutputIterator:
    """As the client's: an iterable that is text when its schema says so."""

    def __init__(self, items, *, is_concatenate):
        self.items, self.is_concatenate = items, is_concatenate

    def __iter__(self):
        return iter(self.items)

    def __str__(self):
        return "".join(self.items)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (1.0, "1.0"),
        (10**30, str(10**30)),
        ("é\u0000", '"é\\u0000"'),
        ("\ud800", '"\\ud800"'),
        ({"b": 1, "a": (2, [3])}, '{"b":1,"a":[2,[3]]}'),
        ({1: "a", None.__class__.__name__: 2}, '{"1":"a","NoneType":2}'),
        ({True: 1}, '{"true":1}'),
        (frozenset({1}), "[1]"),
        (Colour.RED, '"red"'),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), '"2026-01-02T00:00:00+00:00"'),
        (Pair(1, "x"), '{"a":1,"b":"x"}'),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.str_("s"), '"s"'),
        (np.arange(4).reshape(2, 2), "[[0,1],[2,3]]"),
        ([OutputIterator(["a", "b"], is_concatenate=True)], '["ab"]'),
        ([OutputIterator(["a", "b"], is_concatenate=False)], '[["a","b"]]'),
    ],
)
def test_values(value, text):
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "output is nan, which is not JSON"),
        ({"a": {"b": [0, float("-inf")]}}, "output.a.b[1] is -inf, which is not JSON"),
        ([np.float64("nan")], "output[0] is nan, which is not JSON"),
        (np.array([1.0, np.inf]), "output[1] is inf, which is not JSON"),
        ([b"x"], "output[0] is a bytes, which is not JSON: write it to a file and return its Path"),
        ({"a": object()}, "output.a is a object, which is not JSON"),
        ({(1, 2): 3}, "output has a key that is a tuple"),
        ([10**4300], "output[0] is an integer of more than 4300 digits"),
        ({None: 1, "null": 2}, "output has the key None: write a string"),
        ({"a": [{1: 2, "1": 3}]}, 'output.a[0] has two keys that are "1" in JSON'),
        ({True: 1, "true": 2}, 'output has two keys that are "true" in JSON'),
        ({1.0: 1, "1.0": 2}, 'output has two keys that are "1.0" in JSON'),
        ({Colour.RED: 1, "red": 2}, 'output has two keys that are "red" in JSON'),
        ({"\ud800": 1, Half("\ud800"): 2}, 'output has two keys that are "\\ud800" in JSON'),
        (iter([1]), "output is a list_iterator, which is not JSON"),
        ([(x for x in ())], "output[0] is a generator, which is not JSON: "
         "only the output itself may be an iterator"),
    ],
)  # fmt: skip
def test_what_is_not_json(value, message):
    with pytest.raises(OutputError) as caught:
        encode(value)
    assert (caught.value.reason, str(caught.value)) == ("OutputNotJSON", message)


def test_what_holds_itself():
    value = {}
    value["me"] = value
    with pytest.raises(OutputError, match="nested deeper than 200 levels"):
        encode(value)


def test_the_limit_is_of_bytes():
    assert encoder.encode("é", 4).text == '"é"'
    with pytest.raises(OutputError) as caught:
        encoder.encode("é", 3)
    assert caught.value.reason == "OutputTooLarge"


@pytest.mark.parametrize("text", ["j", "ж", "🐛", "\ud800", "ж\ud800", '"', "\u2028"])
def test_a_text_is_counted_as_it_is_written(text):
    written = encode(text)
    size = len(written.encode())
    assert strict_json.size(written) == size
    assert written == strict_json.dump(json.loads(written))
    assert encoder.encode(text, size).text == written
    with pytest.raises(OutputError):
        encoder.encode(text, size - 1)


def test_the_longest_integer():
    assert encode([1 - 10**4300]) == "[-" + "9" * 4300 + "]"


def test_only_halves_of_characters_are_escaped():
    assert encode("ж\ud800🐛") == '"ж\\ud800🐛"'


def test_files_leave_a_gap_and_a_pointer():
    found = encoder.encode({"a": [1, Path("x")], "b": Pydantic1()}, LIMIT)
    assert found.text == '{"a":[1,null],"b":{"file":null,"n":1.0}}'
    assert found.files == [
        encoder.OutputFile(("a", 1), "x"),
        encoder.OutputFile(("b", "file"), "x.png"),
    ]


def test_streams():
    assert encoder.is_stream(iter([]))
    assert encoder.is_stream(x for x in ())
    assert encoder.is_stream(OutputIterator([], is_concatenate=True))
    assert not any(map(encoder.is_stream, ([], "s", {}, None, Path("x"), np.arange(2))))
    with Path(__file__).open() as file:
        assert not encoder.is_stream(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(JSON)
def test_json_comes_back_as_it_was(value):
    assert json.dumps(json.loads(encode(value))) == json.dumps(value)


def test_an_open_file_is_a_file(tmp_path):
    with (tmp_path / "x.txt").open("w") as file:
        file.write("kept")
        encoded = encoder.encode({"f": file}, LIMIT)
        assert (tmp_path / "x.txt").read_text() == "kept"
    (found,) = encoded.files
    assert (encoded.text, found.pointer, found.path) == ('{"f":null}', ("f",), file.name)
    assert encoder.encode(file, LIMIT).files[0].path == file.name  # closed by now


def test_bytes_in_memory_are_no_file():
    with pytest.raises(OutputError, match="write it to a file and return its Path"):
        encode(io.BytesIO(b"x"))


class Named(NamedTuple):
    n: int
    s: str


def test_the_schema_of_a_named_tuple_fits_its_data():
    text = "from typing import *\nclass Named(NamedTuple):\n    n: int\n    s: str\n"
    document = schema.build({"main.py": f"{text}def main() -> Named: ..."}, "main.py:main")
    output = document["components"]["schemas"]["Output"]
    data = json.loads(encode(Named(1, "a")))
    assert (output["type"], type(data)) == ("array", list)
    assert output["minItems"] == output["maxItems"] == len(data)
