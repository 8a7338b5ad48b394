"""Builds an image with the tool that is there, and pushes it to a registry."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from localcluster.builds import cache
from localcluster.failure import Failure
from localcluster.images import docker, recipes
from localcluster.images.buildah import Buildah
from localcluster.images.docker import Docker
from localcluster.images.recipes import Builder, Recipe
from localcluster.progress import step


def builder() -> Builder:
    """Docker if it answers, otherwise Podman, otherwise buildah, which is installed if need be."""
    for tool in ("docker", "podman"):
        if docker.answers(tool):
            return Docker(tool)
    return Buildah()


def push(recipe: Recipe, registry: str, *, again: bool = False) -> str:
    """Build an image and push it; returns its name with digest.

    Args:
        recipe: the image.
        registry: host, port and folder.
        again: push also what was pushed there before: a registry may have lost it.

    Raises:
        Failure: the registry is written as a URL, or the build or the push failed.
    """
    if "://" in registry:
        without = registry.partition("://")[2].rstrip("/")
        raise Failure(f"a registry is named without https://, as images are: {without}")
    name = f"{registry.rstrip('/')}/{recipe.name}"
    tool = builder()
    image = recipes.build(recipe, tool)
    digest = image.archive.with_name(f"digest-{cache.key(name)}")
    if again or not digest.exists():
        digest.unlink(missing_ok=True)
        with step(f"push {name}:{image.tag}", cache.folder() / "logs" / "push.log") as current:
            target = f"{name}:{image.tag}"
            tool.push(image.archive, target, digest, current, tls=not on_loopback(registry))
    return f"{name}@{digest.read_text().strip()}"


def on_loopback(registry: str) -> bool:
    """Whether it is on this machine, where registries rarely have TLS: Docker asks for none."""
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
