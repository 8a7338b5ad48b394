"""Calls of Models: predictions of somebody else's server, queued, sent once, and billed.

rows        the row of a call
recorder    moves a call through its states: queued, sent, accepted, done
queue       whose turn it is (pure)
dispatcher  takes calls from their queues to their ends
server      what the dispatcher asks of any server of a Model
cog         a Cog HTTP server; it reports by callbacks
replicate   Replicate's API, or anything that speaks it; it is polled
news        what either reports of a prediction
replies     applies a report to the call's row
outputs     the files of an answer, into the store
versions    the versions of Models: their schemas, kept in SQL
probe       looks at Models: their servers' schemas, and their status
routes      the callback of Cog servers
callbacks   the listener that serves it inside the cluster
"""
