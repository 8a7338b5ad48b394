"""Count what is in a text."""

import re
from collections import Counter

from cog import Input


def main(
    text: str = Input(description="The text to look at."),
    top: int = Input(description="How many of the commonest words to name.", default=3, min=0),
) -> dict:
    words = re.findall(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*", text.lower())
    sentences = [part for part in re.split(r"[.!?…]+(?:\s|$)", text) if part.strip()]
    print(f"{len(words)} words in {len(sentences)} sentences")
    return {
        "characters": len(text),
        "words": len(words),
        "sentences": len(sentences),
        "longestWord": max(words, key=len, default=""),
        "commonest": dict(Counter(words).most_common(top)),
        "wordsPerSentence": round(len(words) / len(sentences), 1) if sentences else 0,
    }
