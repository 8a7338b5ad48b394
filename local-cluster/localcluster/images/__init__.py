"""Container images: what goes into each, and the tools that build them."""
