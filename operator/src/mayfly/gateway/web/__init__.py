"""The web UI: its static files, and the session of a browser."""
