"""Inputs of many kinds: the form of the pipeline is made from them."""

from typing import Literal

from cog import Input


def main(
    names: list[str] = Input(description="Who is greeted."),
    greeting: str = Input(
        description="How they are greeted.",
        default="Hello",
        choices=["Hello", "Good evening", "Welcome"],
    ),
    style: Literal["plain", "loud"] = Input(description="How loudly.", default="plain"),
    times: int = Input(description="How often.", default=1, ge=1, le=10),
    number_them: bool = Input(
        description="Whether each line begins with its number.", default=False
    ),
) -> list[str]:
    lines = [f"{greeting}, {name}!" for name in names for _ in range(times)]
    if style == "loud":
        lines = [line.upper() for line in lines]
    if number_them:
        lines = [f"{number}. {line}" for number, line in enumerate(lines, 1)]
    return lines
