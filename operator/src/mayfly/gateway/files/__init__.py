"""Files: store, upload, signed links, download."""
