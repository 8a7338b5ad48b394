"""What JSON has no type for reaches main() as it is declared."""

import pytest

from mayfly_runtime.spec import inputs, schema
from mayfly_runtime.worker.arguments import as_declared


def argument(annotation, value):
    text = f"from typing import *\nfrom cog import File\ndef main(a: {annotation} = None): ..."
    document = schema.build({"main.py": text}, "main.py:main")
    assert inputs.check(document, {"a": value}) == []
    return as_declared(document, inputs.prepare(document, {"a": value}).values)["a"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("set[str]", ["a", "b", "a"], {"a", "b"}),
        ("Set[int]", [1.0, 2], {1, 2}),
        ("frozenset[str]", ["a"], frozenset({"a"})),
        ("tuple[int, ...]", [1, 2], (1, 2)),
        ("tuple[float, float]", [1, 2], (1.0, 2.0)),
        ("tuple", [1, [2]], (1, [2])),
        ("tuple[tuple[int, int], ...]", [[1, 2], [3, 4]], ((1, 2), (3, 4))),
        ("list[set[str]]", [["a"], []], [{"a"}, set()]),
        ("set[Literal['a', 'b']]", ["a"], {"a"}),
        ("set[str] | None", None, None),
        ("list[Any]", [["a"]], [["a"]]),
        ("dict", {"k": ["a"]}, {"k": ["a"]}),
    ],
)
def test_collections(annotation, value, expected):
    found = argument(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


def test_files_are_open(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hi")
    text = "from cog import File, Path\ndef main(f: File, l: list[File], p: Path): ..."
    document = schema.build({"main.py": text}, "main.py:main")
    found = as_declared(document, {"f": path, "l": [path], "p": path})
    with found["f"] as first, found["l"][0] as second:
        assert (first.read(), second.read(), found["p"]) == (b"hi", b"hi", path)
