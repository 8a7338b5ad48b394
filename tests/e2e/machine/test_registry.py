"""Images are pushed to a real registry: Debian's `docker-registry`, on loopback, without TLS."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.servers.ports import free_port
from support.waiting import eventually

from localcluster.images import archive, recipes, registry
from localcluster.images.buildah import Buildah

MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture
def registry_url(tmp_path: Path) -> Iterator[str]:
    """An empty registry."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("no docker-registry here: apt-get install docker-registry (tests/run does)")
    url = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '{url.removeprefix('http://')}'}}\n"
    )
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", tmp_path / "config.yml"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: answers(url))
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/").is_success
    except httpx.ConnectError:
        return False


def test_a_pushed_image_is_had_from_the_registry_by_the_name_that_is_printed(
    registry_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program").write_bytes(b"not built here: images take minutes")
    image = recipes.Image("localhost/mayfly/program", "1", tmp_path / "image.tar")
    archive.write_scratch(tmp_path / "program", image.tagged, image.archive)
    monkeypatch.setattr(recipes, "build", lambda recipe, builder: image)
    monkeypatch.setattr(registry, "builder", Buildah)
    monkeypatch.setenv("MAYFLY_CACHE", str(tmp_path / "cache"))
    place = registry_url.removeprefix("http://")
    for _ in range(2):  # also once the registry has it
        printed = registry.push(recipes.OPERATOR, f"{place}/mayfly", again=True)
        name, _, digest = printed.partition("@")
        assert name == f"{place}/mayfly/operator"
        got = httpx.get(f"{registry_url}/v2/mayfly/operator/manifests/{digest}", headers=MANIFEST)
        assert f"sha256:{hashlib.sha256(got.content).hexdigest()}" == digest
        (layer,) = got.json()["layers"]
        held = httpx.head(f"{registry_url}/v2/mayfly/operator/blobs/{layer['digest']}")
        assert int(held.headers["content-length"]) == layer["size"]
