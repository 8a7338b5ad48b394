"""What the chart gives Prometheus and Grafana."""

import json

import pytest
import yaml

KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")


def test_nothing_of_it_is_there_by_default(default):
    assert [m["kind"] for m in default if m["kind"] in KINDS] == []
    names = [m["metadata"]["name"] for m in default]
    assert "mayfly-dashboards" not in names
    assert "mayfly-metrics" not in names


def selected(rendered, selector):
    """The Deployments whose pods a selector of labels matches."""
    return {
        each["metadata"]["name"]
        for each in rendered.of("Deployment")
        if selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    }


BOTH = {"mayfly-controller", "mayfly-gateway"}


def port_named(deployment, name):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return next(each["containerPort"] for each in container["ports"] if each["name"] == name)


def test_a_pod_monitor_finds_both_parts(render):
    values = {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"}
    rendered = render({"metrics": {"podMonitor": values}})
    monitor = rendered.named("PodMonitor", "mayfly")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert selected(rendered, monitor["spec"]["selector"]["matchLabels"]) == BOTH
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": "metrics", "interval": "15s", "honorLabels": False}
    for deployment in rendered.of("Deployment"):
        assert port_named(deployment, endpoint["port"]) == 8080


def test_a_service_monitor_finds_both_parts_by_one_service(render):
    labels = {"namespaces": True, "pipelines": True, "limit": 12}
    rendered = render({"metrics": {"serviceMonitor": {"enabled": True}, "labels": labels}})
    monitor = rendered.named("ServiceMonitor", "mayfly")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    (service,) = [
        each
        for each in rendered.of("Service")
        if wanted.items() <= each["metadata"]["labels"].items()
    ]
    assert selected(rendered, service["spec"]["selector"]) == BOTH
    (port,) = service["spec"]["ports"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] == port["name"]
    # Else `namespace` would be where the pods are.
    assert endpoint["honorLabels"] is True
    for deployment in rendered.of("Deployment"):
        assert port_named(deployment, port["targetPort"]) == port["port"]
    assert rendered.config("gateway.json")["metrics"] == labels


def test_one_monitor_is_enough(refusal):
    on = {"enabled": True}
    said = refusal({"metrics": {"podMonitor": on, "serviceMonitor": on}})
    assert "everything would be counted twice" in said


@pytest.mark.parametrize("part", ["controller", "gateway"])
def test_pods_of_the_cluster_reach_the_metrics(render, part):
    rendered = render()
    policy = rendered.named("NetworkPolicy", f"mayfly-{part}")
    assert any(
        rule.get("from") == [{"namespaceSelector": {}}]
        and {"protocol": "TCP", "port": 8080} in rule["ports"]
        for rule in policy["spec"]["ingress"]
    )


def test_the_rule_holds_the_file_as_it_stands(render, chart):
    rendered = render({"metrics": {"prometheusRule": {"enabled": True, "labels": {"a": "b"}}}})
    rule = rendered.named("PrometheusRule", "mayfly")
    assert rule["spec"] == yaml.safe_load((chart / "files" / "alerts.yaml").read_text())
    assert rule["metadata"]["labels"]["a"] == "b"


def test_grafanas_sidecar_finds_the_dashboards(render, chart):
    annotations = {"grafana_folder": "Mayfly"}
    rendered = render({"metrics": {"dashboards": {"enabled": True, "annotations": annotations}}})
    held = rendered.named("ConfigMap", "mayfly-dashboards")
    assert held["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert held["metadata"]["annotations"] == annotations
    files = {f"mayfly-{path.name}": path for path in (chart / "dashboards").glob("*.json")}
    assert held["data"].keys() == files.keys()
    for name, path in files.items():
        assert json.loads(held["data"][name]) == json.loads(path.read_text())


@pytest.mark.parametrize("limit", [0, 13])
def test_the_number_of_labelled_series_is_bounded(refusal, limit):
    assert "limit" in refusal({"metrics": {"labels": {"limit": limit}}})
