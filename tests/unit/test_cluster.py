"""The connection to the API server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import aiohttp.client
import pytest
from aiohttp import web

from mayfly.kube.client import Cluster
from mayfly.kube.kinds import NAMESPACES


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_request_asks_for_proxies_only_where_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = []

    def ask(url: object) -> None:
        asked.append(url)
        raise LookupError

    monkeypatch.setattr(aiohttp.client, "get_env_proxy_for_url", ask)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Namespace"})

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/team", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config = tmp_path / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "clusters": [{"name": "test", "cluster": {"server": server}}],
                "users": [{"name": "test", "user": {"token": "test"}}],
                "contexts": [context],
                "current-context": "test",
            }
        )
    )
    cluster = await Cluster.connect(str(config))
    try:
        assert await cluster.get(NAMESPACES, None, "team") == {"kind": "Namespace"}
    finally:
        await cluster.close()
        await runner.cleanup()
    assert bool(asked) == proxied
