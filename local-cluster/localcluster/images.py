"""Mayfly's two images: what goes into each, and the archive that comes out.

An image is named by the hash of its inputs, so nothing that an older tree built
is ever taken for this one.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from localcluster import cache, wheels
from localcluster.progress import Step

ROOT = Path(__file__).resolve().parent.parent.parent

_KEPT = 4  # archives of each image in the cache


@dataclass(frozen=True)
class Image:
    """A built image as an archive; its digest is known where it is loaded."""

    name: str
    tag: str
    archive: Path

    @property
    def tagged(self) -> str:
        """Its name with the tag."""
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Recipe:
    """The folders of the tree that make up a build context, each with its place there."""

    name: str
    parts: tuple[tuple[str, str], ...]

    @property
    def requirements(self) -> Path:
        """The locked packages, whose wheels become `wheels/` in the context."""
        return ROOT / self.parts[0][0] / "requirements.txt"

    def key(self) -> str:
        """A hash over everything of the tree that goes in (the wheels by their lock file)."""
        return cache.key(*(f"{place}={cache.tree_key(ROOT / part)}" for part, place in self.parts))

    def assemble(self, context: Path) -> None:
        """Write the build context."""
        for part, place in self.parts:
            for name in cache.source_files(ROOT / part):
                target = context / place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / part / name, target)
        cache.link_files(wheels.download(self.requirements).iterdir(), context / "wheels")


OPERATOR = Recipe(
    "operator", (("operator", "."), ("runtime-image/src/mayfly_runtime", "mayfly_runtime"))
)
RUNTIME = Recipe("runtime", (("runtime-image", "."),))


class Builder(Protocol):
    """A tool that builds Dockerfiles."""

    def key(self) -> str:
        """Changes with the base image and the tool."""
        ...

    def build(self, context: Path, name: str, tag: str, archive: Path, current: Step) -> None:
        """Build `context` on the base and write the image to `archive`."""
        ...


def build(recipe: Recipe, builder: Builder) -> Image:
    """Build an image, or find it built."""
    name = f"localhost/mayfly/{recipe.name}"
    tag = cache.key(recipe.key(), builder.key())

    def make(folder: Path, current: Step) -> None:
        context = folder / "context"
        recipe.assemble(context)
        builder.build(context, name, tag, folder / "image.tar", current)
        shutil.rmtree(context)

    made = cache.entry(f"image-{recipe.name}", tag, f"build the {recipe.name} image", make)
    cache.prune(f"image-{recipe.name}", _KEPT)
    return Image(name, tag, made / "image.tar")
