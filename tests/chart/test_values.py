"""Which values helm takes and which it refuses: a refusal names the value that is wrong."""

import json
import subprocess
from ipaddress import ip_network

import pytest
import yaml

from mayfly.config import ControllerConfig, GatewayConfig

CASES = {
    "a family that is none": ({"services": {"ipFamilies": ["IPv5"]}}, "/services/ipFamilies/0"),
    "a policy that is none": (
        {"services": {"ipFamilyPolicy": "DualStack"}},
        "/services/ipFamilyPolicy",
    ),
    "a tag is no digest": (
        {"image": {"reference": "mayfly:1"}},
        'image.reference is "mayfly:1": name',
    ),
    "no runtime image": (
        {"runtime": {"default": {"image": ""}}},
        'runtime.default.image is "": name',
    ),
    "an unknown value": ({"gatway": {}}, "'gatway' not allowed"),
    "an unknown inner value": ({"gateway": {"replica": 1}}, "'replica' not allowed"),
    "a pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    "a log level": ({"controller": {"logLevel": "loud"}}, "/controller/logLevel"),
    "replicas as text": ({"controller": {"replicas": "two"}}, "/controller/replicas"),
    "a label that is not ours to give": (
        {"controller": {"podLabels": {"mayfly.dev/id": "x"}}},
        "/controller/podLabels/mayfly.dev",
    ),
    "a TLS mode": ({"tls": {"mode": "off"}}, "/tls/mode"),
    "a name as an address": ({"tls": {"extraIPs": ["example.org"]}}, "/tls/extraIPs/0"),
    "cert-manager without issuer": (
        {"tls": {"mode": "certManager"}},
        "tls.certManager.issuerRef.name is empty",
    ),
    "a service type": (
        {"gateway": {"service": {"type": "ExternalName"}}},
        "/gateway/service/type",
    ),
    "a node port": ({"gateway": {"service": {"nodePort": 70000}}}, "/gateway/service/nodePort"),
    "a size": ({"gateway": {"persistence": {"size": "much"}}}, "/gateway/persistence/size"),
    "MySQL": ({"gateway": {"database": {"url": "mysql://db/x"}}}, "/gateway/database/url"),
    "a password in the open": (
        {"gateway": {"database": {"url": "postgresql://me:secret@db/mayfly"}}},
        "gateway.database.existingSecret.name",
    ),
    "an unknown store": ({"gateway": {"files": {"url": "ftp://x/y"}}}, "/gateway/files/url"),
    "an option that is no text": (
        {"gateway": {"files": {"options": {"allow_http": True}}}},
        "/gateway/files/options/allow_http",
    ),
    "an external address": (
        {"gateway": {"externalURL": "mayfly.example"}},
        "/gateway/externalURL",
    ),
    "a sub-path that is not that of the URL": (
        {"gateway": {"externalURL": "https://mayfly.example/ml", "path": "/mayfly"}},
        'gateway.externalURL is "https://mayfly.example/ml", and gateway.path is "/mayfly"',
    ),
    "a sub-path with a slash at its end": ({"gateway": {"path": "/ml/"}}, "/gateway/path"),
    "a sub-path that climbs": ({"gateway": {"path": "/ml/.."}}, "/gateway/path"),
    "a proxy that is believed without a secret": (
        {"gateway": {"proxyAuth": {"enabled": True}}},
        "gateway.proxyAuth.existingSecret.name is empty",
    ),
    "a header that is none": (
        {"gateway": {"proxyAuth": {"userHeader": "X-User: me"}}},
        "/gateway/proxyAuth/userHeader",
    ),
    "a proxy with a password": (
        {"outbound": {"proxy": "http://somebody:secret@proxy.example:3128"}},
        "outbound.proxy is not a proxy's URL: write it as http://HOST:PORT",
    ),
    "a proxy whose port is a word": (
        {"outbound": {"proxy": "http://proxy.example:port"}},
        "outbound.proxy is not a proxy's URL",
    ),
    "a proxy without its scheme": (
        {"outbound": {"proxy": "proxy.example:3128"}},
        "outbound.proxy is not a proxy's URL",
    ),
    "a query": (
        {"gateway": {"externalURL": "https://mayfly.example?a=b"}},
        "leave out everything after the path",
    ),
    "an Ingress with a sub-path": (
        {"gateway": {"ingress": {"enabled": True, "host": "mayfly.example", "path": "/ml"}}},
        'gateway.ingress.path is "/ml"',
    ),
    "an Ingress without host": (
        {"gateway": {"ingress": {"enabled": True}}},
        "gateway.ingress.host is empty",
    ),
    "a route without parents": (
        {"gateway": {"httpRoute": {"enabled": True}}},
        "gateway.httpRoute.parentRefs is empty",
    ),
    "a price as a number": (
        {"runtime": {"default": {"price": [{"meter": "prediction", "unitPrice": 0.1}]}}},
        "/runtime/default/price/0/unitPrice",
    ),
    "an unknown meter": (
        {"runtime": {"default": {"price": [{"meter": "tears", "unitPrice": "1"}]}}},
        "/runtime/default/price/0/meter",
    ),
    "CPU as a number": (
        {"runtime": {"default": {"resources": {"limits": {"cpu": 1}}}}},
        "/runtime/default/resources/limits/cpu",
    ),
    "a package without its version": (
        {"runtime": {"default": {"packages": ["torch"]}}},
        "/runtime/default/packages/0",
    ),
    "more waiting pods at least than at most": (
        {"runtime": {"default": {"warm": {"min": 3, "max": 2}}}},
        "runtime.default.warm.min is 3, and warm.max is 2: min is at most max",
    ),
    "more than a thousand waiting pods": (
        {"runtime": {"default": {"warm": {"min": 1001}}}},
        "/runtime/default/warm/min",
    ),
    "waiting pods of a runtime whose name is no label's value": (
        {"runtime": {"default": {"name": "a" * 64, "warm": {"min": 1}}}},
        "runtime.default.name is longer than 63 characters",
    ),
    "no pods at all": ({"runtime": {"default": {"maxPods": 0}}}, "/runtime/default/maxPods"),
    "a currency": ({"currency": "dollars"}, "/currency"),
    "a range to deny": ({"networkPolicy": {"denied": ["10.0.0.1"]}}, "/networkPolicy/denied/0"),
    "a range to allow": ({"networkPolicy": {"allowed": ["10.0.0.1"]}}, "/networkPolicy/allowed/0"),
    "an address above 255": ({"networkPolicy": {"allowed": ["10.0.0.256/32"]}}, "/allowed/0"),
    "a prefix above 32": ({"outbound": {"allowCIDRs": ["10.0.0.0/33"]}}, "/outbound/allowCIDRs/0"),
    "a prefix above 128": ({"networkPolicy": {"denied": ["fd00::/129"]}}, "/denied/0"),
    "an IPv6 address cut short": ({"networkPolicy": {"denied": ["fd00:/8"]}}, "/denied/0"),
    "a quantity": (
        {"controller": {"resources": {"limits": {"memory": "1 GB"}}}},
        "/controller/resources/limits/memory",
    ),
    "a depth": ({"limits": {"depth": 0}}, "/limits/depth"),
    "an API server port": (
        {"networkPolicy": {"apiServerPorts": []}},
        "/networkPolicy/apiServerPorts",
    ),
    "two gateways on SQLite": (
        {
            "gateway": {
                "replicas": 2,
                "files": {"url": "s3://x"},
                "persistence": {"enabled": False},
            }
        },
        "a PostgreSQL database in gateway.database.url",
    ),
    "two gateways on a local folder": (
        {
            "gateway": {
                "replicas": 2,
                "database": {"url": "postgresql://db/mayfly"},
                "persistence": {"enabled": False},
            }
        },
        "an object store in gateway.files.url",
    ),
    "two gateways on one volume": (
        {
            "gateway": {
                "replicas": 2,
                "database": {"url": "postgresql://db/mayfly"},
                "files": {"url": "s3://x"},
            }
        },
        "gateway.persistence.enabled to false",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(refusal, case):
    values, named = CASES[case]
    assert named in refusal(values)


def test_the_images_have_no_default(helm_template):
    said = helm_template({}).stderr
    assert 'image.reference is ""' in said
    assert 'runtime.default.image is ""' in said


def test_no_runtime_image_is_needed_where_no_runtime_is_made(render):
    rendered = render({"runtime": {"create": False, "default": {"image": ""}}})
    assert rendered.config("controller.json")["runtimeFile"] is None
    assert "runtime.json" not in rendered.named("ConfigMap", "mayfly-config")["data"]


def test_all_that_is_wrong_is_told_at_once(refusal):
    said = refusal({"tls": {"mode": "certManager"}, "gateway": {"replicas": 2}})
    for named in ("issuerRef.name", "database.url", "files.url", "persistence.enabled"):
        assert named in said


RANGES = ["10.20.0.0/16", "10.20.3.4/16", "0.0.0.0/0", "fd12::/48", "::/0", "2001:db8::1/128",
          "1:2:3:4:5:6:7:8/64", "fd12:3456:789a::/48"]  # fmt: skip


def test_ranges_and_quantities_that_kubernetes_takes(render):
    rendered = render(
        {
            "networkPolicy": {"allowed": RANGES, "denied": RANGES},
            "outbound": {"allowCIDRs": RANGES},
            "controller": {"resources": {"limits": {"cpu": 0.5, "memory": "1e9"}}},
            "gateway": {"externalURL": "https://mayfly.example:8443/"},
        }
    )
    settings = ControllerConfig.model_validate(rendered.config("controller.json"))
    assert "10.20.0.0/16" in [str(each) for each in settings.network_policy.denied]
    assert ip_network("10.20.0.0/16") in settings.network_policy.allowed
    GatewayConfig.model_validate(rendered.config("gateway.json"))


def test_a_parent_chart_may_switch_it_on_and_have_globals(helm_template, required, chart, tmp_path):
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "mayfly").symlink_to(chart)
    needed = [{"name": "mayfly", "version": "*.*.*-0", "condition": "mayfly.enabled"}]
    about = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": needed}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(about))
    for enabled in (True, False):
        values = {"global": {"region": "x"}, "mayfly": {**required, "enabled": enabled}}
        done = helm_template(values, chart=parent)
        assert done.returncode == 0, done.stderr
        assert ("kind: Deployment" in done.stdout) is enabled


def test_lint_of_the_bare_chart_and_of_the_values_for_it(helm, chart):
    for arguments in ([], ["--values", str(chart / "ci" / "default-values.yaml")]):
        command = [helm, "lint", "--strict", str(chart), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_lint(helm, chart, required, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(required))
    command = [helm, "lint", "--strict", str(chart), "--values", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_knows_every_default(chart):
    def unknown(values: dict, schema: dict, path: str) -> list[str]:
        found = []
        for key, value in values.items():
            inner = schema.get("properties", {}).get(key)
            if inner is None:
                found.append(f"{path}.{key}")
            elif isinstance(value, dict) and inner.get("properties"):
                found += unknown(value, inner, f"{path}.{key}")
        return found

    schema = json.loads((chart / "values.schema.json").read_text())
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert unknown(yaml.safe_load((chart / "values.yaml").read_text()), schema, "") == []
