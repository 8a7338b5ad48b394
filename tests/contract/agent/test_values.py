"""What the worker says arrives as it was meant: any characters, one speaker, the log at once."""

import time

import pytest
from contract.agent.messages import work
from support.waiting import within


@pytest.mark.parametrize(
    ("character", "count"),
    [("ж", 2_800_000), ("🐛", 1_450_000), ("語", 2_000_000), ("\\ud800", 1_000_000)],
)
@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ("    return {text}", lambda ended: [ended.output]),
        ("    yield 'ok'\n    yield {text}", lambda ended: ended.output[1:]),
    ],
    ids=["whole", "item"],
)
async def test_an_output_within_the_limit_arrives_whatever_its_characters(
    run, character, count, shape, read
):
    ended = await run("def main():\n" + shape.format(text=f'"{character}" * {count}'))
    assert ended.result["outcome"] == "succeeded", ended.result
    assert ended.result["activeMs"] < 5_000
    [text] = read(ended)
    assert (len(text), ascii(text[0])) == (count, ascii(eval(f'"{character}"')))


async def test_a_larger_limit_is_a_larger_channel(run):
    limits = {"outputBytes": 9 * 2**20}
    # The fake gateway takes messages of 16 MiB, so the text has nothing to escape.
    ended = await run("def main(): return 'ж' * 4_500_000", limits=limits)
    assert len(ended.output) == 4_500_000


async def test_what_surrounds_an_output_may_be_too_large_too(run):
    source = """
        from cog import Path
        def main():
            Path("a.txt").write_text("a")
            return {"k" * 1_000_000: [Path("a.txt")] * 20}
        """
    ended = await run(source, limits={"outputBytes": 1_001_000})
    assert (ended.result["outcome"], ended.result["reason"]) == ("failed", "OutputTooLarge")
    assert ended.result["error"].startswith("the output can't be sent: a message of ")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("os.closerange(3, 4096)", "it is closed"),
        ("os.write(fd, struct.pack('>I', 2**31))", "a message of 2147483648 bytes"),
        ("os.write(fd, struct.pack('>I', 2) + b'{]')", "a message that is not JSON"),
    ],
    ids=["closed", "too long", "not JSON"],
)
@pytest.mark.parametrize("moment", ["running", "importing"])
async def test_a_channel_that_breaks_ends_the_run_at_once(launch, how, words, moment):
    source = f"""
        import os, socket, stat, struct, time
        def broken():
            fd = next(fd for fd in range(200, 300) if is_socket(fd))
            {how}
            time.sleep(1000)
        def is_socket(fd):
            try:
                return stat.S_ISSOCK(os.fstat(fd).st_mode)
            except OSError:
                return False
        if "{moment}" == "importing":
            broken()
        def main():
            time.sleep(0.2)
            broken()
        """
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(source))
    if moment == "running":
        await session.receive("started")
    began = time.monotonic()
    result = (await agent.finish(session)).result
    took_ms = (time.monotonic() - began) * 1000
    assert took_ms < 30_000
    assert (result["outcome"], result["reason"]) == ("failed", "Exited")
    assert result["error"] == (
        f"the code was stopped, because its channel to the agent broke: {words}"
    )
    if moment == "running":
        # Billed until it broke, and not for the half second in which it might have exited.
        assert 200 <= result["activeMs"] <= took_ms - 300
    else:
        assert result["activeMs"] == 0


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("return 'child'", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('words')", 1, "words\n"),
        ("raise ValueError('of a child')", 1, "ValueError: of a child\n"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt\n"),
        ("os._exit(5)", 5, ""),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_forked_child_has_no_say(run, ending, code, told, kind):
    source = f"""
        import os, sys
        {kind} main():
            print("before", end="")
            pid = os.fork()
            if pid == 0:
                print(" child ", end="")
                {ending}
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return ["parent", code]
        """
    ended = await run(source)
    assert ended.result["outcome"] == "succeeded", ended.result
    assert ended.output == ["parent", code]
    assert ended.log.startswith("before child ")
    assert ended.log.endswith(told or "child ")
    assert "mayfly_runtime" not in ended.log


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_forked_child_yields_nothing(run, kind):
    source = f"""
        import os
        from pathlib import Path
        {kind} main():
            yield "first"
            pid = os.fork()
            if pid == 0:
                Path("x.txt").write_text("x")
                yield Path("x.txt")
                yield "child"
                return
            os.waitpid(pid, 0)
            Path("y.txt").write_text("y")
            yield Path("y.txt")
            yield "last"
        """
    ended = await run(source)
    assert ended.result["outcome"] == "succeeded", ended.result
    assert [ended.output[0], ended.output[2]] == ["first", "last"]
    assert len(ended.output) == 3


async def test_a_child_forked_while_importing_has_no_say(run):
    source = """
        import os
        CHILD = os.fork()
        if CHILD:
            CODE = os.waitstatus_to_exitcode(os.waitpid(CHILD, 0)[1])
        def main():
            return [CHILD > 0, CODE]
        """
    ended = await run(source)
    assert ended.output == [True, 0], ended.result


async def test_a_child_that_outlives_main_does_not_hold_the_run(run):
    source = """
        import os, time
        def main():
            if os.fork() == 0:
                time.sleep(1000)
            return "parent"
        """
    began = time.monotonic()
    assert (await run(source)).output == "parent"
    assert time.monotonic() - began < 30


async def test_text_beside_a_file_is_counted_as_without(run):
    source = """
        from cog import Path
        def main():
            Path("x.txt").write_text("A")
            return {"f": Path("x.txt"), "t": "ж" * 2_300_000, "half": "\\ud800"}
        """
    ended = await run(source)
    assert ended.result["outcome"] == "succeeded", ended.result
    assert len(ended.output["t"]) == 2_300_000
    assert ended.output["f"].startswith("mayfly-file:")
    assert ended.output["half"] == "\ud800"


@pytest.mark.parametrize(("limit", "outcome"), [(125, "succeeded"), (124, "failed")])
async def test_the_items_of_a_list_are_counted_as_its_text(run, limit, outcome):
    """Two texts of 20 bytes, two ids of files of 40, the commas and brackets."""
    source = """
        from cog import Path
        def main():
            Path("x.txt").write_text("A")
            for item in ["ж" * 9, Path("x.txt"), Path("x.txt"), "ж" * 9]:
                yield item
        """
    ended = await run(source, limits={"outputBytes": limit})
    assert ended.result["outcome"] == outcome
    if outcome == "succeeded":
        assert len(ended.result["outputJSON"].encode()) == limit
    else:
        assert ended.result["reason"] == "OutputTooLarge"
        assert len(ended.output) in {2, 3}
    assert len(ended.result["outputJSON"].encode()) <= limit


@pytest.mark.parametrize("key", ["1: 'a', '1': 'b'", "True: 1, 'true': 2", "1.0: 1, '1.0': 2"])
async def test_two_keys_that_are_one_in_json_are_refused(run, key):
    ended = await run(f"def main(): return {{'deep': {{{key}}}}}")
    assert ended.result["reason"] == "OutputNotJSON"
    name = key.split(",")[1].split(":")[0].strip(" '")
    assert ended.result["error"] == f'output.deep has two keys that are "{name}" in JSON'


@pytest.mark.parametrize(
    ("statements", "log"),
    [
        ("print('step 3', end='')", "step 3"),
        ("print('a', end=''); sys.stderr.write('b'); print('c', end='')", "abc"),
        ("sys.stdout.write('10%\\r'); sys.stdout.write('20%')", "10%\r20%"),
        ("sys.stdout.buffer.write(b'bytes')", "bytes"),
        ("print('\\ud800', end='')", "\\ud800"),
        ("print('x' * 300_000, end='')", "x" * 300_000),
    ],
)
@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
async def test_what_was_printed_is_in_the_log_however_the_process_ends(run, statements, log, end):
    ended = await run(f"import os, sys\ndef main():\n    {statements}\n    {end}")
    assert ended.result["reason"] == "Exited"
    assert ended.log == log


async def test_a_line_is_seen_before_it_ends(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, time
        def main() -> None:
            print("half a line", end="")
            while not os.path.exists("tmp/go"):
                time.sleep(0.01)
        """
    await session.send("work", **work(source))
    message = await within(60, session.receive("log"))
    assert message["data"] == "half a line"
    (agent.scratch / "run/tmp/go").touch()
    await agent.finish(session)


async def test_a_pipe_without_blocking_and_signals_lose_nothing(run):
    source = """
        import os, signal, sys
        def main() -> None:
            os.set_blocking(1, False)
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            for n in range(30):
                sys.stdout.write(str(n % 10) * 100_000)
        """
    ended = await run(source)
    assert ended.result["outcome"] == "succeeded", ended.result
    assert ended.log == "".join(str(n % 10) * 100_000 for n in range(30))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("# coding: latin-1\ndef main() -> str: return 'ü'",
         "the source must be UTF-8, not latin-1: remove its coding line "
         "(main.py line 1: # coding: latin-1)"),
    ],
)  # fmt: skip
async def test_a_source_in_another_coding_is_refused_by_the_worker_too(run, source, error):
    empty = {"components": {"schemas": {"Input": {"properties": {}}}}}
    ended = await run({"main.py": source}, schema=empty)
    assert (ended.result["reason"], ended.result["error"]) == ("InvalidSource", error)


@pytest.mark.parametrize("head", ["\ufeff", "# coding: utf-8\n", "\ufeff# coding: utf8\n"])
async def test_schema_and_run_read_one_text(run, head):
    files = {
        "main.py": head + "import part\ndef main(a: str = 'ü'): return [a, 'ü', part.B]",
        "part.py": head + "B = 'ü'",
    }
    ended = await run(files)
    assert ended.output == ["ü", "ü", "ü"], ended.result
