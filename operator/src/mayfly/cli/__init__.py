"""The command line, a client of the public API; one module per noun."""
