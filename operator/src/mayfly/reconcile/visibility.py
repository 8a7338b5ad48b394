"""Which Pipelines and Models may be called from another namespace. Pure."""

from __future__ import annotations

from mayfly.api.v1alpha1 import Model, Pipeline


def not_callable(called: Pipeline | Model, namespace: str | None, *, by_alias: bool = False) -> str:
    """Why something can't be called from a namespace, in words; "" where it can.

    The gateway asks before it makes a prediction, the controller before it gives a run a pod.

    Args:
        called: the Pipeline or Model.
        namespace: where the prediction would be.
        by_alias: the alias of a Model shares it with that namespace.
    """
    owner = called.metadata.namespace
    if owner == namespace:
        return ""
    named = f'{called.kind_name} "{owner}/{called.metadata.name}"'
    if called.spec.visibility != "public" and not by_alias:
        here = f', and the call comes from "{namespace}"' if namespace else ""
        return (
            f'{named} is private to its namespace{here}. Call it in "{owner}" (over HTTP: end the '
            f"base URL with /ns/{owner}), or make it public (spec.visibility)."
        )
    if isinstance(called, Pipeline) and called.spec.secrets:
        return (
            f"{named} has secrets (spec.secrets), which only runs in namespace {owner} can use. "
            "Run it there, or change it to take secrets from the caller as cog.Secret inputs."
        )
    return ""
