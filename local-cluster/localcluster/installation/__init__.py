"""Installs Mayfly on a cluster, and runs the demo and the example models."""
