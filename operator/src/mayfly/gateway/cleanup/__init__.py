"""Garbage collection: deleted runs, data past the retention, leftovers."""
