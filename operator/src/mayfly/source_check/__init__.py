"""The check of users' sources and inputs, in a process of its own."""
