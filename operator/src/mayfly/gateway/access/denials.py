"""403 in words: who may not do what, in which namespace, and the kubectl command that allows it.

The gateway asks Kubernetes' RBAC and has no rights of its own to give, so what helps is a binding.
"""

from __future__ import annotations

import shlex

from mayfly.api.v1alpha1.resource import GROUP
from mayfly.gateway.access.authentication import SERVICE_ACCOUNT, User
from mayfly.gateway.http.errors import Forbidden

READ = frozenset({"get", "list", "watch"})

EDITABLE = frozenset({"pipelines", "pipelineruns", "models"})
"""What the chart lets Kubernetes' own role `edit` write."""

NAME = 320
"""Characters of a user's name that a message repeats."""


def denied(
    user: User, verb: str, resource: str, namespace: str, name: str = "", group: str = GROUP
) -> Forbidden:
    """The refusal of a caller without a right, with the command that gives it.

    Args:
        user: the caller.
        verb: as in RBAC.
        resource: as in RBAC, `pipelineruns` or `pipelineruns/status`.
        namespace: where the request acted; "" for all namespaces.
        name: of one object; "" for all of the namespace.
        group: the resource's API group.
    """
    what = f"{resource} {name}" if name else resource
    where = f'the namespace "{namespace}"' if namespace else "all namespaces"
    return Forbidden(
        f'"{user.name[:NAME]}" may not {verb} {what} in {where}. Who administers it can allow '
        f"that: {_command(user, verb, resource, namespace, name, group)}"
    )


def _command(user: User, verb: str, resource: str, namespace: str, name: str, group: str) -> str:
    kind = "role" if namespace else "clusterrole"
    place = f" -n {namespace}" if namespace else ""
    known = _known_role(verb, resource, group)
    if known:
        return _binding(user, place, f"clusterrole={known}", known)
    role = "-".join(("mayfly", verb, *resource.split("/"), *filter(None, (name,))))
    first, slash, sub = resource.partition("/")
    full = f"{first}.{group}{slash}{sub}" if group else resource
    only = f" --resource-name={name}" if name else ""
    made = f"kubectl create {kind} {role}{place} --verb={verb} --resource={full}{only}"
    return f"{made} && {_binding(user, place, f'{kind}={role}', role)}"


def _known_role(verb: str, resource: str, group: str) -> str:
    """Kubernetes' own role that has the right; "" if none has, or it would give far more."""
    if group != GROUP or "/" in resource:
        return ""
    if verb in READ:
        return "view"
    return "edit" if resource in EDITABLE else ""


def _binding(user: User, place: str, role: str, short: str) -> str:
    account = user.name.removeprefix(SERVICE_ACCOUNT)
    if account == user.name:
        name, subject = f"mayfly-{short}", f"--user={shlex.quote(user.name[:NAME])}"
    else:
        name, subject = f"{account.replace(':', '-')}-{short}", f"--serviceaccount={account}"
    kind = "rolebinding" if place else "clusterrolebinding"
    return f"kubectl create {kind} {name}{place} --{role} {subject}"
