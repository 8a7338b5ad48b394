"""Base URLs of the readers, from what their requests say."""

import pytest
from starlette.requests import Request

from mayfly.gateway.http.urls import base_of


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
