"""Take one input of every type, and tell what came."""

from typing import Any, Literal

from cog import Input, Path


def main(
    # JSON's own types. 3.0 reaches an int as 3; a bool without a default is False.
    text: str,
    whole: int,
    ratio: float,
    flag: bool,
    # A URL or a data: URI in; a real file here.
    file: Path,
    words: list[str],
    numbers: list[float],
    files: list[Path],
    # Any JSON: nothing in it is changed.
    table: dict,
    anything: Any,
    # One of a few, written in either way.
    size: Literal["small", "large"],
    colour: str = Input(description="What to paint with.", choices=["red", "green"]),
    # Not needed: with a default, or None where it is left out.
    title: str | None = None,
    # Bounds are checked before any pod is used.
    percent: int = Input(description="How much of it.", default=50, min=0, max=100),
    code: str = Input(default="ab-12", regex="^[a-z]+-[0-9]+$", min_length=3, max_length=10),
) -> dict:
    print(f"{file.name} has {file.stat().st_size} bytes and is in {file.parent}")
    return {
        "text": text,
        "whole": whole,
        "ratio": ratio,
        "flag": flag,
        "file": file.read_text(),
        "words": words,
        "numbers": numbers,
        "files": [each.read_text() for each in files],
        "table": table,
        "anything": anything,
        "size": size,
        "colour": colour,
        "title": title,
        "percent": percent,
        "code": code,
        "types": {
            "whole": type(whole).__name__,
            "ratio": type(ratio).__name__,
            "numbers": [type(each).__name__ for each in numbers],
        },
    }
