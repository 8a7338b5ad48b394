"""The settings of a namespace: its budget and its retention."""
