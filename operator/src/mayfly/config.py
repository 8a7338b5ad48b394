"""Configuration: one JSON file per process, rendered by the chart."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mayfly.ports import EVERY


def _network(text: str) -> IPv4Network | IPv6Network:
    """A CIDR as NetworkPolicies read it: 10.20.3.4/16 is 10.20.0.0/16."""
    return ip_network(text, strict=False)


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
"""A range of addresses. Read at the start: an agent that can't read one would end every run."""


HEADER = r"^[A-Za-z0-9-]{1,64}$"
"""The name of an HTTP header."""


class ConfigPart(BaseModel):
    """Base of the settings: camel case in JSON; unknown keys are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid"
    )


class NetworkConfig(ConfigPart):
    """The NetworkPolicy of run pods.

    Attributes:
        allowed: private ranges that run pods, and URLs of file inputs, may lead to all the same.
    """

    enabled: bool = True
    internet: bool = True
    gateway_namespace: str
    gateway_pod_labels: dict[str, str]
    gateway_port: int = 8443
    dns_namespace: str = "kube-system"
    dns_ports: tuple[int, ...] = Field(default=(53,), min_length=1)
    dns_cidrs: tuple[Network, ...] = Field(default=(), alias="dnsCIDRs")
    denied: tuple[Network, ...] = ()
    allowed: tuple[Network, ...] = ()
    extra_egress: tuple[dict[str, Any], ...] = ()


class ControllerConfig(ConfigPart):
    """The controller's settings.

    Attributes:
        gateway_url: where run pods find the gateway.
        ca_file: PEM of the authority that signed the gateway's certificate; None for a public one.
        runtime_file: the default PipelineRuntime, applied by the leader; None for none.
        owner_cluster_role: owns what the controller makes outside runs, so that it is collected.
        depth_limit: how many levels deep pipelines may call pipelines; the gateway's too.
        reserve_depth: how many levels of a chain always find a pod.
        standstill_seconds: how long no pod may be freed while each is held by a run that waits for
            one below it.
        sweep_seconds: how often everything is listed, to heal what no watch told.
    """

    gateway_url: str = Field(alias="gatewayURL")
    ca_file: str | None = None
    runtime_file: str | None = None
    owner_cluster_role: str | None = None
    lease_name: str = "mayfly-controller"
    lease_seconds: float = 15.0
    depth_limit: int = 250
    reserve_depth: int = Field(default=3, ge=0)
    standstill_seconds: float = Field(default=60.0, gt=0)
    sweep_seconds: float = 300.0
    workers: int = 16
    pod_image_pull_policy: str = "IfNotPresent"
    pod_set_ids: bool = Field(default=True, alias="podSetIDs")
    network_policy: NetworkConfig
    listen_port: int = 8080


class GatewayLimits(ConfigPart):
    """Limits of one run, in bytes and milliseconds, as the names say.

    Attributes:
        message_bytes: one message of an agent. An output of 6 MiB is JSON text inside a JSON
            message, where escaping may double it.
        log_tail_bytes: the end of the log that a prediction's JSON carries.
        started_write_ms: Started=True is written only for a run that still works after this.
    """

    message_bytes: int = Field(default=16 * 1024**2, gt=0)
    input_bytes: int = Field(default=6 * 1024**2, gt=0)
    output_bytes: int = Field(default=6 * 1024**2, gt=0)
    file_bytes: int = Field(default=1024**3, gt=0)
    files_bytes: int = Field(default=4 * 1024**3, gt=0)
    log_bytes: int = Field(default=10 * 1024**2, gt=0)
    log_tail_bytes: int = Field(default=256 * 1024, gt=0)
    import_ms: int = Field(default=10_000, gt=0)
    fetch_ms: int = Field(default=300_000, gt=0)
    upload_ms: int = Field(default=300_000, gt=0)
    cancel_grace_ms: int = Field(default=5_000, ge=0)
    started_write_ms: int = Field(default=1_000, ge=0)


class ModelsConfig(ConfigPart):
    """How Models are called.

    Attributes:
        callback_port: where Cog servers tell how predictions go, in plain HTTP, inside the
            cluster; 0 for any free one.
        callback_url: how they reach it; None for this machine.
        queue: calls that may wait for one Model.
        patience_seconds: how long a call is tried at a server that can't be reached.
        fate_seconds: how long word of a call is waited for, of which nobody knows whether it
            arrived or still runs.
        grace_seconds: how long a cancelled call may take to stop.
        probe_seconds: how often a Model is asked what it is.
        callback_bytes: the longest callback; files of an output come inside it.
    """

    callback_port: int = Field(default=8081, ge=0, le=65535)
    callback_url: str | None = Field(default=None, alias="callbackURL")
    queue: int = Field(default=1_000, ge=1)
    patience_seconds: float = Field(default=60.0, ge=0)
    fate_seconds: float = Field(default=60.0, gt=0)
    grace_seconds: float = Field(default=10.0, ge=0)
    probe_seconds: float = Field(default=60.0, gt=0)
    callback_bytes: int = Field(default=64 * 1024**2, gt=0)


class OutboundConfig(ConfigPart):
    """Which of the addresses given by users the gateway may call.

    Attributes:
        allow_cidrs: private networks that it may call all the same.
        deny_cidrs: networks that it may not: the cluster's, where they are public addresses.
        proxy: URL of the HTTP proxy for addresses outside `allow_cidrs`; "" for none.
    """

    allow_cidrs: tuple[Network, ...] = Field(default=(), alias="allowCIDRs")
    deny_cidrs: tuple[Network, ...] = Field(default=(), alias="denyCIDRs")
    proxy: str = Field(
        default="", pattern=r"^(https?://([^/?#@\s:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?)?$"
    )


class RatesConfig(ConfigPart):
    """Requests per minute of one caller: created predictions, and everything else.

    Attributes:
        run_creates: of the runs of one tree together, whose code calls in loops.
        run_others: the same; each run polls what it waits for every 50 ms.
    """

    creates: int = Field(default=600, ge=1)
    others: int = Field(default=3000, ge=1)
    run_creates: int = Field(default=6000, ge=1)
    run_others: int = Field(default=300_000, ge=1)


class MetricsConfig(ConfigPart):
    """Metric labels for the payer.

    Attributes:
        namespaces: the label `namespace`, who pays.
        pipelines: the label `pipeline`.
        limit: how many different ones get series of their own; all others share one.
    """

    namespaces: bool = False
    pipelines: bool = False
    limit: int = Field(default=10, ge=1, le=12)


class ProxyAuthConfig(ConfigPart):
    """A proxy that has authenticated people, and says who they are in headers.

    Attributes:
        user_header: names the user.
        groups_header: names the user's groups, separated by commas; "" for none.
        secret_header: carries what only the proxy knows.
        secret_file: that secret, at least 16 bytes.
    """

    user_header: str = Field(default="X-Forwarded-User", pattern=HEADER)
    groups_header: str = Field(default="X-Forwarded-Groups", pattern=f"^$|{HEADER}")
    secret_header: str = Field(default="X-Mayfly-Proxy-Secret", pattern=HEADER)
    secret_file: str


class GatewayConfig(ConfigPart):
    """The gateway's settings.

    Attributes:
        listen_host: the address of all its ports; `::` is every address, of IPv4 too.
        tls_cert_file: PEM of the certificate; None to serve plain HTTP.
        database_url: sqlite:////path or postgresql://…
        files_url: file:///folder, s3://…, gs://…, az://…
        files_options: of the object store, as obstore names them.
        signing_key_file: signs file links and run tokens.
        external_url: how people reach the gateway, where that is known.
        path: the path below which people reach it, where the proxy in front passes that on.
        internal_url: how run pods reach it.
        service_account: the gateway's own, as namespace:name; a namespace's Role may let it read
            Secrets.
        shared_namespaces: whose Models' aliases hold in every namespace.
        depth_limit: how many levels deep pipelines may call pipelines; the controller's too.
        proxy_auth: whom to believe who a person is; None for nobody.
    """

    listen_host: str = EVERY
    listen_port: int = Field(default=8443, ge=0, le=65535)
    metrics_port: int = Field(default=8080, ge=0, le=65535)
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    database_url: str = Field(default="sqlite:////data/mayfly.db", alias="databaseURL", repr=False)
    files_url: str = Field(default="file:///data/files", alias="filesURL")
    files_options: dict[str, str] = Field(default_factory=dict, repr=False)
    signing_key_file: str
    external_url: str | None = Field(default=None, alias="externalURL")
    path: str = Field(default="", pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,62}){0,8}$")
    internal_url: str = Field(alias="internalURL")
    service_account: str = "mayfly-system:mayfly-gateway"
    shared_namespaces: tuple[str, ...] = ()
    depth_limit: int = Field(default=250, ge=1)
    currency: str = Field(default="USD", min_length=1, max_length=8)
    retention_seconds: int = Field(default=30 * 86_400, ge=0)
    limits: GatewayLimits = GatewayLimits()
    models: ModelsConfig = ModelsConfig()
    outbound: OutboundConfig = OutboundConfig()
    rates: RatesConfig = RatesConfig()
    metrics: MetricsConfig = MetricsConfig()
    proxy_auth: ProxyAuthConfig | None = None
