"""Creates a Kubernetes cluster for Mayfly on one machine, with Docker or without.

Standard library only: it runs before any virtual environment exists.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (said in words, before an import fails)
    raise SystemExit("Mayfly needs Python 3.11 or later: make PYTHON=/path/to/python3.11 …")
