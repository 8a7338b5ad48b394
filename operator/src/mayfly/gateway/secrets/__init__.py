"""Secrets: sealed where a caller gave them as they are, looked up where a Pipeline names them."""
