"""HTTP helpers: errors, paging, verbatim JSON, multipart, URLs, outgoing requests.

Knows nothing about predictions.
"""
