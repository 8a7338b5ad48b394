"""Constants of a source: what is read is what Python would say, and anything else is refused."""

import json
import textwrap
import time

import pytest

import cog
from mayfly_runtime.spec import exported_names, schema
from mayfly_runtime.spec.check import answer

MAIN = "def main(a: int = A): ..."


def read(text, **files):
    sources = {"main.py": textwrap.dedent(text), **{f"{n}.py": t for n, t in files.items()}}
    return schema.build(sources, "main.py:main")["components"]["schemas"]


def default(text, **files):
    return read(text, **files)["Input"]["properties"]["a"]["default"]


def refusal(text, **files):
    with pytest.raises(schema.SourceError) as caught:
        read(text, **files)
    return caught.value


BOUND_AGAIN = [
    "A = 1\nA += 1",
    "A = 1\nA = 2",
    "A: int = 1\nA = 2",
    "try:\n    import nothere\n    A = 1\nexcept ImportError:\n    A = 2",
    "try:\n    A = 1\nfinally:\n    A = 2",
    "try:\n    A = 1\nexcept ZeroDivisionError as A:\n    pass\nelse:\n    A = 3",
    "import sys\nif sys.maxsize > 1:\n    A = 1\nelse:\n    A = 2",
    "A = 1\nfor A in (2, 3):\n    pass",
    "A = 1\nwhile A < 3:\n    A = A + 1",
    "import contextlib\nA = 1\nwith contextlib.nullcontext(2) as A:\n    pass",
    "A = 1\n(A := 2)",
    "A = 1\n[(A := x) for x in (2, 3)]",
    "A = 1\n(A, B) = 2, 3",
    "A = 1\n[B, *A] = 2, 3",
    "A = B = 1\nA = 2",
    "A = 1\ndef change():\n    global A\n    A = 2\nchange()",
    "A = 1\ndef change():\n    global A\n    A += 1\nchange()",
    "A = 1\ndef change():\n    def inner():\n        global A\n        A = 2\n    inner()",
    "A = 1\nimport sys as A",
    "A = 1\nfrom sys import maxsize as A",
    "A = 1\ndef A(): ...",
    "A = 1\nclass A: ...",
    "A = 1\ndel A\nA = 3",
    "A = 1\nmatch 2:\n    case A:\n        pass",
    "A = 1\nmatch [1, 2]:\n    case [1, *A]:\n        pass",
    "A = 1\nmatch {'k': 1}:\n    case {**A}:\n        pass",
    "A = 1\ntry:\n    1 / 0\nexcept ZeroDivisionError as A:\n    A = 5",
    "A = 1\nfrom os.path import *",
]


@pytest.mark.parametrize("text", BOUND_AGAIN)
def test_a_name_that_is_bound_more_than_once_is_no_constant(text):
    line = text.count("\n") + 2
    for option in ("default=A", "default=1, le=A", "default=1, choices=[A]"):
        main = f"import cog\ndef main(a: int = cog.Input({option})): ..."
        error = refusal(f"{text}\n{main}")
        assert error.message.startswith("A is set or changed more than once (see line")
        assert "write a literal" in error.message
        assert error.line == line + 1


@pytest.mark.parametrize(
    "text",
    [
        "A = ['a']\nA.append('b')",
        "A = ['a']\nA += ['b']",
        "A = ['a']\nA[0] = 'b'",
        "A = ['a']\nA[0:1] = ['b']",
        "A = ['a', 'b']\ndel A[0]",
        "A = ['a', 'b']\n[A.append(x) for x in 'cd']",
        "A = ['a']\nfor each in 'bc':\n    A.append(each)",
        "A = ['a']\ndef more():\n    A.append('b')\nmore()",
        "A = ['a']\nclass More:\n    A.append('b')",
        "import random\nA = ['a', 'b']\nrandom.shuffle(A)",
        "A = {'a': 1}\nA['k'] = 2",
        "A = {'a': 1}\nA.update(b=2)",
        "A = {'a': {}}\nA['a']['k'] = 2",
        "A = {'a': []}\nA['a'].append(2)",
        "A = {'a': 1}\nA |= {'b': 2}",
    ],
)
def test_a_list_or_dict_that_is_changed_is_no_constant(text):
    error = refusal(
        f"{text}\nimport cog\ndef main(a: str = cog.Input(default='a', choices=A)): ..."
    )
    assert error.message.startswith("A is set or changed more than once (see lines")
    assert error.line == text.count("\n") + 3


KEPT = [
    "A = 1\ndef f():\n    A = 2\n    A += 1",
    "A = 1\ndef f(A):\n    A.append(2)",
    "A = 1\ndef f():\n    def g():\n        A.append(2)\n    A = []",
    "A = 1\nf = lambda A: A.append(1)",
    "A = 1\nclass C:\n    A = 2\n    A += 1",
    "A = 1\nB = [A for A in (1, 2)]",
    "A = 1\nB = {A: A.append(1) for A in ()}",
    "A: int\nA = 1",
    "A = B = 1\nB += 1",
    "A, B = 1, 2",
    "B = 1\nA = B",
    "from os.path import *\nA = 1",
    "A = 1\nfrom typing import *\nfrom cog import *\nfrom pathlib import *",
    "A = 1\nif A:\n    B = 2",
    "if True:\n    A = 1",
    "try:\n    A = 1\nexcept ValueError:\n    pass",
    "import os\nA = 1\nos.environ['A'] = '2'",
    "A = 1\nB = []\nB.append(A)",
]


@pytest.mark.parametrize("text", KEPT)
def test_a_name_that_is_bound_once_is_one(text):
    assert default(f"{text}\n{MAIN}") == 1


def test_a_name_that_is_used_before_it_is_set():
    error = refusal(f"{MAIN}\nA = 1")
    assert "A is used here, but set only at line 2" in error.message
    assert error.line == 1


@pytest.mark.parametrize(
    "text",
    ["main = other", "del main", "from os.path import *", "class main: ...",
     "import sys as main", "if other:\n    def main(a: int = 2): ..."],
)  # fmt: skip
def test_a_main_that_is_replaced_is_refused(text):
    error = refusal(f"def other(a: int = 2): ...\ndef main(a: int = 1): ...\n{text}")
    assert "main is" in error.message


def test_of_two_mains_the_last_one_counts():
    assert default("def main(a: int = 1): ...\ndef main(a: int = 2): ...") == 2


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("from shared import A", "A = 1"),
        ("from shared import *", "A = 1\n_B = 2"),
        ("from shared import *", "A = 1\nC = 2\n__all__ = ['A']"),
        ("import shared\nA = shared.A", "A = 1"),
        ("from shared import B as A", "from deep import B"),
    ],
)
def test_constants_of_other_files(text, shared):
    assert default(f"{text}\n{MAIN}", shared=shared, deep="B = 1") == 1


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("from shared import A", "A = 1\nA += 1"),
        ("from shared import A\nA = 3", "A = 1"),
        ("A = 3\nfrom shared import *", "A = 1"),
        ("A = 3\nfrom shared import *", "A = 1\n__all__ = [each for each in 'A']"),
        ("import shared\nshared.A = 2\nB = shared.A\nfrom shared import A\nA += 1", "A = 1"),
        ("import shared\nshared.A = 2\nA = shared.A", "A = 1"),
    ],
)
def test_names_of_other_files_that_are_bound_again(text, shared):
    assert "is set or changed more than once" in refusal(f"{text}\n{MAIN}", shared=shared).message


@pytest.mark.parametrize(
    "text",
    [
        "from typing import Any as T\nT = int",
        "T = str\nT = int",
        "try:\n    from nothere import T\nexcept ImportError:\n    T = int",
        "T = int\nfor T in (): ...",
    ],
)
def test_a_type_that_is_bound_more_than_once_is_refused(text):
    assert "T is set or changed more than once" in refusal(f"{text}\ndef main(a: T): ...").message


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    from cog import Path\nexcept ImportError:\n    Path = str",
        "from pathlib import Path\nfrom cog import Path",
        "from pathlib import *\nfrom cog import *",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path\n"
        "else:\n    from cog import Path",
    ],
)
def test_the_usual_ways_to_import_a_type_twice(text):
    assert read(f"{text}\ndef main(a: Path): ...")["Input"]["properties"]["a"]["format"] == "uri"


def test_literal_from_one_of_two_modules():
    text = "try:\n    from typing import Literal\nexcept ImportError:\n"
    text += "    from typing_extensions import Literal\ndef main(a: Literal['x']): ..."
    assert read(text)["a"]["enum"] == ["x"]


def test_a_class_of_the_author_is_not_taken_for_a_known_type():
    assert "can't be the type" in refusal("class Any: ...\ndef main(a: Any): ...").message


def test_everything_of_cog_is_known():
    assert set(cog.__all__) == exported_names.COG_NAMES


NO_JSON = ["1e999", "-1e999", "1e308 * 10", "1e999 - 1e999", "2.0 ** 4000", "float('inf')",
           "float('nan')", "math.inf", "0x" + "f" * 4000, "9" * 4200, "-0x" + "f" * 300,
           "10 ** 400", "2 ** 64 - 1", "'\\ud800'"]  # fmt: skip


@pytest.mark.parametrize("value", NO_JSON)
@pytest.mark.parametrize(
    "parameter",
    ["a: Any = {}", "a: float = {}", "a: int = {}", "a: float = Input(ge={})",
     "a: float = Input(le={})", "a: float = Input(default=1.0, choices=[1.0, {}])",
     "a: Literal[1, {}] = 1", "a: dict = {{'k': {{'l': {}}}}}", "a: list = [1, [{}]]",
     "a: str = Input(max_length={})", "a: dict = {{'\\ud800': {}}}",
     "a: str = Input(regex={})"],
)  # fmt: skip
def test_no_schema_holds_what_json_cannot(value, parameter):
    text = f"import math\nfrom typing import *\nfrom cog import Input\ndef main({parameter}): ..."
    error = refusal(text.replace("{}", value).replace("{{", "{").replace("}}", "}"))
    assert error.line == 4
    assert len(error.message) < 1000


def test_what_a_64_bit_reader_keeps_is_kept():
    for value in (2**63 - 1, -(2**63), 2**70):
        assert default(f"def main(a: int = {value}): ...") == value


@pytest.mark.parametrize("parameter", ["a: list = [...]", "a: dict = {'k': ...}", "a: int = ..."])
def test_an_ellipsis_is_no_default(parameter):
    assert refusal(f"def main({parameter}): ...").line == 1


def test_a_description_is_dropped_if_json_cannot_hold_it():
    text = "import cog\ndef main(a: int = cog.Input(description='\\ud800', default=1)): ..."
    assert "description" not in read(text)["Input"]["properties"]["a"]


NAMES = """
import sys, math
A = ["b", "a"]
D = {"x": 1, "y": 2}
N = 7
"""
PRELUDE = f"from cog import *\n{NAMES}"


@pytest.mark.parametrize(
    "expression",
    [
        "2**32-1", "1<<16", "sys.maxsize", "~N", "N % 2", "N // 2", "N / 2", "-N", "N ** 2",
        "N >> 1", "N | 8", "N & 3", "N ^ 1", "2 ** -1", "not N", "list(D)", "list(D.keys())",
        "list(D.values())", "A + ['c']", "[*A, 'c']", "[*D]", "sorted(A)", "sorted(D)", "A[0]",
        "A[-1]", "A[:1]", "D['x']", "{**D, 'z': 3}", "D | {'z': 3}", "'a'*3", "A * 2",
        "'a b'.split()", "'X'.lower()", "f'{N} of {A[0]}'", "len(A)", "max(A)", "min(1, N)",
        "list(range(3))", "int('3')", "float(N)", "str(N)", "math.pi", "'a' 'b'",
    ],
)  # fmt: skip
def test_expressions_have_the_value_that_python_gives(expression):
    names = {}
    exec(NAMES, names)
    text = f"{PRELUDE}\nfrom typing import Any\ndef main(a: Any = {expression}): ..."
    assert default(text) == eval(expression, names)


@pytest.mark.parametrize("expression", ["tuple(A)", "(*A, 'c')", "D.keys()", "range(3)", "()"])
def test_other_sequences_become_lists(expression):
    names = {}
    exec(NAMES, names)
    text = f"{PRELUDE}\nfrom typing import Any\ndef main(a: Any = {expression}): ..."
    assert default(text) == list(eval(expression, names))


@pytest.mark.parametrize(
    "parameter",
    ["a: float = Input(default=1, choices=[0.5, 1, 2])",
     "a: str = Input(default='a', choices=list(D.keys()) + A)",
     "a: str = Input(default=A[0], choices=tuple(A))",
     "a: int = Input(default=1, le=2**32-1)",
     "a: int = Input(default=N, choices=range(9))",
     "a: Path = Input(default='https://example.com/x')"],
)  # fmt: skip
def test_what_cog_takes(parameter):
    read(f"{PRELUDE}\ndef main({parameter}): ...")


@pytest.mark.parametrize(
    "description",
    ["f'{len(D):>3}'", "'%d' % 3", "'{}'.format(3)", "textwrap.dedent('x')", "'x'.join(A)",
     "DOC", "open('x').read()", "3"],
)  # fmt: skip
def test_a_description_that_cannot_be_read_is_dropped(description):
    text = f"{PRELUDE}\ndef main(a: int = Input(default=1, description={description})): ..."
    assert read(text)["Input"]["properties"]["a"] == {
        "title": "A", "type": "integer", "default": 1, "x-order": 0,
    }  # fmt: skip


def test_a_description_that_can_be_read_is_kept():
    description = "f'{N} ' + ' x '.strip()"
    text = f"{PRELUDE}\ndef main(a: int = Input(default=1, description={description})): ..."
    assert read(text)["Input"]["properties"]["a"]["description"] == "7 x"


DOUBLING = "X0 = ['" + "a" * 1000 + "']\n" + "".join(
    f"X{i + 1} = [X{i}, X{i}, X{i}, X{i}]\n" for i in range(15)
)  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    ["'a' * 10**9", "['a'] * 10**9", "2**10**6", "1 << 10**9", "10**10**10", "list(range(10**9))",
     "range(10**30)", "'a' * 99_999 + 'a' * 99_999", "['a' * 99_999] * 99_999", "X15", "[X15, X15]",
     "'%1000000000d' % 1", "f'{1:>1000000000}'", "str(2**5000)", "'a'.ljust(10**9)",
     "(lambda: 1)()", "open('x')", "[x for x in A]", "A if N else D", "A.index('a')", "N.real",
     "__import__('os')", "sorted([X15, X15])", "{X15: 1}", "A['x']", "A[9]", "D['q']", "A + 1",
     "1 / 0", "list({'a', 'b'})", "sorted(A, key=len)", "eval('1')", "b'x'", "2j", "(-8) ** 0.5"],
)  # fmt: skip
def test_what_is_too_large_or_must_be_run_is_refused_at_once(expression):
    text = f"{PRELUDE}{DOUBLING}\nfrom typing import Any\ndef main(a: Any = {expression}): ..."
    begin = time.process_time()
    error = refusal(text)
    assert time.process_time() - begin < 0.5
    assert error.line > 0
    assert len(error.message) < 1000


@pytest.mark.parametrize("expression", ["0x" + "f" * 4000, "1e999", "[...]", "'\\ud800'"])
def test_the_check_command_always_answers(expression):
    files = {"main.py": f"from typing import Any\ndef main(a: Any = {expression}): ..."}
    told = answer({"op": "schema", "files": files, "entrypoint": "main.py:main"})
    assert json.loads(json.dumps(told))["error"]["line"] == 2


def test_long_expressions_elsewhere_do_not_matter():
    sum_ = " + ".join(["'a'"] * 900)  # deeper than Python's own recursion goes
    assert default(f"def other():\n    return {sum_}\ndef main(a: int = 1): ...") == 1
