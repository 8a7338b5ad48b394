"""Call a model, and go on with what it gave. Waiting for it is part of the run."""

import replicate

from cog import Input, Path

# A model by its alias, or a pipeline as "namespace/name".
paint = replicate.use("black-forest-labs/flux-dev")


def main(
    prompt: str = Input(description="What to paint."),
) -> Path:
    pictures = paint(prompt=f"{prompt}, in the light of the evening")
    print(f"got {len(pictures)} pictures")
    return pictures[0]
