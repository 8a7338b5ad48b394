"""Count the words of a text, and give it back in capitals."""

from cog import Input


def main(
    text: str = Input(description="The text to read."),
) -> str:
    print(f"read {len(text.split())} words")
    return text.upper()
