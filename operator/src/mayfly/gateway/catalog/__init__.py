"""Pipelines and Models as the API shows them: read, searched, published."""
