"""Lost connections, restarts, repeated messages: nothing is lost, nothing said twice."""

import json

import pytest
from contract.agent.conftest import items
from contract.agent.messages import RUN, work
from support.lengths import length
from support.waiting import looks


async def test_the_session_names_itself(launch):
    agent = await launch()
    session = await agent.session()
    assert session.headers["Authorization"] == "Bearer projected-token"
    assert len(session.headers["Mayfly-Session"]) == 43
    await session.close()
    again = await agent.session()
    assert again.headers["Mayfly-Session"] == session.headers["Mayfly-Session"]


async def test_a_renewed_token_is_read_again(launch):
    agent = await launch()
    session = await agent.session()
    (agent.folder / "token").write_text("renewed")
    await session.close(4401)
    assert (await agent.session()).headers["Authorization"] == "Bearer renewed"


async def test_pings_are_answered_and_unknown_messages_passed_over(launch):
    agent = await launch()
    session = await agent.session()
    await session.ping()
    await session.send("from-the-future", x=1)
    await session.send("work", **work("def main() -> int: return 1"))
    assert (await agent.finish(session)).output == 1


async def test_an_unreadable_message_closes_the_connection_only(launch):
    agent = await launch()
    session = await agent.session()
    await session.send_text("{")
    await session.closed.wait()
    again = await agent.session()
    await again.send("work", **work("def main() -> int: return 1"))
    assert (await agent.finish(again)).output == 1


async def test_a_second_work_is_refused(launch):
    agent = await launch()
    session = await agent.session()
    source = "import time, os\ndef main() -> int:\n    print('x')\n    time.sleep(1)\n    return 1"
    await session.send("work", **work(source))
    await session.receive("started")
    await session.send("work", **{**work("def main() -> int: return 2"), "run": "second"})
    refusal = await session.receive("hello")
    assert (refusal["state"], refusal["run"], refusal["attempt"]) == ("running", RUN, 1)
    ended = await agent.finish(session)
    assert ended.output == 1
    assert [m["type"] for m in ended.messages].count("accepted") == 1


async def test_the_log_goes_on_where_it_was_stored(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, time
        def wait(name):
            while not os.path.exists(f"tmp/{name}"):
                time.sleep(0.01)
        def main() -> None:
            print("one é")
            wait("a")
            print("two é")
            wait("b")
            print("three é")
        """
    await session.send("work", **work(source))
    first = await session.receive("log")
    assert (first["offset"], first["data"]) == (0, "one é\n")
    session.drop()
    (agent.scratch / "run/tmp/a").touch()
    stored = first["data"].encode()
    second = await agent.session(logOffset=len(stored))
    assert second.hello == {
        "type": "hello", "protocol": 1, "state": "running", "run": RUN, "attempt": 1,
    }  # fmt: skip
    assert (await second.receive("started"))["run"] == RUN
    piece = await second.receive("log")
    assert piece["offset"] == len(stored)
    stored += piece["data"].encode()
    await second.send("logack", offset=len(stored))
    second.drop()
    (agent.scratch / "run/tmp/b").touch()
    third = await agent.session(logOffset=len(stored))
    ended = await agent.finish(third)
    for message in third.messages:
        if message["type"] == "log":
            assert message["offset"] == len(stored)
            stored += message["data"].encode()
    assert stored.decode() == "one é\ntwo é\nthree é\n"
    assert ended.result["logBytes"] == len(stored)


async def test_what_was_not_stored_is_sent_again(launch):
    agent = await launch()
    session = await agent.session()
    source = "import time\ndef main():\n    print('a' * 10)\n    time.sleep(1000)"
    await session.send("work", **work(source))
    await session.receive("log")
    session.drop()
    again = await agent.session(logOffset=4)
    piece = await again.receive("log")
    assert (piece["offset"], piece["data"]) == (4, "aaaaaa\n")


@pytest.mark.parametrize("stored", [0, 1, 2])
async def test_outputs_are_sent_again_from_the_first_that_is_not_stored(launch, stored):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, time
        def main():
            yield 1.0
            yield 12345678901234567890
            while not os.path.exists("tmp/go"):
                time.sleep(0.01)
            yield {"b": 1, "a": 2}
        """
    await session.send("work", **work(source))
    while len(items(session)) < 2:
        await session.receive("output")
    session.drop()
    again = await agent.session(outputIndex=stored)
    if stored < 2:
        assert (await again.receive("output"))["index"] == stored
    (agent.scratch / "run/tmp/go").touch()
    ended = await agent.finish(again)
    assert ended.result["outputJSON"] == '[1.0,12345678901234567890,{"b":1,"a":2}]'
    assert ended.outputs == [1.0, 12345678901234567890, {"b": 1, "a": 2}][stored:]


async def test_items_that_come_while_others_are_stored_share_a_message(launch):
    """However fast main() yields, there are no more messages than the gateway can store."""
    agent = await launch()
    session = await agent.session()
    session.stores_outputs = False
    count = length(3_000, 100_000)
    source = f"""
        def main():
            for n in range({count}):
                yield "x" * 10
            open("tmp/done", "w")
        """
    await session.send("work", **work(source))
    first = await session.receive("output")
    async for _ in looks():
        if (agent.scratch / "run/tmp/done").exists():
            break
    assert len(items(session)) == len(first["itemsJSON"])
    session.stores_outputs = True
    await session.send("outputack", index=len(first["itemsJSON"]))
    ended = await agent.finish(session)
    assert json.loads(ended.result["outputJSON"]) == ended.outputs == ["x" * 10] * count
    messages = [m for m in session.messages if m["type"] == "output"]
    assert all(sum(map(len, m["itemsJSON"])) <= 64 * 1024 for m in messages)
    assert len(messages) < count / 100


async def test_the_result_is_sent_until_it_is_acknowledged(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work("def main() -> int: return 1"))
    first = await session.receive("result")
    session.drop()
    second = await agent.session()
    assert second.hello["state"] == "done"
    assert await second.receive("result") == first
    await second.close()
    third = await agent.session(logOffset=0)
    await third.send("ack", run="another", attempt=1)
    ended = await agent.finish(third)
    assert ended.result == first
    assert ended.exit_code == 0


async def test_a_recorded_result_lets_the_agent_go(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work("def main() -> int: return 1"))
    await session.receive("result")
    session.drop()
    await agent.session(recorded=True)
    assert await agent.exit_code() == 0


async def test_a_run_that_was_ended_without_us_stops(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work("import time\ndef main():\n    time.sleep(1000)"))
    await session.receive("started")
    session.drop()
    await agent.session(recorded=True)
    assert await agent.exit_code() == 1


async def test_main_runs_on_without_a_gateway(launch):
    agent = await launch()
    session = await agent.session()
    source = (
        "import os\ndef main():\n    print('x')\n    open('tmp/ran', 'w').close()\n    return 1"
    )
    await session.send("work", **work(source))
    await session.receive("accepted")
    session.drop()
    again = await agent.session()
    ended = await agent.finish(again)
    assert ended.output == 1
    assert (agent.scratch / "run/tmp/ran").exists()


async def test_the_result_comes_after_the_whole_log(run):
    ended = await run("def main():\n    print('x' * 3_000_000)\n    print('end')")
    assert len(ended.log) == 3_000_005
    assert ended.log.endswith("x\nend\n")
    offsets = [(m["offset"], len(m["data"])) for m in ended.messages if m["type"] == "log"]
    expected = 0
    for offset, size in offsets:
        assert offset == expected
        assert size <= 65_536
        expected += size


async def test_the_log_is_cut_at_its_limit_in_one_line(run):
    ended = await run(
        "def main():\n    for _ in range(1000):\n        print('x' * 99)",
        limits={"logBytes": 10_000},
    )
    kept, told = ended.log.rstrip("\n").rsplit("\n", 1)
    dropped = 100_000 - len(kept)
    assert told == f"mayfly: {dropped} bytes of log past the limit were dropped"
    assert ended.result["logBytes"] == len(ended.log) <= 10_000


async def test_bytes_that_are_not_text(run):
    ended = await run(
        "import os\ndef main():\n"
        "    os.write(1, b'a\\xffb\\x00\\n')\n    os.write(2, 'é'.encode()[:1])"
    )
    assert ended.log == "a\ufffdb\x00\n\ufffd"
    assert ended.result["logBytes"] == len(ended.log.encode())


async def test_numbers_keep_their_spelling_on_the_wire(run):
    ended = await run("def main(): return [1.0, 10**25, 1e300, {'z': 1, 'a': -0.0}]")
    assert ended.result["outputJSON"] == json.dumps(
        [1.0, 10**25, 1e300, {"z": 1, "a": -0.0}], separators=(",", ":")
    )
