"""Files in and out: URLs, data: URIs, the store; uploads, their order and their limits."""

import asyncio
import json

import pytest
from aiohttp import web

ECHO = """
from cog import Path
def main(f: Path) -> dict:
    return {"name": f.name, "text": f.read_text(), "folder": f.parent.name,
            "kind": type(f).__module__}
"""


def named(parameters):
    """Answers with a file and its name."""

    async def answer(_request):
        headers = {"Content-Disposition": f"attachment; {parameters}"}
        return web.Response(body=b"bytes", headers=headers)

    return answer


@pytest.mark.parametrize(
    ("url", "name", "text"),
    [
        ("data:text/plain;base64,aGk=", "file.txt", "hi"),
        ("data:,a%20b", "file.txt", "a b"),
        ("data:text/plain;BASE64,aGk=", "file.txt", "hi"),
        ("DATA:text/plain; base64 ,aG\n%0Ak", "file.txt", "hi"),
        ("data:audio/wav;base64,aGk", "file.wav", "hi"),
        ("data:image/jpg;base64,aGk", "file.jpg", "hi"),
        ("data:image/png;name=k%C3%B6ln.png;base64,aGk=", "köln.png", "hi"),
        ("mayfly-file:stored", "cat (1).png".replace("(", "_").replace(")", "_"), "miaow"),
        ("GATEWAY/deep/my%20cat.png?sig=x%2F", "my cat.png", "bytes"),
        ("GATEWAY/moved", "my cat.png", "bytes"),
        (" GATEWAY/deep/my cat.png#top", "my cat.png", "bytes"),
        ("GATEWAY/köln.png?x=ü", "köln.png", "bytes"),
        ("GATEWAY/k%C3%B6ln.png", "köln.png", "bytes"),
        ("GATEWAY/raw", "köln.png", "bytes"),
        ("GATEWAY/encoded", "köln.png", "bytes"),
        ("GATEWAY/cat.png", "cat.png", "bytes"),
        ("GATEWAY/named?id=3", "größe.tar.gz", "bytes"),
        ("GATEWAY/named-simply", "k.png", "bytes"),
    ],
)
async def test_a_file_input_is_a_real_file(run, gateway, url, name, text):
    gateway.files["mayfly-file:stored"] = b"miaow"
    gateway.names["mayfly-file:stored"] = "../cat (1).png"
    gateway.paths["/deep/my cat.png"] = b"bytes"
    gateway.paths["/moved"] = "/deep/my%20cat.png"
    gateway.paths["/köln.png"] = b"bytes"
    gateway.paths["/raw"] = "/köln.png"
    gateway.paths["/cat.png"] = "/by-sum/e3b0c442"
    gateway.paths["/by-sum/e3b0c442"] = b"bytes"
    gateway.paths["/encoded"] = "/k%C3%B6ln.png"
    gateway.paths["/named"] = named("filename=\"x\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.tar.gz")
    gateway.paths["/named-simply"] = named('filename="../k.png"')
    ended = await run(ECHO, {"f": url.replace("GATEWAY", gateway.url)})
    assert ended.output == {"name": name, "text": text, "folder": "tmp", "kind": "cog.types"}


async def test_a_stored_file_is_asked_for_as_this_session_and_a_url_is_not(run, gateway):
    gateway.files["mayfly-file:stored"] = b"x"
    gateway.paths["/x"] = b"x"
    source = "from pathlib import Path\ndef main(f: list[Path]) -> int: return len(f)"
    ended = await run(source, {"f": ["mayfly-file:stored", gateway.url + "/x"]})
    assert ended.output == 2
    headers = {path: headers for _, path, headers in gateway.calls}
    assert "Mayfly-Session" in headers["/agent/v1/files/mayfly-file:stored"]
    assert "Mayfly-Session" not in headers["/x"]
    assert "Authorization" not in headers["/x"]


async def test_files_of_one_name_get_numbers(run):
    ended = await run(
        "from cog import Path\ndef main(f: list[Path]) -> list:\n"
        "    return sorted(p.name for p in f)",
        {"f": ["data:text/plain,a", "data:text/plain,b", "data:text/plain,c"]},
    )
    assert ended.output == ["file-1.txt", "file-2.txt", "file.txt"]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("GATEWAY/none.png", "f: could not fetch the file: 127.0.0.1 answered 404 Not Found"),
        ("http://127.0.0.1:1/x", "f: could not fetch the file: 127.0.0.1 is at 127.0.0.1, "
         "a private address, which is not allowed"),
        ("http://[::ffff:10.0.0.1]/x", "f: could not fetch the file: ::ffff:10.0.0.1 is at "
         "::ffff:10.0.0.1, a private address, which is not allowed"),
        ("http://169.254.169.254/latest", "f: could not fetch the file: 169.254.169.254 is at "
         "169.254.169.254, a private address, which is not allowed"),
        ("GATEWAY/out", "f: could not fetch the file: 10.1.2.3 is at 10.1.2.3, "
         "a private address, which is not allowed"),
        ("GATEWAY/loop", "f: could not fetch the file: 127.0.0.1: more than 10 redirects"),
        ("GATEWAY/file", "f: could not fetch the file: file:///etc/passwd is not an http(s) URL"),
        ("mayfly-file:none", "f: could not fetch the file: the stored file mayfly-file:none: "
         "the gateway answered 404 no such file"),
        ("data:text/plain;base64,!!",
         "f: could not fetch the file: a data: URI that is not base64"),
        ("http://no-such-name.invalid/x", "f: could not fetch the file: no-such-name.invalid: "
         "the name can't be resolved"),
        ("http://[::1/x", "f: could not fetch the file: the URL's host can't be read"),
        ("http://a..b/x", "f: could not fetch the file: the URL's host has an empty part"),
        (f"https://{'a' * 64}.example/x", "f: could not fetch the file: a part of the URL's host "
         "has more than 63 characters"),
        ("GATEWAY/unclosed", "f: could not fetch the file: the URL's host can't be read"),
        ("GATEWAY/empty-part", "f: could not fetch the file: the URL's host has an empty part"),
        ("https://bot:s3cret@files.invalid:99999/x",
         "f: could not fetch the file: the URL's port is not between 1 and 65535"),
        ("http://bot:s3cret@files.invalid/x",
         "f: could not fetch the file: files.invalid: the name can't be resolved"),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_had(run, gateway, url, error):
    gateway.paths["/out"] = "http://10.1.2.3/secret"
    gateway.paths["/loop"] = "/loop"
    gateway.paths["/file"] = "file:///etc/passwd"
    gateway.paths["/unclosed"] = "http://["
    gateway.paths["/empty-part"] = "http://a..b/x"
    ended = await run(ECHO, {"f": url.replace("GATEWAY", gateway.url)})
    assert (ended.result["reason"], ended.result["error"]) == ("InputFetchFailed", error)
    assert not ended.result["started"]
    assert "s3cret" not in json.dumps([ended.messages, ended.termination])


async def test_credentials_of_a_url_are_sent_and_never_told(run, gateway):
    gateway.paths["/x"] = b"x"
    place = f"bot:s3%20cret@127.0.0.1:{gateway.port}"
    ended = await run(ECHO, {"f": f"http://{place}/x"})
    assert ended.output["name"] == "x"
    (headers,) = (headers for _, path, headers in gateway.calls if path == "/x")
    assert headers["Authorization"] == "Basic Ym90OnMzIGNyZXQ="
    assert headers["Host"] == f"127.0.0.1:{gateway.port}"


async def test_credentials_of_a_url_that_fails_are_not_told(run, gateway):
    ended = await run(ECHO, {"f": f"http://bot:s3cret@127.0.0.1:{gateway.port}/none"})
    words = "f: could not fetch the file: 127.0.0.1 answered 404 Not Found"
    assert ended.result["error"] == words
    assert "s3cret" not in json.dumps([ended.messages, ended.termination])


async def test_a_file_over_the_limit(run, gateway):
    gateway.paths["/big"] = b"x" * 1000
    ended = await run(ECHO, {"f": gateway.url + "/big"}, limits={"fileBytes": 999})
    assert ended.result["error"].endswith("127.0.0.1: the file has 1000 bytes, over 999")


async def test_a_file_that_is_announced_as_over_the_limit_is_not_begun(run, gateway):
    async def announce(request):
        # Nothing of it ever comes.
        answer = web.StreamResponse(headers={"Content-Length": str(2 * 2**30)})
        await answer.prepare(request)
        while True:
            if request.transport is None:
                return answer
            await asyncio.sleep(0.05)

    gateway.paths["/big"] = announce
    ended = await run(ECHO, {"f": gateway.url + "/big"})
    words = f"127.0.0.1: the file has {2 * 2**30} bytes, over {2**30}"
    assert ended.result["error"] == f"f: could not fetch the file: {words}"


async def test_a_file_without_an_end(run, gateway):
    async def endless(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65_536)

    gateway.paths["/endless"] = endless
    ended = await run(ECHO, {"f": gateway.url + "/endless"}, limits={"fileBytes": 2**20})
    words = f"127.0.0.1: the file is larger than {2**20} bytes"
    assert ended.result["error"] == f"f: could not fetch the file: {words}"


async def drip(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"x")
        await asyncio.sleep(0.05)


async def test_a_server_that_is_too_slow(run, gateway):
    gateway.paths["/slow"] = drip
    ended = await run(ECHO, {"f": gateway.url + "/slow"}, limits={"fetchMs": 500})
    assert (ended.result["reason"], ended.result["error"]) == (
        "InputFetchFailed",
        "f: could not fetch the file: 127.0.0.1: the deadline for fetching inputs passed",
    )


async def test_a_start_that_is_too_late_says_what_it_waited_for(run, gateway):
    gateway.paths["/slow"] = drip
    ended = await run(ECHO, {"f": gateway.url + "/slow"}, startWithinMs=2000)
    assert (ended.result["reason"], ended.result["error"]) == (
        "StartDeadlineExceeded",
        "the run did not start within 2 s: its files were still being fetched from 127.0.0.1",
    )


async def test_a_server_that_breaks_off(run, gateway):
    async def broken(request):
        answer = web.StreamResponse(headers={"Content-Length": "10"})
        await answer.prepare(request)
        await answer.write(b"half")
        request.transport.close()
        return answer

    gateway.paths["/broken"] = broken
    ended = await run(ECHO, {"f": gateway.url + "/broken"})
    assert ended.result["reason"] == "InputFetchFailed"
    words = "127.0.0.1: the connection broke after 4 bytes"
    assert ended.result["error"] == f"f: could not fetch the file: {words}"


async def test_a_private_address_that_is_allowed(run, gateway):
    """Under another name than the gateway's own, which is always fetched from."""
    gateway.paths["/x.txt"] = b"there"
    url = f"http://localhost:{gateway.port}/x.txt"
    ended = await run(ECHO, {"f": url}, environment={"MAYFLY_FETCH_ALLOW": "127.0.0.0/8,::1/128"})
    assert ended.output["text"] == "there"


async def test_an_output_file_is_uploaded(run, gateway):
    ended = await run(
        """
        from cog import Path
        import pathlib
        def main() -> dict:
            pathlib.Path("a b.png").write_bytes(b"one")
            pathlib.Path("tmp/two").write_bytes(b"two")
            rest = [pathlib.Path("tmp/two").absolute()]
            return {"first": Path("a b.png"), "rest": rest, "n": 1.0}
        """
    )
    first, (second,) = ended.output["first"], ended.output["rest"]
    assert ended.result["outputJSON"] == f'{{"first":"{first}","rest":["{second}"],"n":1.0}}'
    assert gateway.files == {first: b"one", second: b"two"}
    assert gateway.names == {first: "a b.png", second: "two"}
    assert gateway.types == {first: "image/png", second: "application/octet-stream"}


async def test_items_of_an_iterator_are_what_they_were_when_yielded(run, gateway):
    ended = await run(
        """
        from cog import Path
        import os
        def main():
            for n in range(3):
                open("same.txt", "w").write(str(n))
                yield Path("same.txt")
                yield n
            os.unlink("same.txt")
        """
    )
    assert ended.output[1::2] == [0, 1, 2]
    assert [gateway.files[name] for name in ended.output[::2]] == [b"0", b"1", b"2"]
    assert ended.outputs == ended.output


@pytest.mark.parametrize(
    ("source", "limits", "reason", "error"),
    [
        ("return Path('f')", {"fileBytes": 3}, "OutputTooLarge",
         "output: the file has 4 bytes, over 3"),
        ("return [Path('f'), Path('f')]", {"filesBytes": 7}, "OutputTooLarge",
         "output[1]: the run's files have more than 7 bytes"),
        ("return {'a': Path('/etc')}", {}, "OutputUploadFailed",
         "output.a: the file '/etc' can't be read: it is a folder"),
    ],
)  # fmt: skip
async def test_files_past_a_limit(run, source, limits, reason, error):
    ended = await run(
        f"from cog import Path\ndef main():\n    open('f', 'w').write('1234')\n    {source}",
        limits=limits,
    )
    assert (ended.result["reason"], ended.result["error"]) == (reason, error)
    assert ended.output is None


UPLOADS = "from cog import Path\ndef main():\n    open('f', 'w').close()\n    return Path('f')"


async def test_an_upload_is_tried_again(run, gateway):
    gateway.upload_answers = [503, 500, 201]
    assert (await run(UPLOADS)).result["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("status", "reason"), [(413, "OutputTooLarge"), (403, "OutputUploadFailed")]
)
async def test_a_refused_upload_fails_the_run(run, gateway, status, reason):
    gateway.upload_answers = [status]
    ended = await run(UPLOADS)
    assert ended.result["reason"] == reason
    assert "refused by the test" in ended.result["error"]
    assert ended.result["outcome"] == "failed"


async def test_the_deadline_of_uploads(run, gateway):
    gateway.upload_answers = [503] * 100
    ended = await run(UPLOADS, limits={"uploadMs": 300})
    assert ended.result["reason"] == "OutputUploadFailed"
    assert "503 refused by the test" in ended.result["error"]
