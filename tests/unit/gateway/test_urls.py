"""Base URLs of the readers, from what their requests say."""

import pytest
from starlette.requests import Request

from mayfly.gateway.http.prefix import Prefix
from mayfly.gateway.http.urls import PREFIX, base_of, host_of, origin_of


def request(server, scheme="https", **headers):
    named = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "scheme": scheme, "server": server, "path": "/",
                    "query_string": b"", "headers": named})  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "mayfly.example"}, "https://mayfly.example"),
        ({"host": "[fd00::1]:8443"}, "https://[fd00::1]:8443"),
        ({"host": "x", "x_forwarded_host": "[2001:db8::1]"}, "https://[2001:db8::1]"),
        ({"host": "x", "x_forwarded_host": "fd00::1"}, "https://x"),
        ({"host": "[fd00::1", "x_forwarded_host": "a b"}, "https://[fd00::9]:8443"),
        ({"host": 'h"><script>'}, "https://[fd00::9]:8443"),
        ({}, "https://[fd00::9]:8443"),
    ],
)
def test_what_a_request_calls_us_is_in_its_links_if_it_is_a_host(headers, base):
    assert base_of(request(("fd00::9", 8443), **headers)) == base


@pytest.mark.parametrize(
    ("scheme", "server", "base"),
    [
        ("https", ("10.1.2.3", 8443), "https://10.1.2.3:8443"),
        ("https", ("::ffff:10.1.2.3", 8443), "https://10.1.2.3:8443"),
        ("https", ("::ffff:a:b:c", 8443), "https://[::ffff:a:b:c]:8443"),
        ("https", ("::1", 443), "https://[::1]"),
        ("http", ("::1", 443), "http://[::1]:443"),
        ("http", ("::1", 80), "http://[::1]"),
        ("http", None, "http://localhost"),
    ],
)
def test_a_request_that_calls_us_nothing_gets_the_address_that_it_reached(scheme, server, base):
    assert base_of(request(server, scheme)) == base


@pytest.mark.parametrize(
    ("prefix", "namespace", "base"),
    [
        ("", None, "https://x"),
        ("/tools/mayfly", None, "https://x/tools/mayfly"),
        ("/tools/mayfly", "team", "https://x/tools/mayfly/ns/team"),
    ],
)
def test_the_path_before_ours_comes_before_the_namespace(prefix, namespace, base):
    asked = request(("10.1.2.3", 443), host="x")
    asked.scope.update({PREFIX: prefix, "path_params": {"namespace": namespace}})
    assert base_of(asked) == base
    assert host_of(base_of(asked)) == f"https://x{prefix}"
    assert origin_of(asked) == "https://x"


@pytest.mark.parametrize(
    ("path", "given", "forwarded", "found", "left"),
    [
        ("", "/v1/x", "", "", "/v1/x"),
        ("/ml", "/ml/v1/x", "", "/ml", "/v1/x"),
        ("/ml", "/ml", "", "/ml", "/"),
        ("/ml", "/mlx/v1", "", "", "/mlx/v1"),
        ("/ml", "/v1/x", "", "", "/v1/x"),
        ("/ml", "/ml/ml/v1", "", "/ml", "/ml/v1"),
        ("", "/v1/x", "/ml/", "/ml", "/v1/x"),
        ("/ml", "/ml/v1/x", "/outer", "/outer", "/v1/x"),
        ("", "/v1/x", "/ns/team", "", "/v1/x"),
        ("", "/v1/x", "//evil.example", "", "/v1/x"),
    ],
)
async def test_the_path_before_ours_is_found_and_stripped(path, given, forwarded, found, left):
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope)

    headers = [(b"x-forwarded-prefix", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "path": given, "raw_path": given.encode(), "headers": headers}
    await Prefix(app, path=path)(scope, None, None)
    assert (seen[PREFIX], seen["path"], seen["raw_path"]) == (found, left, left.encode())
