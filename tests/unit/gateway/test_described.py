"""The description of the API is printed without a cluster, and the web UI's copy is current."""

import json
from pathlib import Path

from mayfly.__main__ import main
from mayfly.gateway.described import document

COPY = Path(__file__).parents[3] / "web" / "openapi.json"


def test_the_web_uis_copy_is_current():
    assert COPY.read_text(encoding="utf-8") == document(), "run `make generate`"


def test_the_command_needs_no_settings_and_no_cluster(tmp_path, monkeypatch, capsys):
    for name in ("MAYFLY_CONFIG", "MAYFLY_DATABASE_URL", "KUBECONFIG", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out)["openapi"].startswith("3.1")
    assert list(tmp_path.iterdir()) == []
