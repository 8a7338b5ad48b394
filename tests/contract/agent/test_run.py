"""One run from `work` to its end: what main() gets, what it may return, how it may fail."""

import gc
import time

import pytest
from contract.agent.messages import work

BASE_FIELDS = {"type", "run", "attempt", "outcome", "reason", "error", "outputJSON", "started",
               "startedAt", "completedAt", "activeMs", "logBytes"}  # fmt: skip


async def test_a_run_succeeds_and_says_every_step_once(run):
    ended = await run(
        """
        def main(n: int) -> int:
            print("hi", n, type(n).__name__)
            return n * 2
        """,
        {"n": 3.0},
    )
    assert ended.output == 6
    assert ended.log == "hi 3 int\n"
    assert ended.exit_code == 0
    kinds = [message["type"] for message in ended.messages]
    assert kinds == ["hello", "accepted", "started", "log", "result"]
    hello, _, started, _, result = ended.messages
    assert hello == {"type": "hello", "protocol": 1, "state": "idle"}
    assert set(result) == BASE_FIELDS
    assert result["startedAt"] == started["at"] <= result["completedAt"]
    assert result["started"]
    assert result["activeMs"] >= 1
    assert result["logBytes"] == len(ended.log)


async def test_the_termination_message_holds_the_outcome(run):
    ended = await run("def main() -> str: return 'héllo'")
    result = ended.result
    assert ended.termination == {
        "v": 1,
        "outputOmitted": False,
        **{k: v for k, v in result.items() if k not in {"type", "logBytes"}},
    }
    ended_large = ended.termination["outputJSON"]
    assert ended_large == '"héllo"'


async def test_json_input_is_untouched(run):
    text = '{"x": {"b": 1.0, "a": 12345678901234567890123, "c": [1e2, -0.0, "é\\u0000"]}}'
    ended = await run(
        """
        import json
        def main(x: dict) -> str:
            return json.dumps(x, ensure_ascii=False)
        """,
        text,
    )
    assert (
        ended.output == '{"b": 1.0, "a": 12345678901234567890123, "c": [100.0, -0.0, "é\\u0000"]}'
    )


async def test_every_input_type_and_default(run):
    ended = await run(
        """
        from typing import Any, Literal, Optional
        from cog import Input
        def main(
            s: str,
            f: float,
            flag: bool,
            any_: Any,
            words: list[str],
            numbers: list[float],
            i: int = Input(default=7, min=1, max=9),
            mode: Literal["a", "b"] = "b",
            maybe: Optional[str] = None,
            other: int | None = Input(description="x"),
            old: int = Input(default=None),
        ) -> dict:
            return {name: repr(value) for name, value in locals().items()}
        """,
        {"s": "", "f": 2, "any_": [None, True], "words": ["a"], "numbers": [1, 2.5]},
    )
    assert ended.output == {
        "s": "''",
        "f": "2.0",
        "flag": "False",
        "any_": "[None, True]",
        "words": "['a']",
        "numbers": "[1.0, 2.5]",
        "i": "7",
        "mode": "'b'",
        "maybe": "None",
        "other": "None",
        "old": "None",
    }


async def test_sets_tuples_and_open_files_reach_main_as_themselves(run):
    ended = await run(
        """
        from cog import File
        def main(
            s: set[str], z: frozenset[int], t: tuple[int, ...], pair: tuple[float, float],
            n: list[set[int]], f: File, files: list[File], d: set[str] = {"b", "a"},
        ) -> dict:
            s.add("more")
            return {"s": sorted(s), "z": repr(z), "t": repr(t), "pair": repr(pair),
                    "n": repr(n), "f": f.read().decode(), "d": repr(type(d)),
                    "lines": [list(map(bytes.decode, each)) for each in files]}
        """,
        {"s": ["a", "a"], "z": [1.0], "t": [1, 2], "pair": [1, 2], "n": [[1, 1]],
         "f": "data:,hi", "files": ["data:,a%0Ab"]},
    )  # fmt: skip
    assert ended.output == {
        "s": ["a", "more"], "z": "frozenset({1})", "t": "(1, 2)", "pair": "(1.0, 2.0)",
        "n": "[{1}]", "f": "hi", "d": "<class 'set'>", "lines": [["a\n", "b"]],
    }  # fmt: skip


async def test_an_open_file_is_an_output(run, gateway):
    ended = await run(
        """
        from cog import File
        def main() -> File:
            file = open("x.txt", "w")
            file.write("kept")
            return file
        """
    )
    assert gateway.files[ended.output] == b"kept"


async def test_the_place_where_main_runs(run):
    ended = await run(
        """
        import os, sys, tempfile, threading, pathlib
        import cog
        def main() -> dict:
            seen = {}
            thread = threading.Thread(
                target=lambda: seen.update(cog.current_scope().context))
            thread.start(); thread.join()
            return {
                "cwd": os.getcwd(), "tmp": tempfile.gettempdir(), "argv": sys.argv,
                "env": {k: v for k, v in os.environ.items()
                        if k.startswith(("MAYFLY", "KUBERNETES", "REPLICATE", "OMP"))},
                "scope": seen, "files": sorted(os.listdir(".")),
                "ca": "BEGIN CERTIFICATE" in pathlib.Path(os.environ["SSL_CERT_FILE"]).read_text(),
                "same": os.environ["SSL_CERT_FILE"] == os.environ["REQUESTS_CA_BUNDLE"],
                "warnings": cog.ExperimentalFeatureWarning.__mro__[1].__name__,
            }
        """,
        environment={"MAYFLY_POD_UID": "u", "KUBERNETES_SERVICE_HOST": "10.0.0.1",
                     "MAYFLY_CA_PEM": ""},
    )  # fmt: skip
    output = ended.output
    assert output["cwd"].endswith("/scratch/run")
    assert output["tmp"] == output["cwd"] + "/tmp"
    assert output["argv"] == ["main.py"]
    assert output["files"] == ["main.py", "tmp"]
    assert output["scope"] == {"replicate_api_token": "run-token"}
    assert output["env"].pop("REPLICATE_BASE_URL").startswith("http://127.0.0.1:")
    assert output["env"] == {
        "REPLICATE_API_TOKEN": "run-token",
        "REPLICATE_POLL_INTERVAL": "0.05",
        "OMP_NUM_THREADS": "1",
    }
    assert output["ca"]
    assert output["same"]


async def test_several_files_and_another_entrypoint(run):
    ended = await run(
        {
            "app/run.py": "from app.parts import two\ndef go(n: int) -> int:\n    return n + two()",
            "app/parts.py": "def two():\n    return 2",
        },
        {"n": 1},
        entrypoint="app/run.py:go",
    )
    assert ended.output == 3


async def test_a_large_input_is_fetched(run, gateway):
    gateway.input_text = '{"s": "from the store"}'
    ended = await run("def main(s: str) -> str: return s", inputURL=True)
    assert ended.output == "from the store"
    method, path, headers = gateway.calls[-1]
    assert (method, path) == ("GET", "/agent/v1/input")
    assert headers["Authorization"] == "Bearer projected-token"
    assert len(headers["Mayfly-Session"]) == 43


async def test_an_unknown_input_is_a_warning(run):
    ended = await run("def main() -> None: ...", {"typo": 1})
    assert ended.result["outcome"] == "succeeded"
    assert ended.result["outputJSON"] == "null"
    assert ended.log == "mayfly: the input 'typo' is unknown to this pipeline and was ignored\n"


async def test_iterator_items_go_up_as_they_come(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        from cog import ConcatenateIterator
        import os, time
        def main() -> ConcatenateIterator[str]:
            yield "a"
            while not os.path.exists("tmp/go"):
                time.sleep(0.01)
            yield "b"
        """
    await session.send("work", **work(source))
    first = await session.receive("output")
    assert (first["index"], first["itemsJSON"]) == (0, ['"a"'])
    (agent.scratch / "run/tmp/go").touch()
    ended = await agent.finish(session)
    assert ended.outputs == ["a", "b"]
    assert ended.output == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("async def main() -> int: return 4", 4),
        ("async def main():\n    for n in range(3):\n        yield n", [0, 1, 2]),
        ("import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return {'a': (1,)}",
         {"a": [1]}),
        ("def main(): return map(str, [1, 2])", ["1", "2"]),
        ("def main(): return iter(())", []),
        ("import functools\n@functools.cache\ndef main(): return 5", 5),
        ("def main(): return '\\ud800'", "\ud800"),
        ("def main(): yield '\\ud800'", ["\ud800"]),
    ],
)  # fmt: skip
async def test_ways_to_return(run, source, output):
    assert (await run(source)).output == output


async def test_code_that_runs_after_main_is_billed_but_for_one_second(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, time
        class Late(os.PathLike):
            def __fspath__(self):
                time.sleep(4)
                open("late.txt", "w").close()
                return "late.txt"
        def main():
            return Late()
        """
    sent = time.monotonic()
    await session.send("work", **work(source))
    result = (await agent.finish(session)).result
    assert result["outcome"] == "succeeded"
    assert 3000 <= result["activeMs"] <= (time.monotonic() - sent) * 1000 - 1000


async def test_a_downstream_file_is_passed_by_reference(run):
    ended = await run(
        """
        import os
        class URLPath(os.PathLike):  # as the client's: reading it would download it
            def __init__(self, url): self.__url__ = url
            def __fspath__(self): raise RuntimeError("downloaded")
        def main():
            return [URLPath("https://example.com/a.png"), {"b": URLPath("https://example.com/b")}]
        """
    )
    assert ended.output == ["https://example.com/a.png", {"b": "https://example.com/b"}]


@pytest.mark.parametrize(
    ("source", "reason", "error"),
    [
        ("def main(): raise ValueError('no cats')", "UserError", "ValueError: no cats"),
        ("class E(Exception): pass\ndef main(): raise E", "UserError", "main.E"),
        ("def main(): raise KeyboardInterrupt", "UserError", "KeyboardInterrupt"),
        ("async def main(): raise KeyError('k')", "UserError", "KeyError: 'k'"),
        ("import sys\ndef main(): sys.exit(3)", "Exited",
         "main() called sys.exit(3): it exited with code 3"),
        ("import sys\ndef main(): sys.exit()", "Exited",
         "main() called sys.exit(): it exited with code 0"),
        ("import os\ndef main(): os._exit(0)", "Exited",
         "the process exited with code 0 before main() returned"),
        ("import os\ndef main(): os._exit(7)", "Exited",
         "the process exited with code 7 before main() returned"),
        ("import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGSEGV)", "Exited",
         "the process was ended by SIGSEGV (a segmentation fault) before main() returned"),
        ("import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGKILL)", "Exited",
         "the process was ended by SIGKILL (killed) before main() returned"),
        ("def main(): return {'a': [1, float('nan')]}", "OutputNotJSON",
         "output.a[1] is nan, which is not JSON"),
        ("def main(): return {'a': object()}", "OutputNotJSON",
         "output.a is a object, which is not JSON"),
        ("def main():\n    x = []\n    x.append(x)\n    return x", "OutputNotJSON",
         "output[0][0][0] is nested deeper than 200 levels"),
        ("from cog import Path\ndef main(): return {'f': Path('none.png')}", "OutputUploadFailed",
         "output.f: the file 'none.png' can't be read: No such file or directory"),
    ],
)  # fmt: skip
async def test_ways_to_fail_while_running(run, source, reason, error):
    ended = await run(source)
    result = ended.result
    assert (result["outcome"], result["reason"], result["error"]) == ("failed", reason, error)
    assert result["started"]
    assert result["completedAt"] is not None
    assert result["activeMs"] >= 1
    assert result["outputJSON"] is None
    assert ended.termination["reason"] == reason


@pytest.mark.parametrize(
    ("source", "reason", "error"),
    [
        ("import nothing_like_it\ndef main(): ...", "ImportError",
         "ModuleNotFoundError: No module named 'nothing_like_it' (no file of the source and no "
         "package of this runtime; `kubectl get mprt -o yaml` lists the packages)"),
        ("1 / 0\ndef main(): ...", "ImportError", "ZeroDivisionError: division by zero"),
        ("def main(:\n    pass", "InvalidSource",
         "SyntaxError: invalid syntax (main.py, line 1): def main(:"),
        ("def run(): ...\ndef other(): ...", "InvalidSource",
         "there is no function main in main.py: it has run, other"),
        ("class main: ...", "InvalidSource",
         "main in main.py is a class: a pipeline has no setup"),
        ("import sys\nsys.exit(2)", "Exited", "main.py called sys.exit(2) when imported"),
        ("import os\nos._exit(2)", "Exited",
         "the process exited with code 2 while it was loading"),
    ],
)  # fmt: skip
async def test_ways_to_fail_before_the_start(run, source, reason, error):
    empty = {"components": {"schemas": {"Input": {"properties": {}}}}}
    ended = await run(source, schema=empty)
    result = ended.result
    assert (result["outcome"], result["reason"], result["error"]) == ("failed", reason, error)
    assert not result["started"]
    assert (result["startedAt"], result["completedAt"], result["activeMs"]) == (None, None, 0)
    assert "started" not in [message["type"] for message in ended.messages]


async def test_a_wrong_input_names_its_field_and_runs_nothing(run):
    ended = await run(
        "print('imported')\ndef main(n: int, s: str) -> None: ...", {"n": True}, limits={}
    )
    assert ended.result["reason"] == "InvalidInput"
    assert ended.result["error"] == "n: must be an integer, not true; s: is required"
    assert ended.log == ""


async def test_a_regular_expression_that_never_ends_is_stopped(run):
    ended = await run(
        """
        from cog import Input
        def main(s: str = Input(regex="^(a+)+$")) -> None: ...
        """,
        {"s": "a" * 60 + "b"},
        limits={"importMs": 1000},
    )
    assert ended.result["reason"] == "InvalidInput"
    assert ended.result["error"] == "checking the input took longer than 1 s"


async def test_an_import_that_takes_too_long(run):
    ended = await run(
        "import time\ntime.sleep(1000)\ndef main() -> None: ...", limits={"importMs": 500}
    )
    assert ended.result["reason"] == "ImportError"
    assert ended.result["error"] == "importing main.py took longer than 500 ms"
    assert not ended.result["started"]


async def test_a_start_that_takes_too_long(run):
    ended = await run("import time\ntime.sleep(1000)\ndef main() -> None: ...", startWithinMs=500)
    assert ended.result["reason"] == "StartDeadlineExceeded"


async def test_the_traceback_shows_the_authors_frames_only(run):
    ended = await run(
        """
        import json
        def inner():
            return json.loads("{")
        def main():
            try:
                inner()
            except ValueError as error:
                raise RuntimeError("outer") from error
        """
    )
    assert ended.result["error"] == "RuntimeError: outer"
    assert 'return json.loads("{")' in ended.log
    assert "The above exception was the direct cause" in ended.log
    assert "mayfly_runtime" not in ended.log
    assert "decoder.py" not in ended.log  # where json raised it
    assert "importlib" not in ended.log
    assert ended.log.endswith("RuntimeError: outer\n")


async def test_partial_output_is_kept_of_an_iterator_only(run):
    ended = await run("def main():\n    yield 1\n    yield 2\n    raise ValueError('x')")
    assert (ended.result["reason"], ended.output) == ("UserError", [1, 2])


async def test_an_error_is_cut_to_4_kib_and_the_termination_message_too(run):
    ended = await run("def main(): raise ValueError('é' * 10_000)")
    assert len(ended.result["error"].encode()) <= 4096
    assert ended.result["error"].startswith("ValueError: éé")
    assert ended.termination["outcome"] == "failed"
    assert ended.termination["error"].startswith("ValueError: éé")


async def test_a_large_output_is_omitted_from_the_termination_message(run):
    ended = await run("def main(): return '\"' * 3_000_000")
    assert len(ended.output) == 3_000_000
    assert ended.termination["outputJSON"] is None
    assert ended.termination["outputOmitted"]


@pytest.mark.parametrize(
    "source",
    ["def main(): return 'x' * 1000", "def main():\n    while True:\n        yield 'x' * 100"],
)
async def test_an_output_over_the_limit(run, source):
    ended = await run(source, limits={"outputBytes": 1000})
    assert ended.result["reason"] == "OutputTooLarge"
    assert ended.result["started"]


async def test_out_of_memory_is_told_by_the_cgroups_counter(run, tmp_path):
    ended = await run(
        f"""
        import os, pathlib, signal
        def main():
            events = pathlib.Path({str(tmp_path / "cgroup/memory.events")!r})
            events.write_text("oom 1\\noom_kill 1\\n")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert ended.result["reason"] == "OutOfMemory"


async def test_messages_forged_by_the_author_do_not_reach_the_gateway(run):
    ended = await run(
        """
        import os, socket, struct, json, time
        def main():
            for fd in range(100, 1000):
                try:
                    channel = socket.socket(fileno=os.dup(fd))
                    if channel.family == socket.AF_UNIX:
                        break
                except OSError:
                    continue
            body = json.dumps({"op": "output", "files": [],
                               "text": '1},"type":"result","activeMs":0,"x":{"y":1'}).encode()
            channel.sendall(struct.pack(">I", len(body)) + body)
            time.sleep(100)
        """
    )
    assert ended.result["reason"] == "Exited"
    assert ended.result["error"].startswith("the worker's messages are broken")
    assert [m["type"] for m in ended.messages].count("result") == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_the_author_may_use_processes(run, method):
    ended = await run(
        f"""
        import multiprocessing, warnings
        from concurrent.futures import ProcessPoolExecutor
        def double(n):
            return 2 * n
        def main() -> list:
            warnings.simplefilter("ignore")
            context = multiprocessing.get_context({method!r})
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                return list(pool.map(double, range(3)))
        """
    )
    assert ended.output == [0, 2, 4]


async def test_garbage_is_collected_as_usual_once_main_is_called(run):
    """While `main.py` is imported there is less of it to collect, and nothing walks it later."""
    ended = await run(
        """
        import gc
        importing = gc.get_threshold()
        def main() -> dict:
            frozen = gc.get_freeze_count()
            return {"enabled": gc.isenabled(), "threshold": gc.get_threshold(),
                    "fewer": importing > gc.get_threshold(), "frozen": frozen > 1000}
        """
    )
    threshold = list(gc.get_threshold())
    expected = {"enabled": True, "threshold": threshold, "fewer": True, "frozen": True}
    assert ended.output == expected


async def test_an_author_may_choose_how_garbage_is_collected(run):
    ended = await run(
        """
        import gc
        gc.set_threshold(9, 8, 7)
        gc.disable()
        def main() -> list:
            return [gc.isenabled(), *gc.get_threshold()]
        """
    )
    assert ended.output == [False, 9, 8, 7]
