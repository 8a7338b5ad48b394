"""Caches of the Kubernetes API: informers and read-through caches."""
