"""The programs behind `fake_tools`: stand-ins for docker, kind, kubectl and others.

Standard library only, and little of it: each call starts a Python.
"""

import json
import os
import socket
import sys
from pathlib import Path

Words = list[str]


def main(folder: Path, tool: str, words: Words) -> int:
    """Record the call, then answer as configured, or like a small Docker host with kind."""
    stdin = sys.stdin.read() if "-" in words else ""
    call = {"words": words, "stdin": stdin, "env": dict(os.environ), "pid": os.getpid()}
    with (folder / f"{tool}.calls").open("a") as stream:
        stream.write(json.dumps(call) + "\n")
    rules = folder / f"{tool}.rules"
    for rule in json.loads(rules.read_text()) if rules.exists() else []:
        if all(word in words for word in rule["words"]):
            sys.stdout.write(rule["out"])
            sys.stderr.write(rule["err"])
            return rule["code"]
    host = Host(folder)
    match [tool, *words]:
        case ["docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", *rest]:
            return host.ctr(node, rest)
        case ["docker" | "podman", "save", "--output", archive, tagged]:
            Path(archive).write_text(tagged)
        case ["docker" | "podman", "load", "--quiet", "--input", archive]:
            print(f"Loaded image: {Path(archive).read_text()}")
        case ["podman", "push", _, "--digestfile", file, target]:
            Path(file).write_text(digest(host.read("docker-tags")[target]))
        case ["buildah", *_, "push", _, "--digestfile", file, _, target]:
            Path(file).write_text(digest(target))
        case ["docker" | "podman", "tag", name, other]:
            host.write("docker-tags", {**host.read("docker-tags"), other: name})
        case ["docker", "image", "inspect", _, target]:
            print(f"{target.rpartition(':')[0]}@{digest(host.read('docker-tags')[target])}")
        case ["kind", "get", "clusters"]:
            print("\n".join(host.read("clusters")))
        case ["kind", "get", "kubeconfig", "--name", name]:
            print(f"kubeconfig of {name}")
        case ["kind", "create", "cluster", "--name", name, *rest]:
            host.write("clusters", {**host.read("clusters"), name: True})
            Path(rest[rest.index("--kubeconfig") + 1]).write_text(f"kubeconfig of {name}\n")
        case ["kind", "delete", "cluster", "--name", name]:
            host.write("clusters", {n: 1 for n in host.read("clusters") if n != name})
        case ["kind", "load", "image-archive", archive, "--name", _]:
            tagged = Path(archive).read_text()
            host.write("images", {**host.read("images"), tagged: digest(tagged)})
        case ["kubectl", *_, "port-forward", _, ports]:
            listen(int(ports.partition(":")[0]))
    return 0


class Host:
    """The state of a fake Docker host between calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict:
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def write(self, name: str, value: dict) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(value))

    def ctr(self, node: str, words: Words) -> int:
        if node != "mayfly-control-plane":
            return 1
        images = self.read("images")
        match words:
            case ["list", wanted] if wanted.startswith("name=="):
                print("REF TYPE DIGEST SIZE PLATFORMS LABELS")
                name = wanted.removeprefix("name==")
                if name in images:
                    print(f"{name} application/vnd.oci {images[name]} 1.0 MiB linux/amd64 -")
            case ["tag", "--force", name, other]:
                self.write("images", {**images, other: images[name]})
            case _:
                return 1
        return 0


def digest(tagged: str) -> str:
    """A fake digest, different for each name."""
    return "sha256:" + tagged.encode().hex()[-64:].rjust(64, "0")


def listen(port: int) -> None:
    """Accept connections until killed, for at most a minute."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(60)
        while True:
            server.accept()[0].close()
