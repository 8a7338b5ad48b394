"""Annotations and Input(...) to OpenAPI, and every way in which a source is refused."""

import textwrap
import warnings

import pytest

from mayfly_runtime.spec import schema

PRELUDE = """
import os, pathlib, typing, typing as t, cog, collections.abc
from typing import *
from typing import Any, Dict, List, Literal, Optional, Union, TypedDict
from collections.abc import Mapping, Sequence
from cog import (Path, Input, BaseModel, Secret, Iterator, ConcatenateIterator, AsyncIterator,
                 AsyncConcatenateIterator, File)
from pathlib import Path as RealPath
Style = Literal["a", "b"]
Other = "Style"
LIMIT = 60 * 2
class Point(BaseModel):
    x: int
    y: Optional[float]
    name: str = "p"
class Named(Point):
    file: Path
class Options(TypedDict):
    a: int
class Pair(NamedTuple):
    n: int
    s: str
"""


def build(text, prelude=PRELUDE):
    return schema.build({"main.py": prelude + textwrap.dedent(text)}, "main.py:main")


def inputs(text):
    return build(text)["components"]["schemas"]["Input"]


STRING, URI = {"type": "string"}, {"type": "string", "format": "uri"}


@pytest.mark.parametrize(
    ("annotation", "fragment"),
    [
        ("str", STRING),
        ("'str'", STRING),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("Path", URI),
        ("cog.Path", URI),
        ("pathlib.Path", URI),
        ("RealPath", URI),
        ("os.PathLike", URI),
        ("File", {**URI, "x-mayfly-type": "file"}),
        ("list[File]", {"type": "array", "items": {**URI, "x-mayfly-type": "file"}}),
        ("set[str]", {"type": "array", "items": STRING, "x-mayfly-type": "set"}),
        ("collections.abc.Set[str]", {"type": "array", "items": STRING, "x-mayfly-type": "set"}),
        ("frozenset[int]",
         {"type": "array", "items": {"type": "integer"}, "x-mayfly-type": "frozenset"}),
        ("tuple", {"type": "array", "items": {}, "x-mayfly-type": "tuple"}),
        ("tuple[int, ...]",
         {"type": "array", "items": {"type": "integer"}, "x-mayfly-type": "tuple"}),
        ("Tuple[str, str]", {"type": "array", "items": STRING, "minItems": 2, "maxItems": 2,
                             "x-mayfly-type": "tuple"}),
        ("list[str]", {"type": "array", "items": STRING}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("typing.List[bool]", {"type": "array", "items": {"type": "boolean"}}),
        ("Sequence[float]", {"type": "array", "items": {"type": "number"}}),
        ("list[Path]", {"type": "array", "items": URI}),
        ("list[Style]", {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}),
        ("list", {"type": "array", "items": {}}),
        ("dict", {"type": "object"}),
        ("dict[str, int]", {"type": "object"}),
        ("Mapping[str, Any]", {"type": "object"}),
        ("Options", {"type": "object"}),
        ("Any", {}),
        ("t.Any", {}),
        ("object", {}),
        ("Secret", {"type": "string", "format": "password", "writeOnly": True,
                    "x-cog-secret": True}),
    ],
)  # fmt: skip
def test_input_annotations(annotation, fragment):
    found = inputs(f"def main(some_name: {annotation}): ...")
    assert found["properties"]["some_name"] == {"title": "Some Name", "x-order": 0, **fragment}
    assert found["required"] == ["some_name"]


@pytest.mark.parametrize("annotation", ["str | None", "None | str", "Optional[str]",
                                        "Union[str, None]", "'str | None'"])  # fmt: skip
@pytest.mark.parametrize("default", ["", " = None", " = Input()", " = Input(default=None)"])
def test_optional_inputs(annotation, default):
    found = inputs(f"def main(a: {annotation}{default}): ...")
    assert found["properties"]["a"] == {"title": "A", "x-order": 0, "type": "string",
                                        "nullable": True}  # fmt: skip
    assert "required" not in found


@pytest.mark.parametrize("default", ["", " = False", " = Input()", " = Input(default=False)"])
def test_a_bool_is_optional_and_false(default):
    found = inputs(f"def main(a: bool{default}): ...")
    assert found["properties"]["a"]["default"] is False
    assert "required" not in found


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("a: int = 3", {"type": "integer", "default": 3}),
        ("a: int = LIMIT", {"type": "integer", "default": 120}),
        ("a: int = Input(LIMIT, description='d')",
         {"type": "integer", "default": 120, "description": "d"}),
        ("a: int = Input(default=-1, min=-2, max=3)",
         {"type": "integer", "default": -1, "minimum": -2, "maximum": 3}),
        ("a: float = Input(default=0.5, ge=0, le=1)",
         {"type": "number", "default": 0.5, "minimum": 0, "maximum": 1}),
        ("a: str = Input(default='ab', min_length=1, max_length=3, regex='^a')",
         {"type": "string", "default": "ab", "minLength": 1, "maxLength": 3, "pattern": "^a"}),
        ("a: str = 'x' + 'y'", {"type": "string", "default": "xy"}),
        ("a: int = Input(default=None)", {"type": "integer", "nullable": True}),
        ("a: dict = {'k': [1, 2.0, None, True]}",
         {"type": "object", "default": {"k": [1, 2.0, None, True]}}),
        ("a: list[int] = [1, 2]",
         {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}),
        ("a: str = Input(default='x', deprecated=True)",
         {"type": "string", "default": "x", "deprecated": True}),
        ("a: Path = 'https://example.com/x'", {**URI, "default": "https://example.com/x"}),
    ],
)  # fmt: skip
def test_defaults_and_words(parameter, expected):
    found = inputs(f"def main({parameter}): ...")
    assert found["properties"]["a"] == {"title": "A", "x-order": 0, **expected}
    assert "required" not in found


@pytest.mark.parametrize(
    ("parameter", "enum", "kind"),
    [
        ("a: Style = 'b'", ["a", "b"], "string"),
        ("a: Other = 'b'", ["a", "b"], "string"),
        ("a: Literal[1, 2] = 2", [1, 2], "integer"),
        ("a: str = Input(default='x', choices=['x', 'y'])", ["x", "y"], "string"),
        ("a: int = Input(default=1, choices=[1, 2])", [1, 2], "integer"),
    ],
)
def test_choices_get_a_schema_of_their_own(parameter, enum, kind):
    schemas = build(f"def main({parameter}): ...")["components"]["schemas"]
    assert schemas["Input"]["properties"]["a"]["allOf"] == [{"$ref": "#/components/schemas/a"}]
    assert schemas["a"] == {"title": "a", "description": "An enumeration.", "enum": enum,
                            "type": kind}  # fmt: skip


def test_the_order_of_inputs_and_keyword_only_ones():
    found = inputs("def main(b: int, a: str = 'x', *, c: int, d: bool): ...")
    order = {name: p["x-order"] for name, p in found["properties"].items()}
    assert order == {"b": 0, "a": 1, "c": 2, "d": 3}
    assert found["required"] == ["b", "c"]


@pytest.mark.parametrize(
    ("returns", "fragment"),
    [
        ("", {}),
        (" -> None", {"nullable": True}),
        (" -> str", STRING),
        (" -> Path", URI),
        (" -> Any", {}),
        (" -> str | None", {"type": "string", "nullable": True}),
        (" -> str | int", {}),
        (" -> list[Path]", {"type": "array", "items": URI}),
        (" -> set[str]", {"type": "array", "items": STRING}),
        (" -> tuple[int, ...]", {"type": "array", "items": {"type": "integer"}}),
        (" -> tuple[int, str]", {"type": "array", "items": {}, "minItems": 2, "maxItems": 2}),
        (" -> Pair", {"type": "array", "items": {}, "minItems": 2, "maxItems": 2}),
        (" -> File", URI),
        (" -> dict[str, Path]", {"type": "object", "additionalProperties": URI}),
        (" -> dict", {"type": "object"}),
        (" -> Iterator[str]", {"type": "array", "items": STRING, "x-cog-array-type": "iterator"}),
        (" -> collections.abc.Iterator[Path]",
         {"type": "array", "items": URI, "x-cog-array-type": "iterator"}),
        (" -> Generator[int, None, None]",
         {"type": "array", "items": {"type": "integer"}, "x-cog-array-type": "iterator"}),
        (" -> ConcatenateIterator[str]",
         {"type": "array", "items": STRING, "x-cog-array-type": "iterator",
          "x-cog-array-display": "concatenate"}),
        (" -> AsyncConcatenateIterator",
         {"type": "array", "items": STRING, "x-cog-array-type": "iterator",
          "x-cog-array-display": "concatenate"}),
        (" -> Named",
         {"type": "object", "required": ["x", "file"], "properties": {
             "x": {"title": "X", "type": "integer"},
             "y": {"title": "Y", "type": "number", "nullable": True},
             "name": {"title": "Name", "type": "string"},
             "file": {"title": "File", "type": "string", "format": "uri"}}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_outputs(returns, fragment, kind):
    found = build(f"{kind} main(){returns}: ...")["components"]["schemas"]["Output"]
    assert found == {"title": "Output", **fragment}


def test_names_are_followed_into_other_files():
    files = {
        "main.py": "from parts.kinds import Size, Out\nimport parts.kinds as k\n"
        "def main(a: Size, b: k.Size = 1) -> Out: ...",
        "parts/kinds.py": "from typing import Literal\nfrom pydantic import BaseModel\n"
        "Size = Literal[1, 2]\nclass Out(BaseModel):\n    n: int",
    }
    schemas = schema.build(files, "main.py:main")["components"]["schemas"]
    assert schemas["a"]["enum"] == [1, 2]
    assert schemas["Output"]["properties"] == {"n": {"title": "N", "type": "integer"}}


def test_the_document_around_it():
    found = build("def main() -> None: ...")
    assert found["openapi"] == "3.0.2"
    assert found["paths"] == {}
    assert found["components"]["schemas"]["Input"] == {
        "title": "Input", "type": "object", "properties": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("def main(a): ...", 1, "the input 'a' has no annotation"),
        ("def main(*a: int): ...", 1, "main() takes *a: name each input"),
        ("def main(**a: int): ...", 1, "main() takes **a: name each input"),
        ("def main(a: int, /): ...", 1, "main() has positional-only inputs"),
        ("def main(a: bytes): ...", 1, "bytes can't be the type of an input"),
        ("def main(a: int | str): ...", 1,
         "int | str: an input has one type, or one type and None"),
        ("def main(a: None): ...", 1, "an input can't be None only"),
        ("def main(a: tuple[int, str]): ...", 1,
         "tuple[int, str]: the items of a tuple must have one type"),
        ("def main(a: set[dict]): ...", 1,
         "set[dict]: the items of a set must be of one type that can be hashed"),
        ("def main(a: set[list[int]]): ...", 1, "must be of one type that can be hashed"),
        ("def main(a: set): ...", 1, "set can't be the type of an input"),
        ("def main(a: tuple[()]): ...", 1, "can't be used as a type here"),
        ("def main(a: tuple[int, int] = (1, 2, 3)): ...", 1,
         "the default of 'a' must have 2 items (got 3)"),
        ("from cog import Input\ndef main(a: str = Input(regex=5)): ...", 2,
         "the regex of 'a' must be a string"),
        ("from cog import Input\ndef main(a: str = Input(min_length=True)): ...", 2,
         "min_length of 'a' must be a whole number, 0 or more"),
        ("from cog import Input\ndef main(a: str = Input(deprecated=1)): ...", 2,
         "deprecated of 'a' must be True or False"),
        ("from cog import Input\ndef main(a: str = Input(choices='ab')): ...", 2,
         "the choices of 'a' must be a list"),
        ("def main(\n  a: int = f(),\n): ...", 2, "write a literal"),
        ("from cog import Input\ndef main(a: int = Input(default=5, max=4)): ...", 2,
         "the default of 'a' must be at most 4 (got 5)"),
        ("from cog import Input\ndef main(a: int = Input(min=5, max=4)): ...", 2,
         "'a' has min 5 above max 4"),
        ("from cog import Input\ndef main(a: int = Input(min=5, ge=4)): ...", 2,
         "'a' has both min and ge, which mean the same"),
        ("from cog import Input\ndef main(a: str = Input(min=5)): ...", 2,
         "'a' can't have min: it is not a number"),
        ("from cog import Input\ndef main(a: int = Input(regex='x')): ...", 2,
         "'a' can't have regex: it is not a str"),
        ("from cog import Input\ndef main(a: str = Input(regex='(')): ...", 2,
         "the regex of 'a' is wrong"),
        ("from cog import Input\ndef main(a: str = Input(min_length=2, max_length=1)): ...", 2,
         "'a' has min_length above max_length"),
        ("from cog import Input\ndef main(a: str = Input(choices=[1])): ...", 2,
         "the choices of 'a' are not all of its type"),
        ("from cog import Input\ndef main(a: str = Input(choices=[])): ...", 2,
         "choices must be strings or numbers, at least one"),
        ("from cog import Input\ndef main(a: str = Input(default='z', choices=['x'])): ...", 2,
         "the default of 'a' must be one of \"x\" (got \"z\")"),
        ("from cog import Input\ndef main(a: str = Input(colour=1)): ...", 2,
         "the Input of 'a' has an unknown argument colour"),
        ("def main(a: int = 'x'): ...", 1, "the default of 'a' must be an integer, not a string"),
        ("def main() -> bytes: ...", 1, "bytes can't be the type of an output"),
        ("from cog import ConcatenateIterator as C\ndef main() -> C[int]: ...", 2,
         "a ConcatenateIterator must be of str"),
        ("A = 'B'\nB = 'A'\ndef main(a: A): ...", 1, "refers to itself"),
        ("X = 1\nX = 2\ndef main(a: int = X): ...", 3, "write a literal"),
        ("class main:\n    def setup(self): ...", 1, "main is a class: a pipeline has no setup"),
        ("from cog import BasePredictor\nclass P(BasePredictor):\n    def setup(self): ...", 2,
         "P is a class: a pipeline has no setup, write a function main()"),
        ("def run(): ...\nasync def go(): ...", 0, "no function main in main.py: it has run, go"),
        ("x = 1", 0, "no function main in main.py: it has no function at its top level"),
        ("def main(:\n  pass", 1, "syntax error: invalid syntax at main.py line 1: def main(:"),
        ("def main():\n pass\n  x", 3, "syntax error: unexpected indent at main.py line 3: x"),
        ("x = '\0'\ndef main(): ...", 0, "null bytes"),
        ("def main(a: int, a: int): ...", 1, "syntax error: duplicate"),
        ("def main(): ...\nreturn 1", 2,
         "syntax error: 'return' outside function at main.py line 2: return 1"),
        ("def main(): ...\nawait x()", 2,
         "syntax error: 'await' outside function at main.py line 2: await x()"),
        ("\f\ndef main():\n  yield\nyield", 4,
         "syntax error: 'yield' outside function at main.py line 4: yield"),
        ("def main():\n  x = 1\n  global x", 3, "name 'x' is assigned to before global"),
        ("def main():\n  break", 2, "'break' outside loop"),
        ("from __future__ import cats\ndef main(): ...", 1, "future feature cats is not defined"),
        ("# coding: latin-1\ndef main(a: str = 'ü'): ...", 1,
         "the source must be UTF-8, not latin-1: remove its coding line "
         "(main.py line 1: # coding: latin-1)"),
        ("#!/usr/bin/python\n# -*- coding: cp1252 -*-\ndef main(): ...", 2, "not cp1252"),
        ("\r\n \t# vim: set fileencoding=koi8-r :\r\ndef main(): ...", 2, "not koi8-r"),
        ("\ufeff# coding: nonsense\ndef main(): ...", 1, "not nonsense"),
        ("\ufeff\ufeffdef main(): ...", 1, "invalid non-printable character U+FEFF"),
    ],
)  # fmt: skip
def test_what_is_refused(text, line, words):
    with pytest.raises(schema.SourceError) as caught:
        build(text, prelude="")
    assert words in caught.value.message
    assert (caught.value.file, caught.value.line) == ("main.py", line)


@pytest.mark.parametrize(
    ("files", "file", "line", "words"),
    [
        ({"main.py": "import shared\ndef main(n: shared.Number): ...",
          "shared.py": "ONE = 1\nNumber = complex\n"}, "shared.py", 2,
         "complex can't be the type of an input (shared.py line 2: Number = complex)"),
        # Nothing of it is needed for the schema; it would fail when it is imported.
        ({"main.py": "def main():\n    import shared", "shared.py": "ONE = 1\ndef f(:\n"},
         "shared.py", 2, "syntax error: invalid syntax at shared.py line 2: def f(:"),
        ({"main.py": "from app import parts\ndef main(): ...", "app/__init__.py": "",
          "app/parts.py": "from .deep import er", "app/deep.py": "import main\nx = = 1"},
         "app/deep.py", 2, "syntax error: invalid syntax at app/deep.py line 2: x = = 1"),
        ({"main.py": "from app.start import X\ndef main(a: X): ...", "types.py": "T = int",
          "app/start.py": "from ..main import x\nfrom .types import T\nX = T",
          "app/types.py": "T = bytes"}, "app/types.py", 1,
         "bytes can't be the type of an input (app/types.py line 1: T = bytes)"),
    ],
)  # fmt: skip
def test_what_is_refused_in_another_file_names_that_file(files, file, line, words):
    with pytest.raises(schema.SourceError) as caught:
        schema.build(files, "main.py:main")
    assert words in caught.value.message
    assert (caught.value.file, caught.value.line) == (file, line)


@pytest.mark.parametrize(
    "head",
    ["\ufeff", "# coding: utf-8\n", "# -*- coding: UTF_8 -*-\n", "\ufeff# coding=utf8\n",
     "# coding: utf-8-unix\n", "x = 1\n# coding: latin-1\n", "\n\n# coding: latin-1\n",
     '"""\n# coding: latin-1"""\n', "# encoding latin-1\n"],
)  # fmt: skip
def test_sources_in_utf8_however_they_say_it(head):
    document = build(f"{head}def main(a: str = 'ü'): ...", prelude="")
    assert document["components"]["schemas"]["Input"]["properties"]["a"]["default"] == "ü"


def test_a_coding_line_is_refused_in_any_file():
    files = {"main.py": "def main(): ...", "late.py": "# coding: latin-1", "x.txt": "# coding: x"}
    with pytest.raises(schema.SourceError, match=r"late\.py line 1"):
        schema.build(files, "main.py:main")


@pytest.mark.parametrize("text", ["'\\d'", "1 is 1", "assert (1, 'x')"])
def test_what_python_only_warns_of_is_taken(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(f"{text}\ndef main(): ...", prelude="")


def test_a_file_that_nothing_imports_is_not_read():
    files = {"main.py": "import os.path\ndef main(): ...", "template.py": "{{ not }} python ="}
    schema.build(files, "main.py:main")


def test_source_that_is_nested_too_deep():
    with pytest.raises(schema.SourceError, match=r"nested too deep|too many nested"):
        build("x = " + "(" * 5000 + ")" * 5000, prelude="")


@pytest.mark.parametrize("entrypoint", ["main", "main.py", "main.py:", "main.txt:main", "a.py:b c"])
def test_wrong_entrypoints(entrypoint):
    with pytest.raises(schema.SourceError, match=r"must have the form main\.py:main"):
        schema.build({"main.py": "def main(): ..."}, entrypoint)


def test_an_entrypoint_of_a_file_that_is_not_there():
    with pytest.raises(schema.SourceError, match="names a file that does not exist"):
        schema.build({"main.py": "def main(): ..."}, "other.py:main")


def test_nothing_of_the_source_is_run(tmp_path):
    mark = tmp_path / "ran"
    build(f"open({str(mark)!r}, 'w').close()\ndef main(a: int = 1): ...")
    assert not mark.exists()


def test_all_mistakes_of_a_signature_are_told_at_once_with_what_may_be_used():
    text = (
        "from cog import Input\n"
        "def main(\n"
        "    a: bytes,\n"
        "    b,\n"
        "    *rest: int,\n"
        "    c: int = Input(ge=5, le=4),\n"
        "    d: int = f(),\n"
        ") -> complex: ..."
    )
    with pytest.raises(schema.SourceError) as caught:
        build(text, prelude="")
    told = caught.value.message.split("; ")
    assert [each.partition(" (main.py line ")[0] for each in told[:-2]] == [
        "main() takes *rest: name each input",
        "bytes can't be the type of an input",
        "the input 'b' has no annotation",
        "'c' has min 5 above max 4",
        "this value can't be read without running the code: write a literal",
        "complex can't be the type of an output",
    ]
    assert told[-2].startswith("an input may be str, int, float, bool, dict")
    assert told[-1].startswith("an output may be None, str")


def test_of_very_many_mistakes_the_first_are_told():
    parameters = ",\n".join(f"a{index}: bytes" for index in range(200))
    with pytest.raises(schema.SourceError) as caught:
        build(f"def main({parameters}): ...", prelude="")
    assert "; and 190 more; an input may be" in caught.value.message
    assert len(caught.value.message) < 2000
