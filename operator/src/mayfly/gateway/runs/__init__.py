"""Runs of Pipelines: from the claimed pod to the recorded end.

rows           the ledger row of a run
steps          what to do next, decided from what is known (pure)
gather         reads what is known of a run; writes nothing
dispatcher     carries the steps out
opening        opens the ledger row of a run, with the prices of now
recorder       starts, journals, ends and closes a prediction
status         the PipelineRun's status, as the gateway makes it
status_writer  writes it
work           the message that a pod's agent needs to run a run
messages       every message of an agent, both ways
sessions       the connections of agents
agents         takes in what agents say
trees          what a run made: counts, costs, what is still open
active_time    when main() began and ended, from the stamps of two clocks
pod_secrets    the session secret of each pod
routes         the WebSocket and the downloads of agents
"""
