"""Builds an image with the tool that is there, and pushes it to a registry."""

from localcluster.builds import cache
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


def push(recipe: Recipe, registry: str) -> str:
    """Build an image and push it, unless both were done before; returns its name with digest."""
    name = f"{registry.rstrip('/')}/{recipe.name}"
    tool = builder()
    image = recipes.build(recipe, tool)
    digest = image.archive.with_name(f"digest-{cache.key(name)}")
    if not digest.exists():
        with step(f"push {name}:{image.tag}", cache.folder() / "logs" / "push.log") as current:
            tool.push(image.archive, f"{name}:{image.tag}", digest, current)
    return f"{name}@{digest.read_text().strip()}"
