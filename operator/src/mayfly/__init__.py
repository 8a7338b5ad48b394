"""Mayfly: Python pipelines on Kubernetes, one fresh pod a run."""

__version__ = "0.1.0"
