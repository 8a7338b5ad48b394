"""Fails: how the error and the log of a model read."""

from cog import Input


def run(why: str = Input(description="The reason to give.", default="no reason")) -> str:
    print("about to fail")
    raise ValueError(f"it fails: {why}")
