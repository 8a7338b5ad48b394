"""What main() gives: what can be kept is served, and what can't fails the run in words."""

from __future__ import annotations

import os
import ssl
from datetime import datetime

import httpx
import pytest
from support.cluster.installation import message, reason
from support.lengths import length

FAILURES = {
    "nan": (
        "def main() -> dict:\n    return {'scores': [1.0, float('nan')]}\n",
        "OutputNotJSON",
        "output.scores[1] is nan, which is not JSON",
    ),
    "infinity": (
        "def main() -> float:\n    return float('-inf')\n",
        "OutputNotJSON",
        "output is -inf, which is not JSON",
    ),
    "bytes": (
        "def main():\n    return {'picture': b'x'}\n",
        "OutputNotJSON",
        "output.picture is a bytes, which is not JSON: write it to a file and return its Path",
    ),
    "no-file": (
        "from cog import Path\ndef main() -> Path:\n    return Path('none.png')\n",
        "OutputUploadFailed",
        "output: the file 'none.png' can't be read: No such file or directory",
    ),
    "folder": (
        "from cog import Path\ndef main() -> Path:\n    return Path('tmp')\n",
        "OutputUploadFailed",
        "output: the file 'tmp' can't be read: it is a folder",
    ),
    # The worker opens it as itself, so that PID 1's own secrets stay its own.
    "file-of-1": (
        "from cog import Path\ndef main() -> Path:\n    return Path('/proc/1/environ')\n",
        "OutputUploadFailed",
        "output: the file '/proc/1/environ' can't be read: Permission denied",
    ),
    "large": (
        "def main() -> str:\n    return 'x' * 50_000_000\n",
        "OutputTooLarge",
        "the output has 50000002 bytes of JSON, over the limit of 6291456",
    ),
}


def test_what_cant_be_kept(namespace):
    runs = {name: namespace.run(source) for name, (source, _, _) in FAILURES.items()}
    for name, run in runs.items():
        ended = namespace.finished(run, seconds=240)
        _, why, words = FAILURES[name]
        assert (reason(ended), message(ended)) == (why, words), name
        assert ended["status"]["error"] == words
        assert ended["status"]["phase"] == "Failed"
        assert reason(ended, "Started") == "Started", name
        # main() did work: it is billed.
        assert ended["status"]["usage"]["activeMilliseconds"] > 0, name
        assert namespace.prediction(run)["output"] is None, name
    namespace.no_pods()


FILES = """
from cog import Path

def main() -> list[Path]:
    for name in ("a", "b"):
        Path(name).mkdir()
        Path(name, "same.txt").write_text(f"from {name}")
    return [Path("a/same.txt"), Path("b/same.txt")]
"""

ITEMS = """
from typing import Iterator
from cog import Path

def main() -> Iterator[Path]:
    for number in range(3):
        Path("same.txt").write_text(f"item {number}")
        yield Path("same.txt")
"""


def fetched(urls: list[str]) -> list[httpx.Response]:
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    return [httpx.get(url, verify=context).raise_for_status() for url in urls]


def test_what_is_kept(namespace):
    sources = {
        "set": "def main():\n    return {3, 1, 2}\n",
        "outside": "from cog import Path\ndef main() -> Path:\n    return Path('/etc/passwd')\n",
        "files": FILES,
        "items": ITEMS,
        "async": "import asyncio\nasync def main(n: int) -> int:\n"
        "    return sum(await asyncio.gather(*(asyncio.sleep(0, i) for i in range(n))))\n",
        "nothing": "def main() -> None:\n    print('did something')\n",
    }
    runs = {
        name: namespace.run(source, input={"n": 5} if name == "async" else {})
        for name, source in sources.items()
    }
    outputs = {}
    for name, run in runs.items():
        ended = namespace.finished(run, seconds=240)
        assert (name, reason(ended), message(ended)) == (name, "Succeeded", "main() returned.")
        outputs[name] = namespace.prediction(run)["output"]
    namespace.no_pods()
    assert sorted(outputs["set"]) == [1, 2, 3]
    assert outputs["async"] == 10
    assert outputs["nothing"] is None
    # Of the pod's own image, which the author can read anyway.
    (passwd,) = fetched([outputs["outside"]])
    assert passwd.text.startswith("root:x:0:0:")
    assert len(set(outputs["files"])) == 2
    answers = fetched(outputs["files"])
    assert [answer.text for answer in answers] == ["from a", "from b"]
    assert all("same.txt" in answer.headers["content-disposition"] for answer in answers)
    # What each was when it was yielded, though the author wrote over it.
    assert [answer.text for answer in fetched(outputs["items"])] == ["item 0", "item 1", "item 2"]


PARTIAL = """
import time
from typing import Iterator

def main(end: str) -> Iterator[str]:
    yield "one"
    yield "two"
    if end == "fail":
        raise ValueError("no three")
    if end == "exit":
        import os
        os._exit(9)
    if end == "wrong":
        yield {"bad": object()}
    time.sleep(600)
    yield "never"
"""


@pytest.mark.parametrize("kind", ["Iterator", "AsyncIterator"])
def test_what_an_iterator_gave_is_kept_whatever_the_end(namespace, kind):
    source = PARTIAL
    if kind == "AsyncIterator":
        source = source.replace("Iterator", kind).replace("def main", "async def main")
        source = source.replace("time.sleep", "await asyncio.sleep")
        source = source.replace("import time", "import asyncio")
    expected = {
        "fail": ("UserError", "ValueError: no three"),
        "exit": ("Exited", "the process exited with code 9 before main() returned"),
        "wrong": ("OutputNotJSON", "output[2].bad is a object, which is not JSON"),
        "late": ("TimedOut", "main() ran longer than its timeout of 3 s"),
    }
    # The others may need more than that on a busy machine.
    limits = {end: "3s" if end == "late" else "5m" for end in expected}
    runs = {end: namespace.run(source, input={"end": end}, timeout=limits[end]) for end in expected}
    for end, run in runs.items():
        ended = namespace.finished(run, seconds=240)
        assert (end, reason(ended), message(ended)) == (end, *expected[end])
        assert namespace.prediction(run)["output"] == ["one", "two"], end
        assert ended["status"]["output"] == ["one", "two"], end
        assert ended["status"]["usage"]["activeMilliseconds"] > 0, end
    namespace.no_pods()


def test_many_items_are_there_when_main_has_ended(namespace):
    count = length(20_000, 100_000)
    run = namespace.run(f"def main():\n    for n in range({count}):\n        yield 'x' * 10\n")
    ended = namespace.finished(run, seconds=240)
    assert reason(ended) == "Succeeded"
    completed = datetime.fromisoformat(ended["status"]["completedAt"])
    (finished,) = (
        datetime.fromisoformat(each["lastTransitionTime"])
        for each in ended["status"]["conditions"]
        if each["type"] == "Finished"
    )
    # Of whole seconds, so it may say up to one less than it was.
    assert (finished - completed).total_seconds() < 3


EVERYWHERE = """
import getpass, os
from cog import Path
def main() -> dict:
    found = {"user": getpass.getuser()}
    for folder in ("/tmp", "/var/tmp", "/run", os.path.expanduser("~")):
        file = Path(folder) / "x.txt"
        file.write_text(folder)
        found[folder] = file
    return found
"""


def test_a_file_written_where_programs_usually_write_is_an_output(namespace):
    run = namespace.run(EVERYWHERE)
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    output = namespace.prediction(run)["output"]
    assert output.pop("user") == "mayfly"
    assert [got.text for got in fetched(list(output.values()))] == list(output)
