"""Calls of Models: predictions by another server, queued, sent once, and billed.

rows        the row of a call
recorder    moves a call through its states: queued, sent, accepted, done
queue       which call is next (pure)
dispatcher  takes calls from their queues to their ends
server      the interface of a Model's server
cog         a Cog HTTP server; it reports by callbacks
replicate   Replicate's API or a compatible one; it is polled
news        parses what either server reports about a prediction
replies     applies a report to the call's row
outputs     stores the files of an output
versions    schemas and versions of Models, and their status
routes      the callback of Cog servers
callbacks   the listener that serves it inside the cluster
"""
