"""The worker: the interpreter that imports `main.py` and calls `main()`."""
