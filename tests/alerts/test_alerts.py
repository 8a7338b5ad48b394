"""The alerts: valid, each fires and stays calm when it should, and names only what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.families import ALERTS, alerts, declared, family_of, names_in

CASES = Path(__file__).with_name("alerts.test.yaml")


def test_prometheus_takes_the_rules(promtool) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_and_stays_calm(promtool) -> None:
    done = promtool("test", "rules", str(CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_both_cases() -> None:
    names = {case["name"] for case in yaml.safe_load(CASES.read_text())["tests"]}
    wanted = {f"{rule['alert']} {word}" for rule in alerts() for word in ("fires", "stays calm")}
    assert names == wanted


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_and_what_to_do(rule) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    for name in ("summary", "description", "runbook"):
        assert len(rule["annotations"][name]) > 20, name
    known = declared()
    for name in names_in(rule["expr"]):
        assert family_of(name, known) in known
    assert names_in(rule["expr"])
