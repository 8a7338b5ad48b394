"""The check of an input, and its conversion: one rule a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import inputs, pointer, schema

SOURCE = """
from typing import Any, Literal
from cog import Path, Input, Secret
def main(
    s: str = Input(default="ab", min_length=1, max_length=4, regex="^(a|$)"),
    i: int = Input(default=1, min=0, max=10),
    f: float = 1.0,
    b: bool = False,
    p: Path = None,
    w: list[str] = [],
    n: list[int] = [],
    d: dict = {},
    x: Any = None,
    c: Literal["u", "v"] = "u",
    k: int = Input(default=1, choices=[1, 2]),
    o: int | None = None,
    q: Secret = None,
): ...
"""
DOCUMENT = schema.build({"main.py": SOURCE}, "main.py:main")


def problems(value):
    return [problem.sentence() for problem in inputs.check(DOCUMENT, value)]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"s": "abc"},
        {"i": 3.0},
        {"f": 3},
        {"f": -0.5},
        {"b": True},
        {"p": "https://example.com/x"},
        {"p": "data:,x"},
        {"p": "mayfly-file:x"},
        {"p": "HTTPS://example.com/x"},
        {"p": " https://example.com/x"},
        {"p": "DATA:,x"},
        {"p": None},
        {"w": ["", "x" * 65_536]},
        {"n": [1, 2.0]},
        {"d": {"any": [1, None]}},
        *({"x": x} for x in (None, 1, "s", [1], {"a": 1}, True)),
        {"c": "v"},
        {"k": 2.0},
        {"o": None},
        {"q": "s3cret"},
        {"unknown": object},
    ],
)
def test_what_is_right(value):
    assert problems(value) == []


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "the input must be an object, not a list"),
        ({"s": 1}, "s: must be a string, not a number"),
        ({"s": ""}, "s: must have at least 1 characters (got 0)"),
        ({"s": "abcde"}, "s: must have at most 4 characters (got 5)"),
        ({"s": "xa"}, 's: must match ^(a|$) (got "xa")'),
        ({"s": None}, "s: must not be null"),
        ({"i": 3.5}, "i: must be an integer (got 3.5)"),
        ({"i": True}, "i: must be an integer, not true"),
        ({"i": "3"}, "i: must be an integer, not a string"),
        ({"i": -1}, "i: must be at least 0 (got -1)"),
        ({"i": 11.0}, "i: must be at most 10 (got 11.0)"),
        ({"f": False}, "f: must be a number, not false"),
        ({"f": 10**400}, "f: is too large for a float"),
        ({"b": 1}, "b: must be true or false, not a number"),
        ({"b": "true"}, "b: must be true or false, not a string"),
        ({"p": "/etc/passwd"},
         'p: must be the URL of a file (http, https or data), not "/etc/passwd"'),
        ({"p": "ftp://bot:s3cret@files.example/x"},
         'p: must be the URL of a file (http, https or data), not "ftp://files.example/x"'),
        ({"w": "x"}, "w: must be a list, not a string"),
        ({"w": ["a", 1]}, "w[1]: must be a string, not a number"),
        ({"w": ["é" * 32_769]}, "w[0]: has 65538 bytes, over 65536"),
        ({"n": [True]}, "n[0]: must be an integer, not true"),
        ({"n": [None]}, "n[0]: must not be null"),
        ({"d": []}, "d: must be an object, not a list"),
        ({"c": "w"}, 'c: must be one of "u", "v" (got "w")'),
        ({"k": 3}, "k: must be one of 1, 2 (got 3)"),
        ({"k": True}, "k: must be an integer, not true"),
        ({"q": 1}, "q: must be a string, not a number"),
        ({"q": {"secretKeyRef": {"name": "a", "key": "b"}}}, "q: must be a string, not an object"),
    ],
)  # fmt: skip
def test_what_is_wrong(value, sentence):
    (found,) = problems(value)
    assert found.startswith(sentence)


SECRETS = schema.build(
    {
        "main.py": """
from cog import Secret
def main(a: Secret, b: Secret | None = None, c: list[Secret] = [], d: str = "", e: Secret = ""): ...
"""
    },
    "main.py:main",
)


def ref(name="tokens", key="api", **more):
    return {"secretKeyRef": {"name": name, "key": key, **more}}


@pytest.mark.parametrize(
    "value",
    [
        {"a": ref()},
        {"a": ref("a.b-c", "A_b.c-1")},
        {"a": ref(), "b": None},
        {"a": ref(), "b": ref(), "c": [ref(), ref(key="x")], "d": "plain"},
    ],
)
def test_a_run_names_its_secrets(value):
    assert inputs.check(SECRETS, value, references=True) == []


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "a: is required"),
        ({"a": "hunter2"}, "a: is a secret: a PipelineRun is readable, so name a Secret"),
        ({"a": ""}, "a: is a secret: a PipelineRun is readable"),
        ({"a": ["hunter2"]}, "a: is a secret"),
        ({"a": None}, "a: must not be null"),
        ({"a": {}}, "a: is a secret and must be"),
        ({"a": {"secretKeyRef": "x"}}, "a: is a secret and must be"),
        ({"a": {**ref(), "value": "hunter2"}}, "a: is a secret and must be"),
        ({"a": ref(namespace="other")}, "a: must name a Secret and a key"),
        ({"a": {"secretKeyRef": {"name": "x"}}}, "a: must name a Secret and a key"),
        ({"a": ref(name=1)}, "a: secretKeyRef.name is not"),
        ({"a": ref(name="../../other/secrets/x")}, "a: secretKeyRef.name is not"),
        ({"a": ref(name="..")}, "a: secretKeyRef.name is not"),
        ({"a": ref(name="x?y")}, "a: secretKeyRef.name is not"),
        ({"a": ref(name="x\n")}, "a: secretKeyRef.name is not"),
        ({"a": ref(name="x" * 254)}, "a: secretKeyRef.name is not"),
        ({"a": ref(key="")}, "a: secretKeyRef.key is not"),
        ({"a": ref(key="..")}, "a: secretKeyRef.key is not"),
        ({"a": ref(), "c": [ref(), "hunter2"]}, "c[1]: is a secret"),
        ({"a": ref(), "d": ref()}, "d: must be a string, not an object"),
    ],
)
def test_a_run_that_holds_or_misnames_a_secret(value, sentence):
    (found,) = [each.sentence() for each in inputs.check(SECRETS, value, references=True)]
    assert found.startswith(sentence)
    assert "hunter2" not in found


def test_where_secrets_are():
    value = {"a": "one", "b": None, "c": ["two", None, "three"], "d": "four"}
    assert inputs.secret_places(SECRETS, value) == [("a",), ("c", 0), ("c", 2)]
    assert inputs.secret_values(SECRETS, json.dumps(value)) == ["one", "two", "three"]
    assert inputs.secret_values(SECRETS, "{") == []
    assert inputs.secret_values({}, "{}") == []
    plain = schema.build({"main.py": "def main(a: str): ..."}, "main.py:main")
    assert inputs.has_secrets(SECRETS)
    assert not inputs.has_secrets(plain)
    assert inputs.secret_places(plain, {"a": "one"}) == []


def test_every_problem_is_told():
    assert len(problems({"s": 1, "i": "x", "b": 2})) == 3


def test_a_missing_input():
    document = schema.build({"main.py": "def main(a: int, b: bool): ..."}, "main.py:main")
    assert inputs.check(document, {}) == [inputs.Problem("a", "is required")]


def test_unknown_inputs():
    assert inputs.unknown(DOCUMENT, {"i": 1, "zz": 1, "I": 2}) == ["zz", "I"]


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", '{"a": Infinity}', '{"a": 1e999}', "[" * 100_000, "9" * 5000]
)
def test_text_that_is_no_input(text):
    with pytest.raises(ValueError, match=r"^the input "):
        inputs.parse(text)


def test_parsing_keeps_what_was_said():
    text = '{"b": 1.0, "a": 12345678901234567890123, "c": 1e2}'
    parsed = inputs.parse(text)
    assert json.dumps(parsed) == '{"b": 1.0, "a": 12345678901234567890123, "c": 100.0}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(JSON)
def test_any_json_passes_through_dict_and_any(value):
    prepared = inputs.prepare(DOCUMENT, {"d": {"k": value}, "x": value})
    assert json.dumps(prepared.values["d"]) == json.dumps({"k": value})
    assert json.dumps(prepared.values["x"]) == json.dumps(value)


@given(st.dictionaries(st.sampled_from(list("sifbpwndxckoq")), JSON))
def test_an_input_is_refused_or_prepared_never_a_crash(value):
    if not inputs.check(DOCUMENT, value):
        assert set(inputs.prepare(DOCUMENT, value).values) == set("sifbpwndxckoq")


def test_conversion():
    given_ = {"i": 3.0, "f": 2, "n": [1.0], "p": "data:,x", "w": ["a"], "q": "shh"}
    prepared = inputs.prepare(DOCUMENT, given_)
    assert {name: repr(prepared.values[name]) for name in "ifnbso"} == {
        "i": "3", "f": "2.0", "n": "[1]", "b": "False", "s": "'ab'", "o": "None",
    }  # fmt: skip
    assert prepared.files == [inputs.FileRef(("p",), "data:,x")]
    assert prepared.secrets == [("q",)]


def test_files_in_a_list_are_placed_by_index():
    document = schema.build(
        {"main.py": "from cog import Path\ndef main(f: list[Path]): ..."}, "main.py:main"
    )
    prepared = inputs.prepare(document, {"f": ["data:,a", "data:,b"]})
    assert [file.pointer for file in prepared.files] == [("f", 0), ("f", 1)]
    pointer.place(prepared.values, ("f", 1), "there")
    assert prepared.values["f"] == ["data:,a", "there"]


def test_patterns_are_known_before_they_run():
    assert inputs.has_patterns(DOCUMENT)
    plain = schema.build({"main.py": "def main(a: str): ..."}, "main.py:main")
    assert not inputs.has_patterns(plain)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ({"type": "array", "items": {"type": "array", "items": {"pattern": "x"}}}, True),
        ({"allOf": [{"$ref": "#/components/schemas/Code"}]}, True),
        ({"type": "object", "default": {"pattern": "x"}}, False),
    ],
)
def test_patterns_are_found_where_a_check_would_run_them(fragment, expected):
    schemas = {"Input": {"properties": {"a": fragment}}}
    if "allOf" in fragment:
        schemas["Code"] = {"type": "string", "pattern": "x"}
    assert inputs.has_patterns({"components": {"schemas": schemas}}) is expected


@pytest.mark.parametrize(
    ("name", "given", "hint"),
    [
        ("name", {"nam": 1}, " (you gave nam)"),
        ("name", {"Name": 1}, " (you gave Name)"),
        ("num_steps", {"steps_num": 1, "num_step": 1}, " (you gave num_step)"),
        ("name", {"width": 1}, ""),
        ("name", {"x" * 10_000: 1}, ""),
        ("name", {"true": 1}, ""),
        *((name, {"false": 1}, f' (you gave "false": YAML reads the key {name} as false, '
           f'so quote it: "{name}")') for name in ("n", "N", "no", "off")),
        *((name, {"true": 1}, f' (you gave "true": YAML reads the key {name} as true, '
           f'so quote it: "{name}")') for name in ("y", "Y", "yes", "on")),
        ("n", {"true": 1}, ""),
    ],
)  # fmt: skip
def test_a_missing_input_names_what_may_have_been_meant(name, given, hint):
    document = schema.build({"main.py": f"def main({name}: int): ..."}, "main.py:main")
    assert inputs.check(document, given) == [inputs.Problem(name, f"is required{hint}")]


def test_a_name_that_the_pipeline_has_is_no_near_miss():
    text = "def main(name: int, names: list = []): ..."
    document = schema.build({"main.py": text}, "main.py:main")
    assert inputs.check(document, {"names": []}) == [inputs.Problem("name", "is required")]


def test_a_pattern_is_told_with_its_description():
    text = "import cog\ndef main(a: str = cog.Input(regex='^a', description='begins with a')): ..."
    document = schema.build({"main.py": text}, "main.py:main")
    (problem,) = inputs.check(document, {"a": "b"})
    assert problem.sentence() == 'a: must match ^a (got "b"): begins with a'


def test_the_length_of_a_tuple():
    document = schema.build({"main.py": "def main(a: tuple[int, int]): ..."}, "main.py:main")
    assert inputs.check(document, {"a": [1, 2]}) == []
    assert inputs.check(document, {"a": [1]}) == [inputs.Problem("a", "must have 2 items (got 1)")]
