"""The kinds of `mayfly.dev` as pydantic models: the single source of the CRDs and of their docs."""
