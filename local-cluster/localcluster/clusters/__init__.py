"""The kinds of cluster, and which one is taken."""
