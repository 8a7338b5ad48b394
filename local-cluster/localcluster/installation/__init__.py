"""Mayfly on a cluster, and what is tried on it."""
