"""What may be called from another namespace."""

from __future__ import annotations

from typing import Any

import pytest

from mayfly.api.v1alpha1 import Model, Pipeline
from mayfly.reconcile.visibility import not_callable

SECRETS = [{"env": "KEY", "secretKeyRef": {"name": "keys", "key": "api"}}]
METADATA = {"name": "answer", "namespace": "team"}


def pipeline(**spec: Any) -> Pipeline:
    body = {"metadata": METADATA, "spec": {"source": {"inline": ""}, "runtime": "default", **spec}}
    return Pipeline.model_validate(body)


def model(**spec: Any) -> Model:
    endpoint = {"url": "http://model.example"}
    return Model.model_validate({"metadata": METADATA, "spec": {"endpoint": endpoint, **spec}})


@pytest.mark.parametrize(
    "called", [pipeline(), pipeline(secrets=SECRETS), model()], ids=["pipeline", "secrets", "model"]
)
def test_everything_may_be_called_from_its_own_namespace(called):
    assert not_callable(called, "team") == ""


def test_what_is_public_may_be_called_from_anywhere():
    for called in (pipeline(visibility="public"), model(visibility="public")):
        assert not_callable(called, "other") == ""
        assert not_callable(called, None) == ""


def test_what_is_private_may_not():
    for called, named in ((pipeline(), 'Pipeline "team/answer"'), (model(), 'Model "team/answer"')):
        assert not_callable(called, "other") == (
            f'{named} is private to its namespace, and the call comes from "other". Call it in '
            '"team" (over HTTP: end the base URL with /ns/team), or make it public '
            "(spec.visibility)."
        )


def test_an_alias_shares_a_private_model():
    assert not_callable(model(alias="owner/name"), "other", by_alias=True) == ""


def test_a_public_pipeline_with_secrets_runs_in_its_own_namespace_alone():
    words = not_callable(pipeline(visibility="public", secrets=SECRETS), "other")
    assert "only runs in namespace team can use" in words
