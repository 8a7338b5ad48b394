"""Usage reports, usage records and their corrections over HTTP."""
