"""Paths of this clone's files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL_CLUSTER = ROOT / "local-cluster"
MANIFESTS = LOCAL_CLUSTER / "manifests"
