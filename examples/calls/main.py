"""Calls models: a picture is painted, enlarged, and described. `make models` starts them."""

import replicate

from cog import Input

paint = replicate.use("black-forest-labs/flux-dev")
enlarge = replicate.use("stability-ai/sd-xl-upscale")
describe = replicate.use("anthropic/claude-4-sonnet", streaming=True)


def main(
    prompt: str = Input(description="What to paint."),
    times: int = Input(description="How much larger.", default=4, min=2, max=8),
) -> dict:
    pictures = paint(prompt=prompt)
    large = enlarge(image=pictures[0], scale=times)
    words = []
    for word in describe(prompt=prompt, image=large):
        print(word, end="", flush=True)
        words.append(word)
    return {"picture": large, "words": "".join(words)}
