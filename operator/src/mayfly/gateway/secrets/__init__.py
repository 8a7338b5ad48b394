"""Secrets: sealed if a caller sent them as text, looked up if they are references."""
