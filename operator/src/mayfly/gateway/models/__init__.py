"""Predictions of Models: calls of somebody else's server, queued, sent once, and billed.

intake      checks a call and makes its row
calls       the rows: queued, sent, accepted, done
queue       whose turn it is (pure)
conductor   takes calls from their queues to their ends
cog         a Cog HTTP server; it tells by callbacks
replicate   Replicate's API, or anything that speaks it; it is asked
news        what either says of a prediction
outputs     the files of an answer, into the store
versions    what a model takes and gives, and its status
callbacks   the listener that Cog servers call
"""
