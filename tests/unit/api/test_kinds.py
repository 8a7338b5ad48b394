"""The kinds: generated files are current, names are derived, reasons are a closed list."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from mayfly.api.crd import KINDS, schema
from mayfly.api.reference import generated, packages
from mayfly.api.v1alpha1 import PipelineRun, PipelineRunStatus
from mayfly.api.v1alpha1.conditions import (
    REASONS,
    TYPES,
    ConditionType,
    Reason,
    with_condition,
)
from mayfly.api.v1alpha1.identity import CROCKFORD, run_id, version_id
from mayfly.api.v1alpha1.names import WAITING
from mayfly.api.v1alpha1.pipelineruntime import PipelineRuntimeSpec, Warm
from mayfly.api.v1alpha1.source import Source
from mayfly.api.v1alpha1.url import HTTP_URL
from mayfly_runtime.spec import urls

ROOT = Path(__file__).parents[3]


GENERATED = generated((ROOT / "runtime-image" / "requirements.txt").read_text())


@pytest.mark.parametrize("name", GENERATED)
def test_generated_files_are_current(name):
    assert (ROOT / name).read_text() == GENERATED[name], "run `make generate`"


def test_the_packages_of_a_lock_file_are_its_names_and_versions():
    locked = (
        "# made by uv\nhttpx==0.28.1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\npip==25.1\n"
    )
    assert packages(locked) == "httpx==0.28.1\npip==25.1\n"


@pytest.mark.parametrize("line", ["httpx", "httpx>=1", "--index-url=https://x/==1", "x==1 --pre"])
def test_a_package_is_a_name_and_an_exact_version(line):
    with pytest.raises(ValueError, match="packages"):
        PipelineRuntimeSpec(image="x", packages=(line,))


@pytest.mark.parametrize(
    ("warm", "sizes"),
    [({"min": 2}, (2, 2)), ({"min": 1, "max": 4}, (1, 4)), ({"max": 4}, (0, 4)), ({}, (0, 0))],
)
def test_without_a_maximum_exactly_the_minimum_of_pods_waits(warm, sizes):
    found = Warm.model_validate(warm)
    assert (found.min, found.most) == sizes


def test_the_mark_of_a_waiting_pod_is_no_runs_id():
    assert len(WAITING) < len(run_id(str(uuid.UUID(int=0))))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example/x?y=1#z", True),
        ("https://h", True),
        ("http://h.:80/", True),
        ("https://b\u00fccher.example/k\u00f6ln", True),
        ("http://bot:s3cret@h:65535/x@y", True),
        ("http://[::1]:8080/", True),
        ("http://[::1/", False),
        ("http://::1/", False),
        ("http://a..b/", False),
        ("http://h:0/", False),
        ("http://h:65536/", False),
        ("http://h:x/", False),
        (f"http://{'a' * 64}.example/", False),
        ("http:///x", False),
        ("ftp://h/", False),
        ("http://a b/", False),
    ],
)
def test_a_url_that_a_kind_accepts_is_one_that_the_gateway_reads(url, good):
    assert (re.search(HTTP_URL, url) is not None) == good == bool(urls.authority_of(url))


def test_an_id_is_the_uid_in_26_characters():
    uid = "0190163d-8694-739b-aea5-966c26f8ad90"
    identity = run_id(uid)
    assert len(identity) == 26
    number = 0
    for character in identity:
        number = number * 32 + CROCKFORD.index(character)
    assert uuid.UUID(int=number) == uuid.UUID(uid)


def test_a_version_is_all_that_it_pins():
    one = Source(inline="x = 1")
    base = version_id("uid", one, "main.py:main", "image")
    others = {
        version_id("other", one, "main.py:main", "image"),
        version_id("uid", Source(inline="x = 2"), "main.py:main", "image"),
        version_id("uid", one, "main.py:run", "image"),
        version_id("uid", one, "main.py:main", "other"),
    }
    assert base not in others
    assert len(others) == 4
    assert base == version_id("uid", Source(files={"main.py": "x = 1"}), "main.py:main", "image")


def test_every_reason_belongs_to_a_type_and_has_a_sentence():
    assert set(REASONS) == set(TYPES) == set(ConditionType)
    listed = {reason for reasons in REASONS.values() for reason in reasons}
    assert listed == set(Reason)
    for reasons in REASONS.values():
        for sentence in reasons.values():
            assert sentence.endswith(".")


def test_a_reason_of_another_type_is_a_mistake():
    with pytest.raises(ValueError, match="not a reason of"):
        with_condition((), ConditionType.FINISHED, "True", Reason.QUEUED, "", now="now")


def test_a_transition_time_moves_only_with_its_status():
    first = with_condition((), ConditionType.STARTED, "False", Reason.QUEUED, "", now="1")
    second = with_condition(first, ConditionType.STARTED, "False", Reason.POD_PENDING, "", now="2")
    assert second[0].last_transition_time == "1"
    third = with_condition(second, ConditionType.STARTED, "True", Reason.STARTED, "", now="3")
    assert third[0].last_transition_time == "3"


def undescribed(node: dict, path: str) -> list[str]:
    found = []
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}"
        if not child.get("description"):
            found.append(here)
        found += undescribed(child, here) + undescribed(child.get("items", {}), f"{here}[]")
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_kubectl_explain_has_words_for_every_field(kind):
    properties = schema(kind)["properties"]
    parts = [part for part in ("spec", "status") if part in properties]
    assert [p for part in parts for p in undescribed(properties[part], part)] == []


@pytest.mark.parametrize(
    ("truth", "cancelling", "accepted"),
    [(None, False, False), ("False", True, False), ("True", True, True)],
)
def test_a_cancel_begins_before_it_is_accepted(truth, cancelling, accepted):
    reason = Reason.CANCEL_ACCEPTED if truth == "True" else Reason.CLAIMS_STOPPED
    conditions = truth and with_condition(
        (), ConditionType.CANCEL_ACCEPTED, truth, reason, "", now="2026-01-01T00:00:00Z"
    )
    status = PipelineRunStatus(conditions=conditions or ())
    assert (status.cancelling, status.cancel_accepted) == (cancelling, accepted)


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if "Ready" in str(each.columns)], ids=lambda kind: kind.plural
)
def test_ready_has_its_reason_beside_it(kind):
    first, second = kind.columns[:2]
    assert (first["name"], second["name"]) == ("Ready", "Reason")
    assert second["jsonPath"] == first["jsonPath"].replace(".status", ".reason").replace(
        ".reason.", ".status."
    )
    assert "priority" not in second


def test_phase_and_reason_of_a_run_are_one_summary():
    shown = {each["name"]: each["jsonPath"] for each in PipelineRun.columns}
    assert (shown["Phase"], shown["Reason"]) == (".status.phase", ".status.reason")


INTERNAL = {"sha256", "file", "id", "version"}
"""Written by Mayfly itself, or told by their description."""


def patterned(node, name=""):
    """Each field below a schema whose text has to have a form."""
    if "pattern" in node and name not in INTERNAL:
        yield name, node
    for inner, child in node.get("properties", {}).items():
        yield from patterned(child, inner)
    if isinstance(node.get("items"), dict):
        yield from patterned(node["items"], name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_kubectl_explain_has_an_example_of_every_form_and_every_default(kind):
    spec = schema(kind)["properties"]["spec"]
    for name, node in patterned(spec):
        if "description" not in node:
            continue  # an item of a list: the list's own words
        words = node["description"]
        told = "For example: " in words or "Default: " in words or "file:function" in words
        assert told, f"{kind.kind_name} {name}: {words}"

    def defaults(node):
        if "default" in node and not isinstance(node["default"], (dict, list)):
            default = node["default"]
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert node["description"].endswith(f"Default: {text}.")
        for child in node.get("properties", {}).values():
            defaults(child)

    defaults(spec)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_an_example_has_the_form_that_it_shows(kind):
    raw = kind.model_json_schema(by_alias=True)
    found = 0
    for definition in raw.get("$defs", {}).values():
        for field in definition.get("properties", {}).values():
            for node in (field, *field.get("anyOf", ())):
                for example in node.get("examples", ()):
                    if "pattern" in node:
                        found += 1
                        assert re.fullmatch(node["pattern"], example) or re.match(
                            node["pattern"], example
                        )
    assert found or kind.kind_name == "PipelineVersion"
