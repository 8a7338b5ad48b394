"""The images: the contents of each, and the resulting archive.

An image is named by the hash of its inputs, so an image of an older tree is never mistaken for a
current one.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from localcluster.builds import cache, web, wheels
from localcluster.clone import ROOT
from localcluster.progress import Step


@dataclass(frozen=True)
class Image:
    """A built image as an archive; its digest is known once it is loaded."""

    name: str
    tag: str
    archive: Path

    @property
    def tagged(self) -> str:
        """The image's name with its tag."""
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Recipe:
    """What an image's build context is made of.

    Attributes:
        name: of the image.
        parts: source folders, each with its place in the context.
        built: what is built on the host before: what builds a folder, with that one's place.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    built: tuple[tuple[Callable[[], Path], str], ...] = ()

    def copy(self, context: Path) -> None:
        """Copy the sources into a build context."""
        for part, place in self.parts:
            for name in cache.source_files(ROOT / part):
                target = context / place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / part / name, target)
        for build, place in self.built:
            shutil.copytree(build(), context / place)


OPERATOR = Recipe(
    "operator",
    (("operator", "."), ("runtime-image/src/mayfly_runtime", "mayfly_runtime")),
    ((web.dist, "web"),),
)
RUNTIME = Recipe("runtime", (("runtime-image", "."),))
INSTALLED = (OPERATOR, RUNTIME)
"""The images of Mayfly itself."""

MODELS = Recipe(
    "models",
    (("examples/models", "."), ("runtime-image/src/mayfly_runtime", "mayfly_runtime")),
)


class Builder(Protocol):
    """Interface of a tool that builds Dockerfiles."""

    def key(self) -> str:
        """A key that changes with the base image and the tool."""
        ...

    def build(self, context: Path, name: str, tag: str, archive: Path, current: Step) -> None:
        """Build `context` on the base image, and write the image to `archive`."""
        ...

    def push(
        self, archive: Path, target: str, digest: Path, current: Step, *, tls: bool = True
    ) -> None:
        """Copy a built archive to a registry, and write its digest there to a file.

        Without `tls`, plain HTTP and any certificate will do.
        """
        ...


def build(recipe: Recipe, builder: Builder) -> Image:
    """Build an image, or return the cached one.

    The copy is hashed, not the tree, because the tree may be edited at the same time.
    """
    name = f"localhost/mayfly/{recipe.name}"
    kind = f"image-{recipe.name}"
    cache.folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.folder(), prefix="context-") as folder:
        context = Path(folder) / "context"
        recipe.copy(context)
        tag = cache.key(cache.tree_key(context), builder.key())

        def make(made: Path, current: Step) -> None:
            found = wheels.download(context / "requirements.txt", recipe.name)
            cache.link_files(found.iterdir(), context / "wheels")
            builder.build(context, name, tag, made / "image.tar", current)

        made = cache.entry(kind, tag, f"build the {recipe.name} image", make)
    return Image(name, tag, made / "image.tar")
