"""Writes what the web UI's types are made of: the gateway's own description of its API.

python -m support.gateway.described web/openapi.json
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from support.gateway.world import World


async def described() -> str:
    """The OpenAPI document, as text of a file."""
    with tempfile.TemporaryDirectory() as folder:
        async with World(Path(folder)).gateway() as gateway, gateway.client(None) as anybody:
            document = (await anybody.get("/openapi.json")).json()
    document.pop("servers", None)  # where that gateway was
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncio.run(described()), encoding="utf-8")
