"""Which values helm takes and which it refuses: a refusal names the value that is wrong."""

import json
import subprocess

import pytest
import yaml

CASES = {
    "a tag is no digest": ({"image": {"reference": "mayfly:1"}}, "/image/reference"),
    "no runtime image": ({"runtime": {"default": {"image": ""}}}, "/runtime/default/image"),
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
    "cert-manager without issuer": ({"tls": {"mode": "certManager"}}, "/tls/certManager/issuerRef"),
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
    "an Ingress without host": (
        {"gateway": {"ingress": {"enabled": True}}},
        "/gateway/ingress/host",
    ),
    "a route without parents": (
        {"gateway": {"httpRoute": {"enabled": True}}},
        "/gateway/httpRoute/parentRefs",
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
    "no pods at all": ({"runtime": {"default": {"maxPods": 0}}}, "/runtime/default/maxPods"),
    "a currency": ({"currency": "dollars"}, "/currency"),
    "a range to deny": ({"networkPolicy": {"denied": ["10.0.0.1"]}}, "/networkPolicy/denied/0"),
    "a range to allow": ({"networkPolicy": {"allowed": ["10.0.0.1"]}}, "/networkPolicy/allowed/0"),
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
        "/gateway/database",
    ),
    "two gateways on a local folder": (
        {
            "gateway": {
                "replicas": 2,
                "database": {"url": "postgresql://db/mayfly"},
                "persistence": {"enabled": False},
            }
        },
        "/gateway/files/url",
    ),
    "two gateways on one volume": (
        {
            "gateway": {
                "replicas": 2,
                "database": {"url": "postgresql://db/mayfly"},
                "files": {"url": "s3://x"},
            }
        },
        "/gateway/persistence/enabled",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(refusal, case):
    values, named = CASES[case]
    assert named in refusal(values)


def test_the_images_have_no_default(helm_template):
    said = helm_template({}).stderr
    assert "/image/reference" in said
    assert "/runtime/default/image" in said


def test_no_runtime_image_is_needed_where_no_runtime_is_made(render):
    rendered = render({"runtime": {"create": False, "default": {"image": ""}}})
    assert rendered.config("controller.json")["runtimeFile"] is None
    assert "runtime.json" not in rendered.named("ConfigMap", "mayfly-config")["data"]


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
