"""Slow builds and downloads, kept in the cache."""
