"""Every metric family in the code, and every file that names metrics."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from support.kube_memory import MemoryCluster

from mayfly.clock import monotonic, utc_now
from mayfly.config import GatewayConfig
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.health import Health
from mayfly.controller.metrics import Metrics as ControllerMetrics
from mayfly.controller.metrics import Pools
from mayfly.database.engine import Database
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.app import Gateway
from mayfly.gateway.process import Process
from mayfly.telemetry.catalog import FAMILIES
from mayfly.telemetry.families import Families
from mayfly.telemetry.payers import PayerSettings
from mayfly.workqueue import WorkQueue

CHART = Path(__file__).parents[2] / "charts" / "mayfly"
ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARDS = sorted(CHART.glob("dashboards/*.json"))

STANDARD = re.compile(r"(process|python)_[a-z_]+")
NAME = re.compile(r"\b(?:mayfly|process|python)_[a-z_]+")

EVERYTHING = PayerSettings(namespaces=True, pipelines=True)

VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$namespace": ".*",
    "$pipeline": ".*",
}


@dataclass(frozen=True)
class Query:
    """One expression of a dashboard's panel, with its variables filled in."""

    dashboard: str
    panel: str
    expr: str

    @property
    def label(self) -> str:
        return f"{self.dashboard}: {self.panel}"


def gateway_families(settings: PayerSettings) -> Families:
    """The gateway's families, as its rooms register them."""
    with tempfile.TemporaryDirectory() as folder:
        config = GatewayConfig.model_validate(
            {
                "databaseURL": "sqlite://",
                "filesURL": Path(folder).as_uri(),
                "signingKeyFile": "none",
                "internalURL": "https://gateway.test",
                "metrics": asdict(settings),
            }
        )
        nobody: Any = MemoryCluster()
        process = Process(
            config=config,
            cluster=nobody,
            database=Database(config.database_url),
            clock=utc_now,
            monotonic=monotonic,
            new_id=str,
            new_uid=str,
        )
        return Gateway(process, SigningKey(bytes(32))).metrics.counters.families


def controller_families() -> Families:
    """The controller's families, as it registers them."""
    metrics = ControllerMetrics()
    queue = WorkQueue(monotonic)
    caches = Caches()
    metrics.show(queue, caches, Capacity(caches), Health(queue, metrics.registry))
    metrics.show_pools(Pools)
    nobody: Any = None
    metrics.show_writes(nobody)
    return metrics.families


def declared() -> dict[str, str]:
    """The type of every family of both processes, by name."""
    return {name: family.kind.value for name, family in FAMILIES.items()}


def family_of(name: str, known: dict[str, str]) -> str:
    """The family of a name in a query: a histogram has three further names."""
    for suffix in ("_bucket", "_count", "_sum"):
        if known.get(name.removesuffix(suffix)) == "histogram":
            return name.removesuffix(suffix)
    return name


def names_in(expr: str) -> set[str]:
    """The metrics in an expression."""
    return set(NAME.findall(expr))


def queries(variables: dict[str, str] = VARIABLES) -> list[Query]:
    """Every query of every dashboard."""
    found = []
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                expr = target["expr"]
                for name, value in variables.items():
                    expr = expr.replace(name, value)
                found.append(Query(path.stem, panel["title"], expr))
    return found


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]
