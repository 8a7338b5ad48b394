"""The environment of main.py, as PID 1 makes it."""

from pathlib import Path
from urllib.request import proxy_bypass_environment

import httpx
import pytest

from mayfly_runtime.agent.__main__ import _worker_environment

GATEWAY = "https://mayfly-gateway.mayfly-system.svc"


@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy", None])
@pytest.mark.parametrize("url", [GATEWAY, f"{GATEWAY}:8443", "https://[fd00::1]:8443"])
def test_the_gateway_is_called_without_a_proxy(monkeypatch, spelling, url):
    given = {"MAYFLY_GATEWAY_URL": url, "HTTPS_PROXY": "http://proxy.example:3128"}
    if spelling:
        given[spelling] = "intern.example,10.0.0.0/8"
    made = _worker_environment(given, Path("/scratch"), None)
    assert made["NO_PROXY"] == made["no_proxy"]
    if spelling:
        assert made["NO_PROXY"].startswith("intern.example,10.0.0.0/8,")
    host = httpx.URL(url).host
    assert proxy_bypass_environment(host, {"no": made["no_proxy"]})
    assert not proxy_bypass_environment("files.example", {"no": made["no_proxy"]})
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, made[name])
    with httpx.Client() as client:
        direct = client._transport_for_url(httpx.URL(f"{url}/v1/predictions"))
        assert direct is client._transport
        assert client._transport_for_url(httpx.URL("https://files.example/")) is not direct


def test_the_user_has_a_name():
    made = _worker_environment({}, Path("/scratch"), None)
    assert (made["USER"], made["LOGNAME"], made["HOME"]) == ("mayfly", "mayfly", "/scratch")
