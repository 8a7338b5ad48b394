from __future__ import annotations

import json

import pytest
from benchmarks import audit
from benchmarks.audit import AuditLog, Request

SYSTEM = "mayfly-system"
CONTROLLER = f"system:serviceaccount:{SYSTEM}:mayfly-controller"
GATEWAY = f"system:serviceaccount:{SYSTEM}:mayfly-gateway"


def line(user, verb, resource, sub="", name="cold-1", code=200, stage="ResponseComplete"):
    target = {"resource": resource, "namespace": "bench", "name": name}
    if sub:
        target["subresource"] = sub
    return json.dumps(
        {
            "stage": stage,
            "verb": verb,
            "user": {"username": user},
            "objectRef": target,
            "responseStatus": {"code": code},
        }
    )


COLD = [
    line("admin", "create", "pipelineruns", code=201),
    line(CONTROLLER, "create", "pods", name="mayfly-x-1", code=201),
    line(CONTROLLER, "patch", "pipelineruns", "status"),
    line("system:kube-scheduler", "create", "pods", "binding", name="mayfly-x-1", code=201),
    line("system:node:one", "patch", "pods", "status", name="mayfly-x-1"),
    line(GATEWAY, "patch", "pipelineruns", "status", code=409),
    line(GATEWAY, "patch", "pipelineruns", "status"),
    line(CONTROLLER, "delete", "pods", name="mayfly-x-1"),
    line("system:node:one", "delete", "pods", name="mayfly-x-1"),
]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (CONTROLLER, "controller"),
        (GATEWAY, "gateway"),
        ("system:node:a", "kubelet"),
        ("system:kube-scheduler", "scheduler"),
        ("system:serviceaccount:kube-system:namespace-controller", "namespace-controller"),
        ("system:apiserver", "apiserver"),
        ("kubernetes-admin", "client"),
        ("system:serviceaccount:other:mayfly-controller", "serviceaccount:other:mayfly-controller"),
    ],
)
def test_clients_have_short_names(user, name):
    assert audit.client_of(user, system=SYSTEM) == name


def test_requests_are_counted_by_client():
    found = audit.count(audit.entries(COLD, system=SYSTEM), lambda _: True)
    assert found[Request("controller", "create", "pods")] == 1
    assert found[Request("controller", "patch", "pipelineruns/status")] == 1
    assert found[Request("scheduler", "create", "pods/binding")] == 1
    assert found[Request("kubelet", "patch", "pods/status")] == 1
    assert found.total() == len(COLD)


def test_a_refused_write_is_one_too_and_told_apart():
    found = audit.count(audit.entries(COLD, system=SYSTEM), lambda _: True)
    assert found[Request("gateway", "patch", "pipelineruns/status")] == 1
    assert found[Request("gateway", "patch", "pipelineruns/status", failed=True)] == 1
    assert audit.own(found) == 5


def test_only_wanted_objects_and_finished_requests_count():
    lines = [*COLD, line(CONTROLLER, "create", "pods", name="mayfly-x-1", stage="Panic")]
    found = audit.count(audit.entries(lines, system=SYSTEM), lambda each: each.name == "cold-1")
    assert found.total() == 4


def test_the_log_is_read_between_two_marks(tmp_path):
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    assert not log.readable()
    path.write_text("before\n")
    first = log.mark()
    with path.open("a") as stream:
        stream.write("one\ntwo\n")
    last = log.mark()
    with path.open("a") as stream:
        stream.write("after\n")
    assert log.between(first, last) == ["one", "two"]


def test_a_rotated_log_is_not_taken_for_the_whole(tmp_path):
    path = tmp_path / "audit.log"
    path.write_text("before\n")
    log = AuditLog(path)
    first = log.mark()
    path.rename(tmp_path / "audit-old.log")
    path.write_text("new\n")
    with pytest.raises(LookupError, match="rotated"):
        log.between(first, log.mark())
