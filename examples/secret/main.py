"""Sign a text with a secret key, and show that the key is not told."""

import hashlib
import hmac

from cog import Input, Secret


def main(
    text: str = Input(description="What is signed."),
    key: Secret = Input(description="A key of a Secret in the run's namespace."),
) -> str:
    value = key.get_secret_value()
    print(f"as it is: {key}, and by accident: {value}")
    return hmac.new(value.encode(), text.encode(), hashlib.sha256).hexdigest()
