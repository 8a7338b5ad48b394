"""Tell a text on, word by word: what is yielded can be read while main() still works."""

import random
from collections import defaultdict
from itertools import pairwise

from cog import ConcatenateIterator, Input


def main(
    text: str = Input(description="What to learn from: which word follows which.", min_length=1),
    words: int = Input(description="How many words to tell, at most.", default=20, min=1, max=500),
    seed: int = Input(description="The same seed tells the same story.", default=1),
) -> ConcatenateIterator[str]:
    known = text.split()
    if not known:
        raise ValueError("the text has no words to learn from")
    following = defaultdict(list)
    for word, after in pairwise(known):
        following[word].append(after)
    print(f"learned {len(following)} words")

    chance = random.Random(seed)  # noqa: S311 a story, not a secret
    word = known[0]
    yield word
    for _ in range(words - 1):
        if word not in following:
            return
        word = chance.choice(following[word])
        yield f" {word}"
