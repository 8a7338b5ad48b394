"""HTTP, both ways: errors, paging, JSON as text, uploads, URLs, outgoing requests.

Knows nothing of predictions.
"""
