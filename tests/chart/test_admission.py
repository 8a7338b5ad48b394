"""The admission policies as rendered; tests/apiserver asks a real API server what they do."""

import pytest

POLICIES = {
    "mayfly-run-spec": (["pipelineruns"], ["UPDATE"]),
    "mayfly-run-parent": (["pipelineruns"], ["CREATE"]),
    "mayfly-pod-labels": (["pods", "pods/status"], ["CREATE", "UPDATE"]),
    "mayfly-model-token": (["models"], ["CREATE", "UPDATE"]),
}


def policy(rendered, name):
    return rendered.named("ValidatingAdmissionPolicy", name)["spec"]


def test_these_and_no_others(default, render):
    assert {p["metadata"]["name"] for p in default.of("ValidatingAdmissionPolicy")} == set(POLICIES)
    off = render({"admissionPolicies": {"enabled": False}})
    assert off.of("ValidatingAdmissionPolicy") == []
    assert off.of("ValidatingAdmissionPolicyBinding") == []


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_bound_strict_and_narrow(default, name):
    spec = policy(default, name)
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == POLICIES[name]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConditions"], "every request of the kind would be evaluated in full"
    binding = default.named("ValidatingAdmissionPolicyBinding", name)["spec"]
    assert binding == {"policyName": name, "validationActions": ["Deny"]}


@pytest.mark.parametrize("name", POLICIES)
def test_a_denial_has_words(default, name):
    for validation in policy(default, name)["validations"]:
        words = validation.get("message") or validation["messageExpression"]
        assert len(words.split()) >= 8


def test_users_are_named_as_the_api_server_knows_them(default):
    controller = "'system:serviceaccount:mayfly-system:mayfly-controller'"
    gateway = "'system:serviceaccount:mayfly-system:mayfly-gateway'"
    conditions = policy(default, "mayfly-pod-labels")["matchConditions"]
    assert conditions[0]["expression"] == f"request.userInfo.username != {controller}"
    (validation,) = policy(default, "mayfly-run-parent")["validations"]
    assert validation["expression"] == f"request.userInfo.username == {gateway}"
