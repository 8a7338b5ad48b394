"""The small parts: fetch's rules, memory, messages, clock, the check command, the facade."""

import ipaddress
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.agent import clock, fetch, messages, oom, process
from mayfly_runtime.agent.gateway import Address
from mayfly_runtime.agent.run import Run
from mayfly_runtime.spec import addresses, check

SOURCE = Path(__file__).parents[3] / "runtime-image" / "src"


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0",
     "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1",
     "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1"],
)  # fmt: skip
def test_addresses_that_are_not_fetched_from(address):
    assert not addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_internet(address):
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\x.exe", "x.exe"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a;b|c\n.png", "a_b_c_.png"),
        ("größe 1.png", "größe 1.png"),
    ],
)
def test_safe_names(name, safe):
    assert fetch.safe_name(name) == safe


@given(st.text())
def test_a_safe_name_is_one(name):
    safe = fetch.safe_name(name)
    assert safe not in {"", ".", ".."}
    assert "/" not in safe
    assert "\0" not in safe
    assert len(safe.encode()) <= 120


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://g.ns.svc", Address(True, "g.ns.svc", 443, "")),
        ("http://127.0.0.1:8080/base/", Address(False, "127.0.0.1", 8080, "/base")),
        ("https://[fd00::1]", Address(True, "fd00::1", 443, "")),
        ("http://[fd00::1]:8080/a/b", Address(False, "fd00::1", 8080, "/a/b")),
    ],
)
def test_gateway_addresses(url, address):
    assert Address.of(url) == address


@pytest.mark.parametrize(
    "url", ["", "g.ns.svc", "ftp://g.ns.svc", "https://", "https:///x", "http://g:x", "http://[::1"]
)
def test_a_gateway_address_that_is_none(url):
    with pytest.raises(ValueError, match="not an http"):
        Address.of(url)


def test_the_authority_of_a_gateway_address():
    assert Address.of("https://[::1]:8443").authority == "[::1]:8443"


def test_oom_counters_of_both_cgroup_versions(tmp_path):
    proc = tmp_path / "proc"
    proc.write_text("0::/\n")
    assert oom.oom_kills(tmp_path, proc) == 0
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert oom.oom_kills(tmp_path, proc) == 2
    (tmp_path / "memory.events").unlink()
    proc.write_text("5:cpu,cpuacct:/x\n4:memory:/pod/c\n")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.oom_control").write_text("under_oom 0\noom_kill 1\n")
    assert oom.oom_kills(tmp_path, proc) == 1
    counter = oom.OomCounter(tmp_path)
    assert not counter.grew()


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'"x"', b"{}", b'{"type":"work"}', b'{"type":"ack","run":"x"}', b"[" * 9999],
)
def test_messages_that_cannot_be_read(data):
    with pytest.raises(messages.ProtocolError):
        messages.decode(data)


def test_an_unknown_type_is_passed_over():
    assert messages.decode(b'{"type":"later"}') is None


def test_limits_default_and_unknown_ones_are_passed_over():
    work = {
        "type": "work", "run": "r", "attempt": 1, "token": "t", "files": {}, "entrypoint": "e",
        "inputURL": True, "schema": {}, "timeoutMs": 1, "startWithinMs": 2,
        "limits": {"fileBytes": 5, "later": 1},
    }  # fmt: skip
    read = messages.decode(json.dumps(work).encode())
    assert read.limits == messages.Limits(fileBytes=5)
    assert read.inputJSON is None


def test_work_is_shown_without_its_secrets():
    work = messages.Work(
        *["r", 1, "the-token", {}, "e", '{"key":"the-input"}', {}, 1, 1, messages.Limits()],
        secrets={"KEY": "the-secret"},
    )
    assert repr(work) == "Work(run='r', attempt=1)"
    assert "the-" not in f"{work} {[work]}"


@pytest.mark.parametrize("text", ['{"b":1.0,"a":1e400}', '"\\ud800"', '"ж"'])
def test_an_item_is_in_its_message_as_it_is(text):
    encoded = json.loads(messages.encode(messages.Output("r", 0, [text])))
    assert encoded == {"type": "output", "run": "r", "index": 0, "itemsJSON": [text]}


def test_the_largest_output_fits_into_a_message():
    worst = '"' + '\\"' * (3 * 2**20 - 1) + '"'
    result = messages.Result("r", 1, "succeeded", "Succeeded", "", worst, True, "a", "b", 1, 0)
    assert len(worst) == 6 * 2**20
    assert len(messages.encode(result)) <= messages.MAX_MESSAGE_BYTES


@pytest.mark.parametrize(("ns", "ms"), [(0, 0), (1, 1), (10**6, 1), (10**6 + 1, 2)])
def test_a_started_millisecond_counts(ns, ms):
    assert clock.ceil_ms(ns) == ms


def test_stamps_differ_by_what_was_metered():
    found = clock.Clock()
    now = found.monotonic_ns()
    first, second = found.stamp(now), found.stamp(now + 1_500_000_000)
    assert len(first) == len("2026-01-01T00:00:00.000000Z")
    assert first < second


@pytest.mark.parametrize(
    ("ms", "words"), [(300, "300 ms"), (1500, "1.5 s"), (10_000, "10 s"), (1_800_000, "30 m")]
)
def test_durations_in_words(ms, words):
    assert clock.in_words(ms) == words


def test_wait_statuses_in_words():
    assert process.describe(3 << 8) == "the process exited with code 3"
    assert process.describe(9) == "the process was ended by SIGKILL (killed)"
    assert process.describe(34) == "the process was ended by SIGRTMIN"
    assert process.describe(40) == "the process was ended by signal 40"
    assert process.killed(9)
    assert not process.killed(9 << 8)


def test_a_run_without_an_end_has_no_result():
    work = messages.Work("r", 1, "t", {}, "e", "{}", {}, 1, 1, messages.Limits())
    with pytest.raises(ValueError, match="no end"):
        Run(work, clock.Clock(), 0).result(0)


def ask(request):
    start = f"import sys; sys.path.insert(0, {str(SOURCE)!r})"
    run = "import runpy; runpy.run_module('mayfly_runtime.spec.check', run_name='__main__')"
    command = [sys.executable, "-I", "-c", f"{start}; {run}"]
    text = json.dumps(request)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_check_command():
    files = {"main.py": "def main(n: int): ..."}
    answer = ask({"op": "schema", "files": files, "entrypoint": "main.py:main"})
    assert answer["ok"]
    document = answer["schema"]
    assert ask({"op": "input", "schema": document, "inputJSON": '{"n": 1.5, "z": 1}'}) == {
        "ok": True,
        "problems": [{"field": "n", "message": "must be an integer (got 1.5)"}],
        "unknown": ["z"],
    }


def test_the_check_commands_errors():
    wrong = {"op": "schema", "files": {"main.py": "def main(n): ..."}, "entrypoint": "main.py:main"}
    answer = check.answer(wrong)
    assert not answer["ok"]
    words = "the input 'n' has no annotation (main.py line 1: def main(n): ...); an input may be "
    assert answer["error"].pop("message").startswith(words)
    assert answer["error"] == {"file": "main.py", "line": 1}
    document = {"components": {"schemas": {"Input": {}}}}
    answer = check.answer({"op": "input", "schema": document, "inputJSON": "{"})
    assert answer["problems"][0]["message"].startswith("the input is not JSON")
    with pytest.raises(ValueError, match="unknown op"):
        check.answer({"op": "dance"})


def test_the_facade():
    import cog

    assert issubclass(cog.Path, Path)
    assert cog.Path("a").read_text
    secret = cog.Secret("x")
    assert (str(secret), repr(secret)) == ("**********", "Secret('**********')")
    assert secret.get_secret_value() == "x"
    assert cog.CancelationException is cog.CancellationException
    assert not issubclass(cog.CancelationException, Exception)
    assert cog.Input(default=1, min=0).minimum == 0
    with pytest.raises(TypeError, match="not both"):
        cog.Input(min=1, ge=1)
    with pytest.raises(TypeError, match="a pipeline has no setup"):
        type("P", (cog.BasePredictor,), {})
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = cog.Nothing
    assert set(dir(cog)) >= set(cog.__all__) - {"BaseModel"}
