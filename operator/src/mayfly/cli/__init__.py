"""The command line: what people ask of a gateway, over its public API; one module a noun."""
