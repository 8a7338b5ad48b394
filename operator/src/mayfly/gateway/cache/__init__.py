"""What the API server tells: informers and read-through caches."""
