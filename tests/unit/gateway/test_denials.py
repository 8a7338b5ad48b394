"""403s: who, what, where, and a command that helps."""

import pytest

from mayfly.gateway.access.authentication import User
from mayfly.gateway.access.denials import denied


def user(name: str) -> User:
    return User(name, "uid", (), ())


ACCOUNT = "system:serviceaccount:jobs:bot"
CASES = [
    (
        (user(ACCOUNT), "create", "pipelineruns", "team"),
        "kubectl create rolebinding jobs-bot-edit -n team --clusterrole=edit "
        "--serviceaccount=jobs:bot",
    ),
    (
        (user(ACCOUNT), "list", "pipelineruns", ""),
        "kubectl create clusterrolebinding jobs-bot-view --clusterrole=view "
        "--serviceaccount=jobs:bot",
    ),
    (
        (user("jo o'neill; reboot"), "get", "models", "team"),
        "kubectl create rolebinding mayfly-view -n team --clusterrole=view "
        "--user='jo o'\"'\"'neill; reboot'",
    ),
    (
        (user(ACCOUNT), "update", "pipelineruns/status", ""),
        "kubectl create clusterrole mayfly-update-pipelineruns-status --verb=update "
        "--resource=pipelineruns.mayfly.dev/status && kubectl create clusterrolebinding "
        "jobs-bot-mayfly-update-pipelineruns-status "
        "--clusterrole=mayfly-update-pipelineruns-status --serviceaccount=jobs:bot",
    ),
    (
        (user(ACCOUNT), "get", "secrets", "team", "token", ""),
        "kubectl create role mayfly-get-secrets-token -n team --verb=get --resource=secrets "
        "--resource-name=token && kubectl create rolebinding jobs-bot-mayfly-get-secrets-token "
        "-n team --role=mayfly-get-secrets-token --serviceaccount=jobs:bot",
    ),
]


@pytest.mark.parametrize(("asked", "command"), CASES)
def test_the_command_gives_what_was_missing_and_no_more(asked, command):
    detail = denied(*asked).detail
    assert detail.endswith(f"Who administers it can allow that: {command}")


def test_who_and_where_are_named_and_a_long_name_is_cut():
    detail = denied(user(ACCOUNT), "patch", "pipelines", "team").detail
    assert detail.startswith(f'"{ACCOUNT}" may not patch pipelines in the namespace "team". ')
    assert len(denied(user("x" * 100_000), "get", "models", "").detail) < 1000
