"""What kopf is told to do, and not to do."""

from __future__ import annotations

import json

import kopf

from mayfly.controller.handlers import settings


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
