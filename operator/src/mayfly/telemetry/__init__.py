"""Metrics for Prometheus: what controller and gateway have in common."""
