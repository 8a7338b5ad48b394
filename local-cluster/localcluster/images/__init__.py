"""Container images: their contents, and the tools that build them."""
