"""Text that may hold anything, as one short line that can be shown in a status, log or terminal."""

CHARACTERS = 300


def first_line(text: str) -> str:
    """The first line that isn't blank, cut; characters that can't be printed are escaped."""
    line = next((each for each in text.splitlines() if each.strip()), "")[:CHARACTERS]
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )
