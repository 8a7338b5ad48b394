"""Call a model for many prompts at once, and wait for all of them."""

import asyncio

import replicate

from cog import Input, Path

paint = replicate.use("black-forest-labs/flux-dev", use_async=True)


def main(
    prompts: list[str] = Input(description="One picture is painted for each."),
) -> list[Path]:
    return asyncio.run(paint_all(prompts))


async def paint_all(prompts: list[str]) -> list[Path]:
    painted = await asyncio.gather(*(paint(prompt=each) for each in prompts))
    print(f"painted {len(painted)} times")
    return [pictures[0] for pictures in painted]
