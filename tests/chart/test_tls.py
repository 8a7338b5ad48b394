"""Certificates: for which names, and what an upgrade keeps. Checked by TLS handshakes in memory."""

import base64
import ssl

import pytest

SERVICE_NAMES = (
    "mayfly-gateway",
    "mayfly-gateway.mayfly-system",
    "mayfly-gateway.mayfly-system.svc",
    "mayfly-gateway.mayfly-system.svc.cluster.local",
    "localhost",
    "127.0.0.1",
    "::1",
)


def material(rendered):
    data = rendered.named("Secret", "mayfly-tls")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def trusted(authority, served, name, folder):
    """Whether a client that trusts only this CA accepts this server under this name."""
    chain = folder / "served.pem"
    chain.write_text(served["tls.crt"] + served["tls.key"])
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(chain)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(cadata=authority)

    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(up, down, server_side=True)
    client = client_side.wrap_bio(down, up, server_hostname=name)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
            if side is client:
                return True
    raise AssertionError("the handshake did not end")


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_the_certificate_is_for_the_service(default, tmp_path, name):
    served = material(default)
    assert trusted(served["ca.crt"], served, name, tmp_path)


def test_the_certificate_is_for_nothing_else(default, tmp_path):
    served = material(default)
    assert not trusted(served["ca.crt"], served, "mayfly.example", tmp_path)


def test_more_names_and_addresses(render, tmp_path):
    extra = {"extraNames": ["mayfly.example"], "extraIPs": ["192.0.2.7", "fd00:10:96::"]}
    served = material(render({"tls": extra}))
    assert trusted(served["ca.crt"], served, "mayfly.example", tmp_path)
    assert trusted(served["ca.crt"], served, "192.0.2.7", tmp_path)
    assert trusted(served["ca.crt"], served, "fd00:10:96::", tmp_path)


def test_an_upgrade_keeps_certificate_and_signing_key(default, upgrade):
    after = upgrade(default)
    assert material(after) == material(default)
    assert signing_key(after) == signing_key(default)


def test_an_upgrade_that_changes_nothing_restarts_nothing(default, upgrade):
    for deployment in upgrade(default).of("Deployment"):
        before = default.named("Deployment", deployment["metadata"]["name"])
        assert deployment == before


def test_new_names_get_a_new_certificate_of_the_same_authority(default, upgrade, tmp_path):
    before = material(default)
    rendered = upgrade(default, {"tls": {"extraNames": ["mayfly.example"]}})
    after = material(rendered)
    assert after["ca.crt"] == before["ca.crt"]
    assert after["tls.crt"] != before["tls.crt"]
    # Run pods that started before the upgrade trust the old text of the CA.
    assert trusted(before["ca.crt"], after, "mayfly.example", tmp_path)
    assert checksum(rendered, "gateway", "certificate") != checksum(
        default, "gateway", "certificate"
    )
    assert checksum(rendered, "controller", "ca") == checksum(default, "controller", "ca")


def test_a_lost_secret_is_made_anew_and_restarts_both(default, upgrade):
    rendered = upgrade(type(default)())
    assert material(rendered)["ca.crt"] != material(default)["ca.crt"]
    assert checksum(rendered, "gateway", "certificate") != checksum(
        default, "gateway", "certificate"
    )
    assert checksum(rendered, "controller", "ca") != checksum(default, "controller", "ca")


def test_the_signing_key_has_32_random_bytes(default, render):
    assert len(signing_key(default)) == 32
    assert signing_key(default) != signing_key(render())


def test_a_signing_key_of_the_administrator(render):
    rendered = render({"gateway": {"signing": {"existingSecret": "my-key"}}})
    assert [m["metadata"]["name"] for m in rendered.of("Secret")] == ["mayfly-tls"]
    volumes = rendered.named("Deployment", "mayfly-gateway")["spec"]["template"]["spec"]["volumes"]
    assert [v["secret"]["secretName"] for v in volumes if v["name"] == "signing"] == ["my-key"]


def test_cert_manager_makes_the_secret(render):
    issuer = {"name": "own-ca", "kind": "ClusterIssuer"}
    rendered = render({"tls": {"mode": "certManager", "certManager": {"issuerRef": issuer}}})
    certificate = rendered.named("Certificate", "mayfly-tls")["spec"]
    assert certificate["secretName"] == "mayfly-tls"
    assert certificate["issuerRef"] == issuer
    assert (*certificate["dnsNames"], *certificate["ipAddresses"]) == SERVICE_NAMES
    assert [m["metadata"]["name"] for m in rendered.of("Secret")] == ["mayfly-signing"]


def test_without_tls_everything_is_plain_http(render):
    rendered = render({"tls": {"mode": "none"}})
    gateway = rendered.config("gateway.json")
    assert gateway["tlsCertFile"] is None
    assert gateway["tlsKeyFile"] is None
    assert gateway["internalURL"] == "http://mayfly-gateway.mayfly-system.svc"
    assert rendered.config("controller.json")["caFile"] is None
    assert rendered.named("Service", "mayfly-gateway")["spec"]["ports"][0]["port"] == 80
    for part in ("controller", "gateway"):
        pod = rendered.named("Deployment", f"mayfly-{part}")["spec"]["template"]["spec"]
        assert "tls" not in [volume["name"] for volume in pod["volumes"]]
        probe = pod["containers"][0]["readinessProbe"]["httpGet"]
        assert probe.get("scheme", "HTTP") == "HTTP"


def signing_key(rendered):
    return base64.b64decode(rendered.named("Secret", "mayfly-signing")["data"]["key"])


def checksum(rendered, part, of):
    template = rendered.named("Deployment", f"mayfly-{part}")["spec"]["template"]
    return template["metadata"]["annotations"][f"checksum/{of}"]
