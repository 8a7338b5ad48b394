"""Writes each model's schema to where its server looks for it. Run when the image is built.

`python -m cog.server.http` makes none itself: the `cog` command does, which is no Python package.
"""

import json
import sys
from pathlib import Path

from mayfly_runtime.spec import schema

for source in sorted(Path(sys.argv[1]).glob("*/predict.py")):
    document = schema.build({"predict.py": source.read_text()}, "predict.py:run")
    target = source.parent / ".cog" / "openapi_schema.json"
    target.parent.mkdir()
    target.write_text(json.dumps(document))
