"""Files: stored, uploaded, linked, downloaded."""
