"""Pipelines and Models in the API: read, search, publish."""
