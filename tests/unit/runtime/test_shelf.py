"""Modules that were imported early: an import brings what it would have brought, and runs nothing.

Each case is executed twice in a process of its own: as it is, and after everything was imported
early. Both must print the same.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import mayfly_runtime

SOURCE = Path(mayfly_runtime.__file__).parents[1]

PACKAGES = {
    "sets/__init__.py": "import os\nos.environ.setdefault('SETS', 'sets')",
    "sets/more.py": "import os\nos.environ['MORE'] = 'more'",
    "warns/__init__.py": """
        import warnings
        warnings.filterwarnings("ignore", message="first")
        import sets
        warnings.simplefilter("always", UnicodeWarning)
        warnings.simplefilter("default", BytesWarning, append=True)
    """,
    "briefly/__init__.py": """
        import os, warnings
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            os.environ["BRIEFLY"] = "1"
            import sets.more
        del os.environ["BRIEFLY"]
    """,
    "lazy/__init__.py": "def get():\n    import sets.more\n    return sets",
    "caller/__init__.py": "import lazy\nlazy.get()\nfrom . import part, other as another",
    "caller/part.py": "from .other import *",
    "caller/other.py": "__all__ = ['value']\nvalue = 1",
    "alias/__init__.py": "import sys, sets\nsys.modules['alias.sets'] = sets",
    "circle/__init__.py": "from circle import one",
    "circle/one.py": "import circle.two",
    "circle/two.py": "import circle.one",
}

EARLY = """
from mayfly_runtime.worker import recorder, shelf
with recorder.Recorder() as record:
    import alias, briefly, caller, circle.one, lazy, warns
shelf.SHELF.take(record.names, record.needs, record.effects)
"""

HEAD = """
import os, sys, warnings
from mayfly_runtime.worker import recorder, shelf
def told():
    names = {name.partition(".")[0] for name in os.listdir(sys.argv[1])}
    print(sorted(each for each in sys.modules if each.partition(".")[0] in names))
    print({name: os.environ.get(name) for name in ("SETS", "MORE", "BRIEFLY")})
    print(*warnings.filters, sep="\\n")
"""


def printed(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, folder],
        env={"PYTHONPATH": f"{SOURCE}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("packages")
    for name, text in PACKAGES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(textwrap.dedent(text))
    return made


@pytest.mark.parametrize(
    "code",
    [
        "",
        "import sets",
        "import sets\nprint(hasattr(sets, 'more'))",
        "import sets.more\nprint(sets.more.__name__)",
        "import warns",
        "import briefly",
        "import lazy",
        "import lazy\nprint(lazy.get().more)",
        "import caller\nprint(caller.another.value, caller.part.value)",
        "from caller import part\nprint(part.value)",
        "import alias\nprint(sys.modules['alias.sets'].__spec__.name)",
        "import circle.two",
        "import circle\nprint(circle.one.circle is circle, circle.two.circle is circle)",
        "import sets, importlib\nimportlib.reload(sets)\nprint(sets.__spec__.name)",
        "import sets\ndel sys.modules['sets'], os.environ['SETS']\nimport sets as again\n"
        "print(again is sets)",
        "import importlib.util as util\nprint(util.find_spec('sets').origin)",
        "import importlib.util as util\nprint(util.find_spec('sets.more').name)",
        "os.environ['SETS'] = 'mine'\nimport sets",
        "warnings.simplefilter('error')\nimport warns",
        "import warns\nimport briefly\nimport caller\nimport alias",
    ],
)
def test_an_import_does_as_if_nothing_had_been_imported_early(folder, code):
    late = printed(folder, f"{code}\ntold()")
    assert printed(folder, f"{EARLY}{code}\ntold()") == late


def test_nothing_is_executed_again(folder):
    code = "kept = sys.modules['sets']\n"
    early = EARLY.replace("shelf.SHELF.take", code + "shelf.SHELF.take")
    assert printed(folder, f"{early}import sets\nprint(sets is kept)") == "True\n"


def test_a_thread_that_comes_when_another_has_put_it_back_gets_the_same(folder):
    code = """
finder = sys.meta_path[0]
import sets
spec = finder.find_spec("sets", None)
print(spec.loader.create_module(spec) is sets, finder.find_spec("sets", None, sets))
"""
    assert printed(folder, EARLY + code) == "True None\n"


def test_nothing_stays_of_what_looked_on(folder):
    code = f"""
import builtins
before = builtins.__import__, list(sys.meta_path), type(os.environ)
{EARLY}
import sets.more
print((builtins.__import__, sys.meta_path[1:], type(os.environ)) == before)
print("exec_module" in vars(sets.more.__loader__), sets.more.__spec__.loader.__class__.__name__)
"""
    assert printed(folder, code) == "True\nFalse SourceFileLoader\n"
