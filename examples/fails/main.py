"""Fail, to see what a failure looks like."""

from cog import Input


def main(
    apples: int = Input(description="How many there are.", default=10, min=0),
    people: int = Input(description="How many share them.", default=0, min=0),
) -> int:
    print(f"sharing {apples} apples among {people} people")
    if people == 0:
        raise ValueError("nobody is there to share the apples: people must be at least 1")
    return apples // people
