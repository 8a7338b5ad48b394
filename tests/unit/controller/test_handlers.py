"""What kopf is told to do, and not to do."""

from __future__ import annotations

import json

import kopf
import pytest

from mayfly.controller.handlers import login_by_address, settings


def test_no_event_costs_a_copy_of_its_object():
    """Above all not of one that is nested deeper than a copy can go."""
    spec = {"input": json.loads("[" * 900 + "]" * 900)}
    storage = settings().persistence.diffbase_storage
    body = kopf.Body({"metadata": {"name": "run"}, "spec": spec})
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=kopf.BodyEssence())
    assert not patch


@pytest.mark.parametrize(
    ("host", "server"),
    [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")],
)
def test_the_api_server_is_found_without_a_dns(
    monkeypatch: pytest.MonkeyPatch, host: str, server: str
) -> None:
    by_name = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: by_name)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = login_by_address(settings=settings())
    assert found is not None
    assert (found.server, found.token) == (server, "t")
