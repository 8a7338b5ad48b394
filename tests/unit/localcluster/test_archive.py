"""The image of one binary: an OCI archive whose digests hold."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from localcluster.images import archive

NAME = "localhost/mayfly/pause:123"


@pytest.fixture
def binary(tmp_path):
    path = tmp_path / "pause"
    path.write_bytes(b"\x7fELF and so on")
    return path


@pytest.fixture
def blobs(binary, tmp_path) -> dict[str, bytes]:
    archive.write_scratch(binary, NAME, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}


def follow(blobs: dict[str, bytes], descriptor: dict) -> bytes:
    data = blobs["blobs/" + descriptor["digest"].replace(":", "/")]
    assert descriptor["size"] == len(data)
    assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    return data


def test_every_digest_holds_from_the_index_to_the_binary(blobs, binary):
    assert json.loads(blobs["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(blobs["index.json"])["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == NAME
    manifest = json.loads(follow(blobs, entry))
    config = json.loads(follow(blobs, manifest["config"]))
    (layer,) = manifest["layers"]
    unpacked = gzip.decompress(follow(blobs, layer))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(unpacked).hexdigest()]
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert len(blobs) == 5
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode, member.uid) == ("pause", 0o755, 0)
        assert tar.extractfile(member).read() == binary.read_bytes()


def test_the_same_bytes_give_the_same_archive(binary, tmp_path, monkeypatch):
    archive.write_scratch(binary, NAME, tmp_path / "one.tar")
    monkeypatch.setattr("time.time", lambda: 4e9)
    binary.touch()
    archive.write_scratch(binary, NAME, tmp_path / "two.tar")
    binary.write_bytes(b"other")
    archive.write_scratch(binary, NAME, tmp_path / "three.tar")
    one, two, three = ((tmp_path / f"{name}.tar").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize(
    ("machine", "name"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_the_architecture_in_the_words_of_oci(monkeypatch, machine, name):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert archive._architecture() == name
